"""A model behind HTTP: what is sent, what is read, what is refused, and that nothing is asked twice or lost."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pandas as pd
import pytest
from served import TEMPLATE, Served
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from mialib import audit, shadow
from mialib.audit import BadAnswer, BudgetSpent, Remote, ServiceFailed, connection, meter
from mialib.audit.payloads import Payload
from mialib.audit.protocols import follow
from mialib.core import Dataset, Split

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS, LABELS = (DIGITS / 16)[:300], LABELS[:300]
MODEL = LogisticRegression(C=0.1).fit(DIGITS, LABELS)
TRUTH = MODEL.predict_proba(DIGITS)
SERVICES = ("v2", "mlflow", "template")
TOKEN = "s3cret-t0ken-of-nobody"


class Income:
    """A model of tables with texts and gaps, and labels that are texts."""

    classes_ = np.array(["<=50K", ">50K"])

    def predict_proba(self, x):
        assert list(x.columns) == ["age", "work", "hours"]
        p = x["age"].to_numpy(float) / 200 + 0.3 * (x["work"] == "state") + 0.1 * x["hours"].isna()
        return np.column_stack([1 - p, p])

    def predict(self, x):
        return self.classes_[self.predict_proba(x).argmax(1)]


PEOPLE = pd.DataFrame(
    {
        "age": [20, 30, 40, 50, 60],
        "work": pd.Categorical(["state", "none", "state", "none", "state"]),
        "hours": [40.0, np.nan, 38.5, 20, np.nan],
    }
)


@pytest.fixture
def slept(monkeypatch):
    """Seconds that were waited between requests; nobody waits for them."""
    pauses = []
    monkeypatch.setattr(meter, "sleep", pauses.append)
    return pauses


@pytest.fixture
def serve():
    """Served(MODEL, …), and what asks it: serve(remote options, **Served's)."""
    running = []

    def start(options=None, model=MODEL, **switches):
        service = Served(model, **switches)
        running.append(service.__enter__())
        return service, asker(service, **(options or {}))

    yield start
    for service in running:
        service.__exit__()


def close(answers, expected):
    """Whether answers are the same but for what a model's own arithmetic makes of other batches."""
    return answers.shape == expected.shape and np.allclose(answers, expected, rtol=0, atol=1e-12)


def asker(service, **options):
    own = {"v2": {"model": "digits"}, "mlflow": {}, "template": {"template": TEMPLATE}}[service.protocol]
    return Remote(service.address, **{"protocol": service.protocol, **own, **options})


# What is sent, and what is read


@pytest.mark.parametrize("protocol", SERVICES)
def test_answers_are_the_model_s_own_in_each_protocol(serve, protocol):
    service, remote = serve({"batch": 128}, protocol=protocol)
    assert close(remote.predict_proba(DIGITS), TRUTH) and close(remote.ask(DIGITS), TRUTH)
    assert service.rows == [128, 128, 44] * 2 and remote.queries == 600
    said = remote.describe()
    assert json.loads(json.dumps(said)) == said and said["answers"] == "vectors of 10 numbers"
    about = ("1", "tests", ["predict_proba"]) if protocol == "v2" else (None, None, [])
    assert (said["model_version"], said["platform"], said["outputs"]) == about
    assert (said["url"], said["requests"], said["retries"]) == (service.address, 8 if protocol == "v2" else 6, 0)
    assert repr(remote).startswith(f"Remote('{service.address}'")


@pytest.mark.parametrize("protocol", SERVICES)
@pytest.mark.parametrize("classes", [None, Income.classes_])
def test_the_rows_of_a_frame_go_out_as_they_came(serve, protocol, classes):
    _, remote = serve({"batch": 2, "classes": classes}, model=Income(), protocol=protocol)
    frame = PEOPLE.set_index(pd.Index([9, 9, 7, 1, 2]))
    assert np.array_equal(remote.predict_proba(frame), Income().predict_proba(PEOPLE))
    assert remote.classes_ == (None if classes is None else ["<=50K", ">50K"])


def test_v2_asks_as_the_protocol_says(serve):
    service, remote = serve()
    remote.ask(DIGITS[:2].astype(np.float32))
    assert service.paths == ["/v2/health/ready", "/v2/models/digits", "/v2/models/digits/infer"]
    (body,) = service.bodies
    assert body["outputs"] == [{"name": "predict_proba"}]
    (tensor,) = body["inputs"]
    assert tensor == {
        "name": "predict",
        "shape": [2, 64],
        "datatype": "FP32",
        "data": DIGITS[:2].astype(np.float32).ravel().tolist(),
    }


@pytest.mark.parametrize(
    ("dtype", "datatype"), [(np.float64, "FP64"), (np.int64, "INT64"), (np.uint8, "UINT8"), (bool, "BOOL"), (str, "BYTES")]
)
def test_v2_names_the_type_of_an_array(serve, dtype, datatype):
    service, remote = serve({}, model=Constant([0.5, 0.5]))
    remote.ask(np.array([[0, 1], [1, 0], [1, 1]]).astype(dtype))
    assert service.bodies[0]["inputs"][0]["datatype"] == datatype


def test_v2_uses_the_one_input_that_the_metadata_lists(serve):
    service, remote = serve(inputs=[{"name": "pixels", "datatype": "FP32", "shape": [-1, 8, 8]}], model=Constant([0.5, 0.5]))
    remote.ask(DIGITS[:2].reshape(2, 8, 8))
    (tensor,) = service.bodies[0]["inputs"]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("pixels", "FP32", [2, 8, 8])
    assert tensor["data"] == DIGITS[:2].ravel().tolist()


def test_v2_sends_a_frame_as_one_input_a_column(serve):
    service, remote = serve(model=Income())
    remote.ask(PEOPLE[:2])
    assert service.bodies[0]["parameters"] == {"content_type": "pd"}
    text = {"parameters": {"content_type": "str"}}
    assert service.bodies[0]["inputs"] == [
        {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [20, 30]},
        {"name": "work", "shape": [2, 1], "datatype": "BYTES", "data": ["state", "none"], **text},
        {"name": "hours", "shape": [2, 1], "datatype": "FP64", "data": [40.0, None]},
    ]


def test_a_template_is_filled_with_rows_as_dicts_of_a_frame(serve):
    service, remote = serve({"template": json.dumps(TEMPLATE)}, model=Income(), protocol="template")
    remote.ask(PEOPLE[:1])
    assert service.bodies == [{"rows": [{"age": 20, "work": "state", "hours": 40.0}], "explain": False}]


def test_mlflow_is_found_below_its_url_or_at_it(serve):
    service, _ = serve(protocol="mlflow")
    for url in (service.url, f"{service.url}/", f"{service.url}/invocations"):
        Remote(url, protocol="mlflow").ask(DIGITS[:3])
    assert service.paths == ["/invocations"] * 3


class Constant:
    """Answers the same to every record."""

    def __init__(self, answer):
        self.answer = answer

    def predict_proba(self, x):
        return np.tile(self.answer, (len(x), 1))


@pytest.mark.parametrize(
    ("path", "found"),
    [("", {"a": [{"b": 1}, {"b": 2}]}), ("a.1", {"b": 2}), ("a.*.b", [1, 2]), ("a.0.b", 1), ("a.*", [{"b": 1}, {"b": 2}])],
)
def test_a_path_leads_to_answers(path, found):
    assert follow({"a": [{"b": 1}, {"b": 2}]}, path) == found


@pytest.mark.parametrize(
    ("path", "there"),
    [("c", "'c'.*found a$"), ("a.2", "'2'.*a list of 2"), ("a.0.b.x", "'x'.*a int"), ("a.*.c", "'c'.*found b")],
)
def test_a_path_that_leads_nowhere_says_what_is_there(path, there):
    with pytest.raises(BadAnswer, match=there):
        follow({"a": [{"b": 1}, {"b": 2}]}, path)


def test_numbers_arrive_to_the_last_bit(serve):
    service, remote = serve(model=Constant([1 / 3, 2 / 3 - 1e-17, 5e-324]))
    x = np.nextafter(DIGITS[:5], 2).astype(np.float32)
    assert np.array_equal(remote.ask(x), np.tile([1 / 3, 2 / 3 - 1e-17, 5e-324], (5, 1)))
    assert service.bodies[0]["inputs"][0]["data"] == x.ravel().tolist()


# Labels, dicts, rounded answers


@pytest.mark.parametrize("protocol", SERVICES)
def test_labels_come_as_they_are_and_as_ones_where_the_classes_are_known(serve, protocol):
    service, remote = serve({"batch": 100}, labels=True, protocol=protocol)
    labels = remote.ask(DIGITS)
    assert np.array_equal(labels, MODEL.predict(DIGITS)) and labels.dtype == np.int64
    vectors = asker(service, classes=MODEL.classes_[::-1]).predict_proba(DIGITS)
    assert np.array_equal(9 - vectors.argmax(1), labels) and np.array_equal(vectors.sum(1), np.ones(300))


def test_labels_without_classes_are_no_probabilities_and_cost_one_batch(serve):
    service, remote = serve(labels=True)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"answers labels, no probabilities: ask\(x\) .* classes=\[…\]"):
            remote.predict_proba(DIGITS)
    assert service.rows == [64]


