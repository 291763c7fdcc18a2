"""Models from disk answer as the ones that were saved; what cannot be read, or should not be, is named."""

import pickle
import re
import sys
import warnings
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from torch import nn

from mialib.audit.loading import import_named, load_model
from mialib.audit.onnx_labels import graph_labels

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)).astype(np.float32)
Y = np.array(["low", "mid", "top"])[np.digitize(X[:, 0] + X[:, 1], [-0.7, 0.7])]
FRAME = pd.DataFrame(X[:, :2], columns=["hours-per-week", "gain"]).assign(
    job=np.where(X[:, 2] > 0, "clerk", "chef"), age=(X[:, 3] * 10).astype(np.int64)
)


class Own(ClassifierMixin, BaseEstimator):
    """A user's own estimator, which skops does not know."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))


def pipeline():
    numbers = ["hours-per-week", "gain"]
    columns = make_column_transformer((OneHotEncoder(), ["job"]), (StandardScaler(), numbers), remainder="passthrough")
    return make_pipeline(columns, RandomForestClassifier(5, random_state=0)).fit(FRAME, Y)


# skops


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(),
        MLPClassifier((4,), max_iter=3),
        CalibratedClassifierCV(GaussianNB()),
        make_pipeline(SelectKBest(k=2), LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_of_scikit_learn_need_no_trust(tmp_path, model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that three rounds are few
        skops.io.dump(model.fit(X, Y), tmp_path / "model.skops")
    loaded = load_model(tmp_path / "model.skops")
    assert np.array_equal(loaded.predict_proba(X), model.predict_proba(X)) and [*loaded.classes_] == ["low", "mid", "top"]


def test_a_pipeline_on_a_frame_comes_back_whole(tmp_path):
    skops.io.dump(pipeline(), tmp_path / "model.skops")
    assert np.array_equal(load_model(str(tmp_path / "model.skops")).predict_proba(FRAME), pipeline().predict_proba(FRAME))


def test_types_that_nobody_knows_are_refused_by_name_unless_trusted(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(Own().fit(X, Y), path)
    with pytest.raises(ValueError, match=rf"{path} holds types .* safe: \S*test_audit_loading.Own. .*--trust \(trust=True\)"):
        load_model(path)
    assert load_model(path, trust=True).predict_proba(X[:1]).tolist() == [[1 / 3] * 3]


@pytest.mark.parametrize("function", [np.load, joblib.load, pd.eval])
def test_a_function_in_a_pipeline_is_no_type_to_be_trusted(tmp_path, function):
    skops.io.dump(make_pipeline(FunctionTransformer(function), LogisticRegression()), tmp_path / "model.skops")
    with pytest.raises(ValueError, match="types that neither skops nor scikit-learn know to be safe: "):
        load_model(tmp_path / "model.skops")


@pytest.mark.parametrize(
    "name", ["sklearn.datasets._base.clear_data_home", "sklearn.utils._joblib.joblib", "sklearn.nothing.X"]
)
def test_only_classes_of_scikit_learn_are_data(tmp_path, name):
    module_name, _, attribute = name.rpartition(".")
    model = make_pipeline(FunctionTransformer(skops.io.dump), LogisticRegression())
    skops.io.dump(model, tmp_path / "made.skops")
    with zipfile.ZipFile(tmp_path / "made.skops") as made, zipfile.ZipFile(tmp_path / "forged.skops", "w") as forged:
        schema = made.read("schema.json").decode()
        changed = re.sub(r'"skops.io._persist",(\s*)"(.*?)": "dump"', rf'"{module_name}",\1"\2": "{attribute}"', schema)
        changed = changed.replace('"skops.io._persist"', f'"{module_name}"').replace('"dump"', f'"{attribute}"')
        assert changed != schema
        for member in made.namelist():
            forged.writestr(member, changed if member == "schema.json" else made.read(member))
    with pytest.raises(ValueError, match=f"know to be safe: {name}"):
        load_model(tmp_path / "forged.skops")


def test_a_model_of_another_version_is_told_once(tmp_path, caplog, monkeypatch):
    forest = RandomForestClassifier(3).fit(X, Y)
    with monkeypatch.context() as past:
        past.setattr("sklearn.base.__version__", "1.0.1")
        skops.io.dump(forest, tmp_path / "model.skops")
        joblib.dump(forest, tmp_path / "model.joblib")
    for name in ("model.skops", "model.joblib"):
        caplog.clear()
        load_model(tmp_path / name, trust=True)
        assert len(caplog.records) == 1 and f"{name} was made with scikit-learn 1.0.1, and is asked with" in caplog.text


@pytest.mark.parametrize("name", ["model.skops", "model.onnx", "model.joblib", "model.pt"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ValueError, match=f"{name} cannot be read as .*, damaged?"):
        load_model(tmp_path / name, trust=True)


# Pickles


@pytest.mark.parametrize("suffix", [".joblib", ".pkl", ".pickle"])
def test_a_pickle_is_read_only_when_trusted(tmp_path, suffix):
    model, path = GaussianNB().fit(X, Y), tmp_path / f"model{suffix}"
    with open(path, "wb") as file:
        pickle.dump(model, file)
    with pytest.raises(ValueError, match=rf"{path} is not read. A pickle runs whatever code .*trust=True.* skops.io.dump"):
        load_model(path)
    assert np.array_equal(load_model(path, trust=True).predict_proba(X), model.predict_proba(X))


def test_a_file_that_holds_no_model_is_named(tmp_path):
    joblib.dump([1, 2], tmp_path / "model.joblib")
    with pytest.raises(TypeError, match=r"model.joblib must be a model, .* got a list"):
        load_model(tmp_path / "model.joblib", trust=True)


def test_what_a_pickle_needs_and_is_not_there_is_named(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"cnothing_here\nThing\n.")
    with pytest.raises(ValueError, match=r"model.pkl needs nothing_here, which is not installed"):
        load_model(tmp_path / "model.pkl", trust=True)


# Torch


def scripted(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.export is newer
        torch.jit.script(module).save(path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".ts", ".torchscript"])
def test_torchscript_is_read_without_trust(tmp_path, suffix, recwarn):
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    expected = net.eval()(torch.from_numpy(X)).softmax(1).detach().numpy()
    path = scripted(net.train(), tmp_path / f"net{suffix}")
    recwarn.clear()
    assert load_model(path, outputs="logits").predict_proba(X) == pytest.approx(expected, abs=1e-6)
    assert not recwarn.list
    with pytest.raises(ValueError, match="probabilities"):
        load_model(path).predict_proba(X)


def test_torchscript_that_ends_in_a_softmax(tmp_path):
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
    loaded = load_model(scripted(net, tmp_path / "net.pt"), outputs="probabilities")
    assert loaded.predict_proba(X) == pytest.approx(net(torch.from_numpy(X)).detach().numpy(), abs=1e-6)


def test_a_pickled_module_is_read_only_when_trusted(tmp_path):
    net, path = nn.Linear(4, 3), tmp_path / "net.pt"
    torch.save(net, path)
    with pytest.raises(ValueError, match=rf"{path} is no TorchScript, but what torch.save wrote.*torch.jit.script"):
        load_model(path, outputs="logits")
    expected = net(torch.from_numpy(X)).softmax(1).detach().numpy()
    assert load_model(path, outputs="logits", trust=True).predict_proba(X) == pytest.approx(expected, abs=1e-6)
    torch.save(net.state_dict(), path)
    with pytest.raises(ValueError, match=r"must hold a torch module, got a collections OrderedDict: weights alone do not say"):
        load_model(path, trust=True)


# ONNX


def exported(model, rows, path, **options):
    path.write_bytes(to_onnx(model, rows, options=options or None).SerializeToString())
    return path


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_of_one_matrix(tmp_path, zipmap):
    model = LogisticRegression().fit(X, Y)
    loaded = load_model(exported(model, X[:1], tmp_path / "model.onnx", zipmap=zipmap))
    found = loaded.predict_proba(X)
    assert found.dtype == np.float32 and found == pytest.approx(model.predict_proba(X), abs=1e-5)
    assert loaded.classes_ == ["low", "mid", "top"]
    assert np.array_equal(loaded.predict_proba(pd.DataFrame(X)), found) and np.array_equal(
        loaded.predict_proba(X.tolist()), found
    )


@pytest.mark.parametrize("zipmap", [True, False])
def test_onnx_of_a_column_an_input(tmp_path, zipmap):
    model = pipeline()
    loaded = load_model(exported(model, FRAME[:1], tmp_path / "model.onnx", zipmap=zipmap))
    shuffled = FRAME[["age", "job", "gain", "hours-per-week"]].assign(more=1)
    assert loaded.predict_proba(shuffled) == pytest.approx(model.predict_proba(FRAME), abs=1e-5)
    places = FRAME.to_numpy(object)
    assert loaded.predict_proba(places) == pytest.approx(model.predict_proba(FRAME), abs=1e-5)


@pytest.mark.parametrize("labels", [[-3, 0, 2**40], ["käse", "a b", ""]])
@pytest.mark.parametrize(
    "model", [RandomForestClassifier(3), LogisticRegression(), GaussianNB(), MLPClassifier((4,), max_iter=9)]
)
@pytest.mark.parametrize("zipmap", [True, False])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_of_an_onnx_graph(tmp_path, labels, model, zipmap):
    model = model.fit(X, np.array(labels)[np.unique(Y, return_inverse=True)[1]])
    loaded = load_model(exported(model, X[:1], tmp_path / "model.onnx", zipmap=zipmap))
    told = zipmap or not isinstance(model, GaussianNB | MLPClassifier)  # those know their labels by a table within the graph
    assert loaded.classes_ == (model.classes_.tolist() if told else None)
    assert loaded.predict_proba(X) == pytest.approx(model.predict_proba(X), abs=1e-4)


def test_labels_of_voters_within_an_onnx_graph_are_not_its_own(tmp_path):
    voters = VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft", flatten_transform=False)
    model = voters.fit(X, np.where(X[:, 0] > 0, 7, 5))
    loaded = load_model(exported(model, X[:1], tmp_path / "model.onnx", zipmap=False))
    assert loaded.classes_ is None and loaded.predict_proba(X) == pytest.approx(model.predict_proba(X), abs=1e-4)


def test_what_is_no_protocol_buffer_has_no_labels(tmp_path):
    content = exported(LogisticRegression().fit(X, Y), X[:1], tmp_path / "model.onnx").read_bytes()
    assert graph_labels(content) == ["low", "mid", "top"] and graph_labels(b"") is None
    for broken in (content[:-5], b"\xff", b"\x0b\x00"):
        with pytest.raises(ValueError, match="no protocol buffer"):
            graph_labels(broken)


def test_onnx_names_what_it_cannot_take(tmp_path):
    loaded = load_model(exported(pipeline(), FRAME[:1], tmp_path / "model.onnx"))
    cases = {
        r"x must have the columns job, age, which .*model.onnx takes, got hours-per-week, gain": FRAME[
            ["hours-per-week", "gain"]
        ],
        r"column job must be text, which the model takes, got 3": FRAME.assign(job=3),
        r"column gain must be numbers, which the model takes: .*'much'": FRAME.assign(gain="much"),
        r"column age must be tensor\(int64\), which the model takes, got 0.5": FRAME.assign(age=0.5),
        r"column age must be tensor\(int64\), which the model takes, got nan": FRAME.assign(age=np.nan),
        r"x must have a column for each input of .* \(hours_per_week, .*got float32 of shape \(120, 3\)": X[:, :3],
        r"x must hold at least one record": FRAME[:0],
    }
    for message, records in cases.items():
        with pytest.raises(ValueError, match=message):
            loaded.predict_proba(records)
    one = load_model(exported(LogisticRegression().fit(X, Y), X[:1], tmp_path / "one.onnx"))
    with pytest.raises(ValueError, match=r"one.onnx takes X: tensor\(float\) .*; it cannot answer about X: shape \(120, 3\)"):
        one.predict_proba(X[:, :3])


def graph(path, batch="n", output=("out", TensorProto.FLOAT, [None, 4]), nodes=None, extra=()):
    """A graph that hands its input on."""
    nodes = nodes or [helper.make_node("Identity", ["x"], ["out"])]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])]
    outputs = [helper.make_tensor_value_info(*each) for each in (output, *extra)]
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=opset, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_onnx_that_answers_logits_says_so(tmp_path):
    path = graph(tmp_path / "net.onnx")
    with pytest.raises(ValueError, match=r"rows that do not sum to one, such as .*: if these are logits, say outputs='logits'"):
        load_model(path).predict_proba(X)
    expected = torch.from_numpy(X).softmax(1).numpy()
    assert load_model(path, outputs="logits").predict_proba(X) == pytest.approx(expected, abs=1e-6)
    named = exported(LogisticRegression().fit(X, Y), X[:1], tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=r"must be 'probabilities': .* answers a probability by the name of each class"):
        load_model(named, outputs="logits")


@pytest.mark.parametrize("batch", [1, 50])
def test_onnx_of_a_fixed_number_of_records_answers_about_any(tmp_path, batch):
    loaded = load_model(graph(tmp_path / "net.onnx", batch), outputs="logits")
    assert loaded.predict_proba(X) == pytest.approx(torch.from_numpy(X).softmax(1).numpy(), abs=1e-6)


def test_onnx_asks_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("mialib.audit.onnx_models._PART", 7)
    loaded = load_model(graph(tmp_path / "net.onnx"), outputs="logits")
    assert loaded.predict_proba(X) == pytest.approx(torch.from_numpy(X).softmax(1).numpy(), abs=1e-6)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_onnx_that_answers_labels_alone(tmp_path, keepdims):
    nodes = [helper.make_node("ArgMax", ["x"], ["out"], axis=1, keepdims=keepdims)]
    path = graph(tmp_path / "a.onnx", output=("out", TensorProto.INT64, [None, 1][: 1 + keepdims]), nodes=nodes)
    assert np.array_equal(load_model(path).predict_proba(X), X.argmax(1))
    with pytest.raises(ValueError, match=r"must be 'probabilities': .*a.onnx answers labels alone, got 'logits'"):
        load_model(path, outputs="logits")


def test_onnx_without_one_vector_of_probabilities_is_refused(tmp_path):
    odd = [helper.make_node("Greater", ["x", "x"], ["out"])]
    with pytest.raises(ValueError, match=r"must have one output of probabilities, .* got out: tensor\(bool\)"):
        load_model(graph(tmp_path / "a.onnx", output=("out", TensorProto.BOOL, [None, 4]), nodes=odd))
    two = [helper.make_node("Identity", ["x"], ["out"]), helper.make_node("Abs", ["x"], ["more"])]
    with pytest.raises(ValueError, match=r"must have one output .* got out: tensor\(float\), more: tensor\(float\)"):
        load_model(graph(tmp_path / "b.onnx", nodes=two, extra=[("more", TensorProto.FLOAT, [None, 4])]))
    one = [helper.make_node("ReduceMax", ["x"], ["out"], axes=[1])]
    with pytest.raises(ValueError, match=r"a probability for each class, got answers of shape \(120, 1\)"):
        load_model(graph(tmp_path / "c.onnx", output=("out", TensorProto.FLOAT, [None, 1]), nodes=one)).predict_proba(X)


def test_onnx_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r'this needs onnxruntime, which is not installed: pip install "mialib\[audit\]"'):
        load_model(graph(tmp_path / "net.onnx"))


# Import paths

MODULE = """
import numpy as np
import torch

