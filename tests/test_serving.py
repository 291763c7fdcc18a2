"""A model as a service on this machine, asked over HTTP."""

import json
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest

from mialib import audit


class Model:
    """Answers by a record's first number; of tables, by the column `age`."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, x):
        first = x["age"].to_numpy(float) if isinstance(x, pd.DataFrame) else x.reshape(len(x), -1)[:, 0].astype(float)
        if (first < 0).any():
            raise ValueError("an age below 0")
        return np.stack([1 - first / 7, first / 7], 1)


X = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 2), np.uint8)


@pytest.mark.parametrize(
    "x", [X, X.astype(np.float32), X.astype(np.int64), pd.DataFrame({"age": range(6), "city": list("abcdef")})]
)
def test_what_comes_back_is_what_the_model_says(x):
    with audit.serve(Model(), "ages") as url:
        assert np.allclose(audit.Remote(url, model="ages", batch=4).ask(x), Model().predict_proba(x), atol=1e-12)


def test_answers_can_be_rounded_or_labels_alone():
    with audit.serve(Model(), decimals=1) as url:
        assert audit.Remote(url, model="model").ask(X)[:, 1].tolist() == [0.0, 0.1, 0.3, 0.4, 0.6, 0.7]
    with audit.serve(Model(), labels=True) as url:
        assert audit.Remote(url, model="model").ask(X).tolist() == ["no", "no", "no", "no", "yes", "yes"]


def test_labels_are_numbers_of_classes_where_the_model_names_none():
    class Unnamed:
        predict_proba = staticmethod(lambda x: Model().predict_proba(x))

    with audit.serve(Unnamed(), labels=True) as url:
        assert audit.Remote(url, model="model").ask(X).tolist() == [0, 0, 0, 0, 1, 1]


def refused(url, body=None):
    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(urllib.request.Request(url, None if body is None else json.dumps(body).encode()))
    return raised.value.code, json.loads(raised.value.read())["error"]


def test_what_it_cannot_answer_it_says_and_it_goes_on():
    with audit.serve(Model()) as url:
        negative = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [-1.0]}]}
        assert refused(f"{url}/v2/models/model/infer", negative) == (400, "ValueError: an age below 0")
        assert refused(f"{url}/v2/models/other/infer", negative) == (404, "nothing at /v2/models/other/infer")
        assert refused(f"{url}/v2/models/other") == (404, "nothing at /v2/models/other")
        assert len(audit.Remote(url, model="model").ask(X)) == 6
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/v2/health/ready")


def test_what_cannot_be_served_is_named():
    with pytest.raises(TypeError, match=r"model must have predict_proba .*got a str"), audit.serve("model"):
        pass
    with pytest.raises(ValueError, match="decimals must be"), audit.serve(Model(), decimals=0):
        pass