def test_text_labels_and_labels_of_another_kind(serve):
    _, remote = serve({"classes": ["<=50K", "50K+"]}, model=Income(), labels=True)
    assert remote.ask(PEOPLE).tolist() == Income().predict(PEOPLE).tolist()
    with pytest.raises(ValueError, match=r"answered the labels '>50K', which is none of classes = \['<=50K', '50K\+'\]"):
        remote.predict_proba(PEOPLE.assign(age=190))


@pytest.mark.parametrize("how", ["refuse", "drop"])
def test_a_service_without_probabilities_is_asked_once_and_then_for_what_it_has(serve, caplog, how):
    service, remote = serve({"batch": 100}, hide_output=how)
    assert np.array_equal(remote.ask(DIGITS), MODEL.predict(DIGITS))
    assert caplog.text.count("has no output predict_proba: its output predict is used") == 1
    assert remote.describe()["fell_back"] and remote.describe()["outputs"] == ["predict"] and remote.queries == 300
    assert len(service.bodies) == (4 if how == "refuse" else 3)


def test_a_model_that_has_no_probabilities_gives_labels(serve):
    model = LinearSVC(dual=False).fit(DIGITS, LABELS)
    _, remote = serve(model=model)
    assert np.array_equal(remote.ask(DIGITS), model.predict(DIGITS))