class Model:
    def predict_proba(self, x):
        return np.full((len(x), 2), 0.5)

model = Model()
net = torch.nn.Linear(4, 3)

def answers(x):
    return np.full((len(x), 2), 0.5)

def make():
    return Model()

class store:
    inner = Model()

number = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with a module of the user's, which no later test finds."""
    (tmp_path / "my_models.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in ("my_models", "my_broken"):
        sys.modules.pop(name, None)


def test_an_import_path_is_found_from_the_current_directory(here):
    assert load_model("my_models:model").predict_proba(X).shape == (120, 2)
    assert load_model("my_models:store.inner").predict_proba(X).shape == (120, 2)
    assert load_model("my_models:answers")(X).shape == (120, 2)
    net = import_named("my_models:net")
    expected = net(torch.from_numpy(X)).softmax(1).detach().numpy()
    assert load_model("my_models:net", outputs="logits").predict_proba(X) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("my_models:Model", ValueError, r"my_models:Model is a class: name a trained model, such as model = Model\(…\).fit"),
        ("my_models:make", ValueError, r"my_models:make takes no records: if it makes a model, .* model = make\(\) in that"),
        ("my_models:number", TypeError, r"my_models:number must be a model, .* got a int"),
        ("my_models:modle", ValueError, r"my_models has no 'modle'; it has np, torch, Model, model, net, answers"),
        ("my_broken:model", ValueError, r"my_broken cannot be imported .*: ZeroDivisionError: division by zero"),
        (
            "my_nothing:model",
            ValueError,
            r"my_nothing cannot be imported .*: ModuleNotFoundError: No module named 'my_nothing'",
        ),
    ],
)
def test_an_import_path_that_names_no_model_is_refused(here, source, error, message):
    with pytest.raises(error, match=message):
        load_model(source)


def test_logits_are_for_networks_alone(here):
    with pytest.raises(ValueError, match=r"outputs must be 'probabilities' of a my_models Model \(my_models:model\)"):
        load_model("my_models:model", outputs="logits")


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("model.h5", {}, ValueError, r"model must end in .skops, .onnx, .*, or be package.module:name, got 'model.h5'"),
        ("none.skops", {}, ValueError, r"model must be a file, and there is none at none.skops"),
        (3, {}, TypeError, r"model must be the name of a file or an import path, got int"),
        ("none.skops", {"trust": "yes"}, TypeError, r"trust must be True or False, got 'yes' \(str\)"),
        ("none.skops", {"outputs": "odds"}, ValueError, r"outputs must be one of probabilities, logits, got 'odds'"),
    ],
)
def test_what_is_no_source_is_refused(source, options, error, message):
    with pytest.raises(error, match=message):
        load_model(source, **options)


def test_a_name_that_is_no_import_path_is_refused():
    with pytest.raises(ValueError, match=r"an import path must be like package.module:name, got 'train.py'"):
        import_named("train.py")
