"""Services that other people wrote, started here: what an audit of a model behind HTTP meets outside of tests.

MLServer runs in an environment of its own, .venv-servers, which `make test-servers` creates (or MIALIB_SERVERS_PYTHON names the
interpreter of another one); without it these tests are skipped.
"""

import json
import logging
import os
import socket
import subprocess
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests

from mialib.audit import Remote

ROOT = Path(__file__).resolve().parent.parent
PYTHON = os.environ.get("MIALIB_SERVERS_PYTHON") or str(ROOT / ".venv-servers" / "bin" / "python")
START = 120  # seconds until a server must be ready
# Run by the server's own scikit-learn: a model is loaded by the version that saved it.
MODELS = """
    import json, pathlib, sys
    import joblib, numpy as np, pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.svm import LinearSVC

    folder = pathlib.Path(sys.argv[1])
    x, y = load_digits(return_X_y=True)
    table = pd.DataFrame(json.loads((folder / "table.json").read_text()))
    columns = make_column_transformer((OneHotEncoder(), ["work"]), remainder="passthrough")
    models = {
        "digits": LogisticRegression(C=0.01).fit(x / 16, y),
        "margins": LinearSVC(dual=False).fit(x, y),
        "people": make_pipeline(columns, RandomForestClassifier(5, random_state=0)),
    }
    models["people"].fit(table[["age", "work"]], table["income"])
    for name, model in models.items():
        (folder / name).mkdir()
        joblib.dump(model, folder / name / "model.joblib")
        parameters = {"uri": "./model.joblib", "version": "v7"}
        settings = {"name": name, "implementation": "mlserver_sklearn.SKLearnModel", "parameters": parameters}
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    asked = table[["age", "work"]]
    np.savez(
        folder / "truth.npz", x=x, digits=models["digits"].predict_proba(x), margins=models["margins"].predict(x),
        people=models["people"].predict_proba(asked), income=models["people"].predict(asked).astype(str),
    )
"""
PEOPLE = pd.DataFrame(
    {
        "age": np.arange(20, 80, 2),
        "work": ["private", "state", "none"] * 10,
        "income": ["<=50K", ">50K", "<=50K", "<=50K", ">50K"] * 6,
    }
)


def free_ports(n: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def ready(url: str, process: subprocess.Popen, said: Path) -> None:
    """Wait until all models are loaded; fail with what the server said if it ends, or takes too long."""
    until = time.monotonic() + START
    while process.poll() is None and time.monotonic() < until:
        try:
            if requests.get(f"{url}/v2/health/ready", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    pytest.fail(f"MLServer was not ready:\n{said.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory):
    """URL of an MLServer with three models, and what they answer in their own process."""
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", "import mlserver_sklearn"], capture_output=True).returncode:
        pytest.skip("no MLServer in .venv-servers (nor MIALIB_SERVERS_PYTHON): make test-servers installs it")
    folder = tmp_path_factory.mktemp("mlserver")
    (folder / "table.json").write_text(json.dumps(PEOPLE.to_dict("list")))
    subprocess.run([PYTHON, "-c", textwrap.dedent(MODELS), folder], check=True)
    http, grpc, metrics = free_ports(3)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps(settings))
    said = folder / "said.txt"
    with open(said, "w") as file:
        start = "from mlserver.cli import main; main()"
        process = subprocess.Popen([PYTHON, "-c", start, "start", "."], cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    try:
        ready(f"http://127.0.0.1:{http}", process, said)
        yield f"http://127.0.0.1:{http}", dict(np.load(folder / "truth.npz"))
    finally:
        process.terminate()
        process.wait(30)


def test_mlserver_answers_vectors_where_it_is_asked_for_them(mlserver, tmp_path):
    url, truth = mlserver
    remote = Remote(url, model="digits")
    remote.keep_in(tmp_path)
    answers = remote.predict_proba(truth["x"])
    np.testing.assert_allclose(answers, truth["digits"], rtol=0, atol=1e-12)
    said = remote.describe()
    assert (said["model_version"], said["output"], said["fell_back"]) == ("v7", "predict_proba", False)
    assert remote.queries == len(answers) == 1797
    again = Remote(url, model="digits", batch=500)
    again.keep_in(tmp_path)
    assert np.array_equal(again.predict_proba(truth["x"][::-1]), answers[::-1]) and again.queries == 0


def test_mlserver_answers_labels_alone_of_a_model_without_probabilities(mlserver, caplog):
    url, truth = mlserver
    remote = Remote(url, model="margins", batch=200)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(remote.ask(truth["x"]), truth["margins"])
    assert caplog.text.count("model margins has no output predict_proba: its output predict is used") == 1
    assert remote.describe()["fell_back"] and remote.queries == 1797
    vectors = Remote(url, model="margins", batch=200, classes=range(10)).predict_proba(truth["x"])
    assert np.array_equal(vectors.argmax(1), truth["margins"]) and set(vectors.ravel()) == {0, 1}


def test_mlserver_takes_the_rows_of_a_frame_as_they_are(mlserver):
    url, truth = mlserver
    rows = PEOPLE[["age", "work"]]
    answers = Remote(url, model="people", batch=7, classes=["<=50K", ">50K"]).predict_proba(rows)
    np.testing.assert_allclose(answers, truth["people"], rtol=0, atol=1e-12)


def test_a_wrong_shape_and_a_wrong_name_are_told_in_mlserver_s_own_words(mlserver):
    url, truth = mlserver
    with pytest.raises(OSError, match=r"answered status 500, asked for records 0 to 63 of 1797: .*features"):
        Remote(url, model="digits").ask(truth["x"][:, :10])
    with pytest.raises(
        OSError, match=r"/v2/models/letters answered status 404, asked for the metadata of model letters: .*letters"
    ):
        Remote(url, model="letters").ask(truth["x"])