def test_no_other_output_is_taken_in_mid_audit(serve):
    service, remote = serve({"batch": 100})
    remote.ask(DIGITS[:100])
    service.hide_output = "drop"
    with pytest.raises(BadAnswer, match="the output predict_proba came before, and now predict"):
        remote.ask(DIGITS[100:])


@pytest.mark.parametrize("protocol", ["mlflow", "template"])
def test_dicts_are_put_in_the_order_of_the_classes(serve, protocol):
    service, remote = serve(protocol=protocol, dicts=True)
    assert close(remote.predict_proba(DIGITS), TRUTH) and remote.classes_ == list("0123456789")
    backwards = asker(service, classes=MODEL.classes_[::-1])
    assert close(backwards.predict_proba(DIGITS), TRUTH[:, ::-1]) and backwards.classes_ == [*range(9, -1, -1)]


def test_the_first_few_classes_need_the_names_of_all(serve):
    service, remote = serve(protocol="mlflow", dicts=True, top=3)
    with pytest.raises(BadAnswer, match=r"name other classes from record to record .* classes=\[…\]"):
        remote.ask(DIGITS)
    first = np.where(np.sort(TRUTH, 1)[:, -3, None] <= TRUTH, TRUTH, 0)
    assert np.array_equal(asker(service, classes=MODEL.classes_).predict_proba(DIGITS), first)


@pytest.mark.parametrize(("switch", "expected"), [({"decimals": 2}, TRUTH.round(2)), ({"top": 10}, TRUTH)])
def test_rounded_and_whole_answers_come_as_they_are(serve, switch, expected):
    _, remote = serve(**switch)
    assert np.array_equal(remote.ask(DIGITS), expected)


def test_it_is_a_black_box_for_the_rest_of_the_package(serve):
    mixed = LogisticRegression(C=0.1).fit(DIGITS, np.array([*"jihgfedcba"])[LABELS])
    _, remote = serve({"classes": mixed.classes_}, model=mixed)
    dataset = Dataset("digits", DIGITS.astype(np.float32), LABELS, 10, "own", classes=[*"jihgfedcba"])
    split = Split(np.arange(100), np.arange(100, 200))
    data = shadow.query(remote, dataset, split)
    assert (data.predictions.argmax(1) == LABELS[:200]).mean() > 0.9


# Budget, rate, retries


def test_a_budget_is_spent_to_the_row_and_not_beyond(serve):
    service, remote = serve({"max_queries": 150, "batch": 100})
    remote.ask(DIGITS[:100])
    with pytest.raises(
        BudgetSpent, match=r"max_queries = 150 allows 50 rows more, got 51 \(100 used, 51 asked, 150 allowed\)"
    ) as error:
        remote.ask(DIGITS[:51])
    assert (error.value.used, error.value.asked, error.value.allowed) == (100, 51, 150)
    remote.ask(DIGITS[:50])
    assert service.rows == [100, 50] and remote.queries == 150


def test_refusals_cost_no_budget_and_lost_connections_do(serve, slept):
    _, remote = serve({"max_queries": 96, "batch": 32}, faults={0: "429", 1: "503", 2: "drop"})
    remote.ask(DIGITS[:32])
    assert remote.queries == 64
    service, remote = serve({"max_queries": 64, "batch": 32}, faults={1: "cut"})
    with pytest.raises(BudgetSpent, match="64 used, 32 asked, 64 allowed"):
        remote.ask(DIGITS[:64])
    assert service.rows == [32]


def test_a_rate_is_kept_by_waiting_between_batches(serve, slept, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(meter, "monotonic", lambda: clock[0])
    monkeypatch.setattr(meter, "sleep", lambda seconds: (slept.append(seconds), clock.__setitem__(0, clock[0] + seconds)))
    service, remote = serve({"per_second": 40, "batch": 64})
    remote.ask(DIGITS[:100])
    assert service.rows == [40, 40, 20] and slept == [1, 1] and remote.describe()["seconds_paused"] == 2
    service, remote = serve({"per_second": 0.5})
    remote.ask(DIGITS[:3])
    assert service.rows == [1, 1, 1] and slept[2:] == [2, 2]


@pytest.mark.parametrize("fault", ["429", "503", "drop", "cut"])
def test_what_passes_is_tried_again_after_longer_and_longer_waits(serve, slept, caplog, fault):
    _, remote = serve({"batch": 300}, faults=dict.fromkeys(range(4), fault))
    assert close(remote.ask(DIGITS), TRUTH)
    assert all(0.25 * 2**i <= seconds <= 0.5 * 2**i for i, seconds in enumerate(slept)) and len(slept) == 4
    assert remote.describe()["retries"] == 4 and "(4 of 5)" in caplog.text


@pytest.mark.parametrize(
    ("retry_after", "low", "high"),
    [
        ("7", 7, 7.1),
        ("86400", 60, 60.1),
        (format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True), 60, 60.1),
        ("Thu, 01 Jan 2015 00:00:00 GMT", 0, 0.1),
        ("soon", 0.25, 0.5),
    ],
    ids=["seconds", "a_day", "date", "past", "word"],
)
def test_a_service_says_when_to_come_back_within_reason(serve, slept, retry_after, low, high):
    _, remote = serve(faults={0: "429"}, retry_after=retry_after)
    remote.ask(DIGITS[:1])
    assert len(slept) == 1 and low <= slept[0] <= high


def test_a_service_that_never_comes_back_is_named_with_what_it_said(serve, slept):
    service, remote = serve({"retries": 2}, faults=dict.fromkeys(range(9), "503"))
    with pytest.raises(
        ServiceFailed, match=r"/infer answered status 503 \(.*fault 503.*, asked for records 0 to 63 of 300, the last of 3"
    ):
        remote.ask(DIGITS)
    assert len(service.bodies) == 3 and remote.queries == 0


def test_nobody_at_the_address(slept):
    with pytest.raises(
        ServiceFailed, match=r"http://127.0.0.1:9/v2/health/ready could not be reached, asked for its readiness"
    ):
        Remote("http://127.0.0.1:9", model="digits", retries=1).ask(DIGITS)
    assert len(slept) == 1


def test_all_else_is_an_error_at_once(serve, slept):
    service, remote = serve({"batch": 100}, faults={1: "500"})
    with pytest.raises(ServiceFailed, match=r"/infer answered status 500, asked for records 100 to 199 of 300: .*fault 500"):
        remote.ask(DIGITS)
    assert len(service.bodies) == 2 and not slept


def test_an_error_shows_the_beginning_of_what_was_said_and_of_a_traceback_its_end():
    assert connection._telling(b"x" * 20_000) == "x" * 10_000
    assert (
        connection._telling(b"Traceback (most recent call last):\n  File ...\nValueError: 10 features\n\n")
        == "ValueError: 10 features"
    )


def test_redirects_are_not_followed(serve):
    _, remote = serve(faults={0: "302"})
    with pytest.raises(
        ServiceFailed, match=r"status 302 \(it points to http://127.0.0.1:9/elsewhere; redirects are not followed"
    ) as error:
        remote.ask(DIGITS)
    assert "hidden" not in str(error.value)


def test_a_silent_service_is_left(serve, slept):
    service, remote = serve({"timeout": 0.2, "batch": 200}, faults={1: "hang"})
    with pytest.raises(
        TimeoutError, match=r"/infer gave no answer within timeout = 0.2 s, asked for records 200 to 299 of 300"
    ):
        remote.ask(DIGITS)
    assert len(service.bodies) == 2 and not slept and remote.queries == 300


def test_a_service_that_falls_silent_in_mid_answer_is_left_too(serve, slept):
    _, remote = serve({"timeout": 0.2}, faults={0: "stall"})
    with pytest.raises(TimeoutError, match="gave no answer within timeout"):
        remote.ask(DIGITS)
    assert not slept


def test_a_slow_service_is_waited_for_and_its_time_is_told(serve):
    _, remote = serve({"batch": 150}, slow=0.05)
    remote.ask(DIGITS)
    assert remote.describe()["seconds_waited"] >= 0.1


# Answers that are none


@pytest.mark.parametrize(
    ("fault", "protocol", "said"),
    [
        ("half", "v2", "32 answers came for 64 records"),
        ("half", "mlflow", "32 answers came for 64 records"),
        ("classes", "v2", "vectors of 10 numbers came before, and now vectors of 9 numbers"),
        ("classes", "template", "vectors of 10 numbers came before, and now vectors of 9 numbers"),
        ("labels", "mlflow", "vectors of 10 numbers came before, and now labels that are numbers"),
        ("nan", "v2", r"NaN or infinite numbers in 1 of 64 answers \(the first: record 1 of the batch\)"),
        ("nan", "mlflow", "NaN or infinite numbers in 1 of 64 answers"),
        ("text", "v2", "expected JSON, got '<html>Bad gateway"),
        ("empty", "v2", "expected outputs with names, got {}"),
        ("empty", "mlflow", "expected 'predictions' in what it says, found nothing"),
        ("ragged", "template", "answers have 9 to 10 numbers each"),
        ("version", "v2", "model_version changed from 1 to 2 in mid-audit"),
    ],
)
def test_an_answer_that_is_none_is_named_with_its_records(serve, tmp_path, fault, protocol, said):
    service, remote = serve(faults={2: fault}, protocol=protocol)
    remote.keep_in(tmp_path)
    with pytest.raises(BadAnswer, match=rf"{service.url}.*, asked for records 128 to 191 of 300 \(batch = 64\): .*{said}"):
        remote.ask(DIGITS)
    assert service.bodies[3:] == []
    service.faults, service.version, again = {}, "1", asker(service)
    again.keep_in(tmp_path)
    assert close(again.ask(DIGITS), TRUTH) and again.queries == 300 - 128


@pytest.mark.parametrize(
    ("shape", "data", "said"),
    [
        ([2, 2], [0.5, 0.5, 0.5], r"of shape \[2, 2\] must hold 4 values, got 3 values"),
        ([2, 2], None, "must hold 4 values, got none"),
        (None, [0.5] * 4, "expected a shape with output predict_proba, got None"),
        ([2, 2], ["a", "b", "c", "d"], "expected numbers, got"),
        ([2, 2], [0.5, 0.5, None, 0.5], "NaN or infinite numbers in 1 of 2 answers"),
        ([2], [1, "a"], "expected labels that are texts or numbers, got 1, 'a'"),
        ([2], [10**30, 1], "expected labels that are texts or numbers|beyond 64 bits"),
        ([2], [None, None], "expected labels that are texts or numbers, got None"),
    ],
)
def test_tensors_that_are_none(monkeypatch, serve, shape, data, said):
    _, remote = serve()
    output = {"name": "predict_proba", "datatype": "FP64", "shape": shape, "data": data}
    monkeypatch.setattr("served._v2_answer", lambda *_: {"model_version": "1", "outputs": [output]})
    with pytest.raises(BadAnswer, match=said):
        remote.ask(DIGITS[:2])


def test_tensors_may_be_nested_and_the_widest_of_several_outputs_is_taken(monkeypatch, serve):
    _, remote = serve()
    label = {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]}
    vectors = {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [[0.25, 0.75], [1, 0]]}
    monkeypatch.setattr("served._v2_answer", lambda *_: {"outputs": [label, vectors]})
    assert remote.ask(DIGITS[:2]).tolist() == [[0.25, 0.75], [1, 0]]
    assert remote.describe()["outputs"] == ["label", "probabilities"] and remote.describe()["output"] == "probabilities"


# Kept answers


@pytest.mark.parametrize("protocol", SERVICES)
def test_kept_rows_are_not_asked_again_whatever_the_batches(serve, tmp_path, protocol):
    service, first = serve({"batch": 70}, protocol=protocol)
    first.keep_in(tmp_path / "new" / "folder")
    first.ask(DIGITS[:200])
    again = asker(service, batch=33, max_queries=100)
    again.keep_in(tmp_path / "new" / "folder")
    order = np.random.default_rng(0).permutation(300)
    assert close(again.ask(DIGITS[order]), TRUTH[order])
    assert again.queries == 100 and again.describe()["rows_found_kept"] == 200
    assert close(again.ask(DIGITS[[5, 5, 5]]), TRUTH[[5, 5, 5]]) and again.queries == 100


def test_rows_of_frames_are_found_by_what_they_hold(serve, tmp_path):
    service, first = serve(model=Income())
    first.keep_in(tmp_path)
    first.ask(PEOPLE[:3])
    again = asker(service)
    again.keep_in(tmp_path)
    frame = PEOPLE.set_index(pd.Index([*"edcba"])).iloc[::-1]
    assert np.array_equal(again.ask(frame), Income().predict_proba(frame)) and again.queries == 2
    again.ask(PEOPLE[:3].assign(work="other"))
    assert again.queries == 5


@pytest.mark.parametrize("switch", [{"labels": True}, {"dicts": True, "protocol": "mlflow"}])
def test_labels_and_names_of_classes_are_kept_too(serve, tmp_path, switch):
    service, first = serve(**switch)
    first.keep_in(tmp_path)
    answers = first.ask(DIGITS)
    again = asker(service)
    again.keep_in(tmp_path)
    assert np.array_equal(again.ask(DIGITS), answers) and again.queries == 0 and again.classes_ == first.classes_


def test_another_service_model_or_template_is_another_question(serve, tmp_path):
    service, first = serve(protocol="template")
    first.keep_in(tmp_path)
    first.ask(DIGITS)
    for options in ({"template": TEMPLATE | {"request": {"rows": "{{records}}"}}}, {"classes": range(10)}):
        other = asker(service, **options)
        other.keep_in(tmp_path)
        other.ask(DIGITS[:1])
        assert other.queries == 1
    _, elsewhere = serve(protocol="template")
    elsewhere.keep_in(tmp_path)
    elsewhere.ask(DIGITS[:1])
    assert elsewhere.queries == 1


def test_a_model_that_was_replaced_between_two_runs_is_noticed(serve, tmp_path):
    service, first = serve()
    first.keep_in(tmp_path)
    first.ask(DIGITS[:100])
    service.version = "2"
    again = asker(service)
    again.keep_in(tmp_path)
    with pytest.raises(BadAnswer, match="model_version changed from 1 to 2"):
        again.ask(DIGITS)


def test_a_damaged_file_is_named_and_its_rows_are_asked_again(serve, tmp_path, caplog):
    service, first = serve({"batch": 100})
    first.keep_in(tmp_path)
    first.ask(DIGITS)
    paths = sorted(tmp_path.rglob("*.npz"))
    assert len(paths) == 3
    content = bytearray(paths[1].read_bytes())
    content[1000] ^= 1
    paths[1].write_bytes(content)
    paths[2].write_bytes(paths[2].read_bytes()[:50])
    again = asker(service)
    again.keep_in(tmp_path)
    assert close(again.ask(DIGITS), TRUTH) and again.queries == 200
    assert caplog.text.count("a damaged file of kept answers") == 2


def test_a_folder_that_cannot_be_written_to_costs_no_answer(serve, tmp_path, caplog):
    _, remote = serve()
    remote.keep_in(tmp_path)
    (folder,) = tmp_path.iterdir()
    folder.rmdir()
    assert close(remote.ask(DIGITS[:100]), TRUTH[:100])
    assert "answers cannot be kept" in caplog.text


KILLED = """
    import sys
    import numpy as np
    from mialib.audit import Remote

    remote = Remote(sys.argv[1], model="digits", batch=50)
    remote.keep_in(sys.argv[2])
    remote.ask(np.load(sys.argv[3]))
"""


def test_after_a_kill_nothing_that_was_answered_is_asked_again(serve, tmp_path):
    started = []
    service, again = serve(on_request=lambda number: number == 3 and os.kill(started[0].pid, signal.SIGKILL))
    np.save(tmp_path / "x.npy", DIGITS)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), service.url, tmp_path / "kept", tmp_path / "x.npy"]
    started.append(subprocess.Popen(command))
    assert started[0].wait(60) == -signal.SIGKILL
    again.keep_in(tmp_path / "kept")
    assert close(again.ask(DIGITS), TRUTH) and again.queries == 150


# Token, and where records go


def told(remote, folder, caplog):
    """All that a user, a log or a disk gets to see."""
    files = [path.read_bytes().decode("latin-1") + str(path) for path in folder.rglob("*") if path.is_file()]
    return "\n".join([repr(remote), json.dumps(remote.describe()), caplog.text, *files])


def test_the_token_is_sent_and_shown_nowhere(serve, tmp_path, caplog, monkeypatch, slept):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SERVICE_TOKEN", TOKEN)
    service, remote = serve({"token_env": "SERVICE_TOKEN"}, faults={0: "429", 2: "500"})
    remote.keep_in(tmp_path)
    with pytest.raises(ServiceFailed) as error:
        remote.ask(DIGITS)
    assert {headers["Authorization"] for headers in service.headers} == {f"Bearer {TOKEN}"}
    assert "Bearer …" in str(error.value) and error.value.__context__ is None
    assert TOKEN not in str(error.value) + told(remote, tmp_path, caplog) and "Bearer …" in caplog.text
    monkeypatch.setenv("SERVICE_TOKEN", "another")
    remote.ask(DIGITS)
    assert service.headers[-1]["Authorization"] == "Bearer another" and remote.queries == 300


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "token_env names the environment variable SERVICE_TOKEN, which is not set"),
        ("", "which is not set"),
        (f"{TOKEN}\n", "SERVICE_TOKEN must hold a token without blanks, line ends"),
        (f"{TOKEN}é", "SERVICE_TOKEN must hold a token without blanks, line ends or non-ASCII"),
    ],
)
def test_a_token_that_is_none(serve, monkeypatch, value, said):
    monkeypatch.delenv("SERVICE_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("SERVICE_TOKEN", value)
    service, remote = serve({"token_env": "SERVICE_TOKEN"})
    with pytest.raises(ValueError, match=said) as error:
        remote.ask(DIGITS)
    assert TOKEN not in str(error.value) and service.paths == []


def test_no_proxy_and_no_netrc_stands_between_this_machine_and_itself(serve, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("default login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    service, remote = serve()
    remote.ask(DIGITS[:1])
    assert all("Authorization" not in headers for headers in service.headers)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://127.8.9.1", "http://[::1]:8080", "http://localhost/models", "https://localhost"]
)
def test_this_machine_may_be_asked(url):
    assert Remote(url, model="m").url == url


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1", "http://example.org", "http://127.0.0.1.example.org", "http://[::2]", "http://0.0.0.0"]
)
def test_another_machine_only_with_leave(url, caplog):
    with pytest.raises(ValueError, match=r"url must be on this machine .* got host .*allow_remote=True \(--allow-remote\)"):
        Remote(url, model="m")
    assert Remote(url, model="m", allow_remote=True).url == url and f"{url}: records go there unencrypted" in caplog.text
    caplog.clear()
    Remote(url.replace("http:", "https:"), model="m", allow_remote=True)
    assert caplog.text == ""


def test_a_query_is_not_shown(serve):
    service, _ = serve(protocol="template", faults={0: "500"})
    remote = Remote(f"{service.address}?code={TOKEN}", protocol="template", template=TEMPLATE)
    with pytest.raises(ServiceFailed) as error:
        remote.ask(DIGITS)
    assert service.paths == [f"/score?code={TOKEN}"]
    assert TOKEN not in str(error.value) + repr(remote) + json.dumps(remote.describe())


# Bad arguments


V2 = {"url": "http://127.0.0.1:9", "model": "m"}
FILLED = {"url": "http://127.0.0.1:9", "protocol": "template"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (V2 | {"url": f"https://me:{TOKEN}@127.0.0.1"}, "url must hold no user name or password, got one for 127.0.0.1"),
        (V2 | {"url": "http://me@127.0.0.1"}, "no user name"),
        (V2 | {"url": "ftp://127.0.0.1"}, "url must begin with http"),
        (V2 | {"url": "127.0.0.1:8080"}, "url must begin with http"),
        (V2 | {"url": "http://127.0.0.1:99999"}, "url must be an address like"),
        (V2 | {"url": "http://127.0.0.1\\@example.org"}, "url must be plain ASCII without"),
        (V2 | {"url": "http://127.0.0.1/ x"}, "url must be plain ASCII without"),
        (V2 | {"url": "http://127.0.0.1/#x"}, "no fragment"),
        (V2 | {"url": f"http://127.0.0.1/?key={TOKEN}"}, "url must have no query"),
        (V2 | {"url": "http://127.0.0.1/v2/models/m/infer"}, "url must be the address that v2/… lies below"),
        (V2 | {"url": 3}, "url must be a builtins str, got int"),
        (V2 | {"model": None}, "model must be the model's name at the service, which protocol v2 needs, got None"),
        (V2 | {"protocol": "v1"}, "protocol must be one of v2, mlflow, template, got 'v1'"),
        (V2 | {"protocol": "mlflow"}, "model is for protocol v2"),
        (V2 | {"template": TEMPLATE}, "template is for protocol template"),
        (V2 | {"batch": 0}, "batch must be at least 1, got 0"),
        (V2 | {"max_queries": 0}, "max_queries must be at least 1, got 0"),
        (V2 | {"per_second": 0}, "per_second must be above 0, got 0"),
        (V2 | {"allow_remote": "yes"}, "allow_remote must be True or False, got 'yes'"),
        (V2 | {"retries": -1}, "retries must be at least 0, got -1"),
        (V2 | {"timeout": 0}, "timeout must be above 0"),
        (V2 | {"token_env": f"Bearer {TOKEN}"}, r"token_env must be the name of an environment variable \(not the token"),
        (V2 | {"classes": ["a"]}, r"classes must be at least 2 different labels, got \['a'\]"),
        (V2 | {"classes": ["a", "b", "a"]}, "classes must be at least 2 different labels"),
        (FILLED, "template must say what is sent, and where the answers are"),
        (FILLED | {"template": "{"}, "template must be JSON like"),
        (FILLED | {"template": {"request": {}}}, "template must have request and answers, like .*, got request"),
        (FILLED | {"template": {"request": {}, "answers": ""}}, 'template must have "{{records}}" in one place .*, got 0'),
        (FILLED | {"template": {"request": "{{records}}", "answers": 3}}, "answers must be a path like"),
    ],
)
def test_arguments_that_are_refused(options, said):
    with pytest.raises((ValueError, TypeError), match=said) as error:
        Remote(**options)
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (np.empty((0, 3)), "x must hold at least one record, got shape"),
        (np.array([[1, np.inf]]), "x must hold no infinite numbers .*, got 1"),
        (np.array([[1j]]), "x must be an array .* of numbers or texts, or a pandas DataFrame, got complex128"),
        (np.float64(3), "x must be an array"),
        (np.array([[1, "a"]], object), r"numbers or of texts, got objects \(int, str\)"),
        (pd.DataFrame(), "x must hold at least one record and one column"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"columns of different names, got \['a'\] more than once"),
        (pd.DataFrame({"a": [1, "b"]}), "column 'a' of x must hold values of one kind, got int, str"),
        (pd.DataFrame({"a": [1.0, -np.inf]}), "column 'a' of x must hold no infinite numbers"),
        (pd.DataFrame({"a": [[1], [2]]}), "column 'a' of x must hold numbers, texts, booleans or dates, got a list"),
    ],
)
def test_records_that_cannot_be_sent(x, said):
    with pytest.raises((ValueError, TypeError), match=said):
        Remote("http://127.0.0.1:9", model="m").ask(x)


def test_values_of_a_frame_in_the_words_of_json():
    frame = pd.DataFrame(
        {
            "day": pd.to_datetime(["2020-01-02", None]),
            "whole": pd.array([1, None], "Int64"),
            "yes": [True, False],
            "kind": pd.Categorical([3, 4]),
            "7": np.array(["a", None], object),
            "none": [np.nan, np.nan],
        }
    )
    payload = Payload.of(frame)
    assert payload.rows() == [["2020-01-02T00:00:00", 1, True, 3, "a", None], [None, None, False, 4, None, None]]
    assert payload.datatypes == {"day": "BYTES", "whole": "FP64", "yes": "BOOL", "kind": "INT64", "7": "BYTES", "none": "FP64"}
    assert payload.digests("of")[0] == Payload.of(frame[:1]).digests("of")[0] != payload.digests("other")[0]


def test_gaps_of_an_array_go_out_as_null_and_classes_must_fit(serve):
    assert Payload.of(np.array([[1.5, np.nan]])).rows() == [[1.5, None]]
    _, remote = serve({"classes": [0, 1]})
    with pytest.raises(ValueError, match="classes must have a label a column, 10, got 2"):
        remote.predict_proba(DIGITS)
    with pytest.raises(TypeError, match="folder must be a path, got a int"):
        remote.keep_in(3)


def test_a_service_without_the_model_says_so(serve):
    service, _ = serve()
    with pytest.raises(ServiceFailed, match=r"/v2/models/letters answered status 404, asked for the metadata of model letters"):
        Remote(service.url, model="letters").ask(DIGITS)


def test_importing_it_costs_no_http():
    code = (
        "import sys; from mialib.audit import Remote; Remote('http://127.0.0.1:9', model='m'); print('requests' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert audit.Remote is Remote
