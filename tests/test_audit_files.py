"""Records and answers from tables on disk: what is read, and what is said of tables that cannot be."""

import logging

import numpy as np
import pandas as pd
import pytest

from mialib.audit.files import read_answers, read_answers_of_both, read_records

RECORDS = pd.DataFrame({"age": [39, 50, 38], "job": ["clerk", "chef", None], "income": ["<=50K", ">50K", "<=50K"]})
ANSWERS = pd.DataFrame(
    {"id": [7, 8, 9], "truth": ["cat", "dog", "cat"], "dog": [0.2, 0.9, 0.5], "cat": [0.8, 0.1, 0.5], "sex": list("fmf")}
)


def saved(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


# Records


@pytest.mark.parametrize("name", ["in.csv", "in.csv.gz", "in.parquet", "IN.CSV"])
def test_records_and_labels_of_a_table(tmp_path, name):
    frame, labels = read_records(saved(RECORDS, tmp_path / name), "income")
    pd.testing.assert_frame_equal(frame, RECORDS[["age", "job"]])
    assert labels.tolist() == ["<=50K", ">50K", "<=50K"]


def test_an_unnamed_first_column_is_the_index_that_pandas_wrote(tmp_path):
    RECORDS.set_axis([10, 20, 30]).to_csv(tmp_path / "in.csv")
    frame, _ = read_records(tmp_path / "in.csv", "income")
    assert list(frame) == ["age", "job"] and frame.index.tolist() == [10, 20, 30]


def test_records_of_an_npz(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.arange(12, dtype=np.uint8).reshape(3, 2, 2), y=np.array(["a", "b", "a"]))
    x, y = read_records(tmp_path / "in.npz")
    assert x.shape == (3, 2, 2) and x.dtype == np.uint8 and y.tolist() == ["a", "b", "a"]
    with pytest.raises(ValueError, match=r"label must be left out: .*in.npz holds its labels as array y, got 'income'"):
        read_records(tmp_path / "in.npz", "income")


@pytest.mark.parametrize("label", ["salary", None])
def test_a_label_that_is_no_column_is_named_with_the_columns_that_are(tmp_path, label):
    with pytest.raises(ValueError, match=rf"label must be a column of .*in.csv, which has age, job, income, got {label!r}"):
        read_records(saved(RECORDS, tmp_path / "in.csv"), label)


def test_a_separator_other_than_the_comma_is_recognised(tmp_path):
    RECORDS.to_csv(tmp_path / "in.csv", index=False, sep=";")
    with pytest.raises(ValueError, match="separated by commas, and these seem to be by ';'"):
        read_records(tmp_path / "in.csv", "income")


def test_missing_labels_are_counted(tmp_path):
    holes = RECORDS.assign(income=["a", None, None])
    with pytest.raises(ValueError, match=r"in.csv: income must hold a label a row, got 2 that are missing, first in row 1"):
        read_records(saved(holes, tmp_path / "in.csv"), "income")


def damaged(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["in.parquet", "in.csv.gz"])
def test_a_damaged_table_is_named(tmp_path, name):
    damaged(saved(pd.concat([RECORDS] * 2000), tmp_path / name))
    with pytest.raises(ValueError, match=f"{name} cannot be read as a table, damaged or of another kind?"):
        read_records(tmp_path / name, "income")


def test_a_file_that_is_not_what_its_name_says_is_named(tmp_path):
    (tmp_path / "in.parquet").write_text("age,income\n1,a\n")
    (tmp_path / "in.csv.gz").write_text("age,income\n1,a\n")
    (tmp_path / "in.npz").write_bytes(b"x")
    (tmp_path / "empty.csv").touch()
    for name in ("in.parquet", "in.csv.gz", "empty.csv"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as a table"):
            read_records(tmp_path / name, "income")
    with pytest.raises(ValueError, match=r"in.npz must be an npz of plain arrays, and is none, or damaged"):
        read_records(tmp_path / "in.npz")
    np.save(tmp_path / "array", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    with pytest.raises(ValueError, match=r"array.npz must be an npz of plain arrays, and is none"):
        read_records(tmp_path / "array.npz")


def test_a_damaged_npz_is_named(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.zeros((99, 9)), y=np.zeros(99, int))
    damaged(tmp_path / "in.npz")
    with pytest.raises(ValueError, match=r"in.npz must be an npz of plain arrays, and is none, or damaged"):
        read_records(tmp_path / "in.npz")


def test_a_table_without_rows_a_missing_file_and_another_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"in.csv must hold a row a record, got an empty table"):
        read_records(saved(RECORDS[:0], tmp_path / "in.csv"), "income")
    with pytest.raises(ValueError, match=r"no file .*none.csv"):
        read_records(tmp_path / "none.csv", "income")
    with pytest.raises(ValueError, match=r"ends in .csv, .csv.gz, .parquet, .npz, got .*in.xlsx"):
        read_records(tmp_path / "in.xlsx", "income")


def test_an_npz_never_unpickles_and_says_what_it_lacks(tmp_path):
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3)), y=np.array(["a", 1], object))
    with pytest.raises(ValueError, match="npz of plain arrays; text as str, not as objects"):
        read_records(tmp_path / "in.npz")
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3)), labels=np.zeros(2))
    with pytest.raises(ValueError, match="must hold the arrays x and y, got x, labels, without y"):
        read_records(tmp_path / "in.npz")
    np.savez(tmp_path / "in.npz", x=np.zeros((2, 3)), y=np.zeros(3))
    with pytest.raises(ValueError, match=r"x and y must have shapes .* got \(2, 3\) and \(3,\)"):
        read_records(tmp_path / "in.npz")


def test_parquet_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    path = saved(RECORDS, tmp_path / "in.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'this needs pyarrow, which is not installed: pip install "mialib\[audit\]"'):
        read_records(path, "income")


# Answers


@pytest.mark.parametrize("prefix", ["", "p_", "proba_", "prob_", "probability_"])
def test_columns_of_probabilities_are_named_by_the_classes(tmp_path, prefix):
    table = ANSWERS.rename(columns={"cat": f"{prefix}cat", "dog": f"{prefix}dog"})
    found = read_answers(saved(table, tmp_path / "in.csv"), "truth")
    assert found.classes == ("dog", "cat") and found.predicted is None
    assert found.predictions.dtype == np.float32 and found.predictions == pytest.approx(ANSWERS[["dog", "cat"]].to_numpy())
    assert found.labels.tolist() == ["cat", "dog", "cat"]
    pd.testing.assert_frame_equal(found.rest, ANSWERS[["id", "sex"]])


@pytest.mark.parametrize(
    ("labels", "columns"),
    [([1, 0, 1], ["p_0", "p_1", "p_2"]), ([1.0, 0.0, 1.0], ["p_0", "p_1", "p_2"]), ([1, 0, 2], [0, 1, 2])],
)
def test_numbers_are_labels_too(labels, columns):
    table = pd.DataFrame(np.full((3, 3), 1 / 3), columns=columns).assign(label=labels)
    assert read_answers(table, "label").classes == (0, 1, 2)


def test_true_and_false_are_labels_too(tmp_path):
    table = pd.DataFrame({"True": [0.5, 0.1], "False": [0.5, 0.9], "label": [True, False]})
    assert read_answers(saved(table, tmp_path / "in.csv"), "label").classes == (True, False)


def test_a_class_that_no_record_has_is_told(caplog):
    table = ANSWERS.assign(ant=0.0)
    found = read_answers(table.rename(columns={name: f"p_{name}" for name in ("cat", "dog", "ant")}), "truth")
    assert found.classes == ("dog", "cat", "ant")
    assert "no record is of class ant, which has a column all the same" in caplog.text


def test_a_class_that_no_record_has_is_found_where_rows_then_sum_to_one(caplog):
    table = ANSWERS.assign(dog=ANSWERS["dog"] / 2, cat=ANSWERS["cat"] / 2, ant=0.5)
    assert read_answers(table, "truth").classes == ("dog", "cat", "ant")
    assert "class ant" in caplog.text
    alone = read_answers(table.assign(loss=2.5), "truth")  # loss makes them sum to no one
    assert alone.classes == ("dog", "cat") and list(alone.rest) == ["id", "sex", "ant", "loss"]


def test_numbers_beside_whole_answers_are_no_classes(caplog):
    found = read_answers(ANSWERS.assign(loss=0.0), "truth")
    assert found.classes == ("dog", "cat") and "loss" in found.rest and not caplog.text


def test_labels_alone(tmp_path):
    table = pd.DataFrame({"truth": ["b", "a"], "predicted": ["b", "c"]})
    found = read_answers(saved(table, tmp_path / "in.csv"), "truth")
    assert found.predictions is None and found.predicted.tolist() == ["b", "c"] and found.classes == ("a", "b", "c")
    both = read_answers(ANSWERS.assign(prediction=ANSWERS["truth"]), "truth")
    assert both.predictions is not None and both.predicted.tolist() == ["cat", "dog", "cat"]


def test_answers_of_an_npz(tmp_path, caplog):
    p = np.array([[0.25, 0.75], [1, 0]])
    np.savez(tmp_path / "in.npz", predictions=p, labels=np.array([1, 1]), group=np.array(["f", "m"]), more=np.zeros((2, 2)))
    found = read_answers(tmp_path / "in.npz")
    assert found.classes == (0, 1) and found.predictions.tolist() == p.tolist() and found.labels.tolist() == [1, 1]
    assert found.rest["group"].tolist() == ["f", "m"]
    assert "no column, and not used: more" in caplog.text
    np.savez(tmp_path / "in.npz", predictions=p, labels=np.array(["x", "y"]), classes=np.array(["y", "x"]))
    assert read_answers(tmp_path / "in.npz").classes == ("y", "x")
    np.savez(tmp_path / "in.npz", predictions=np.array(["x", "x"]), labels=np.array(["x", "y"]))
    assert read_answers(tmp_path / "in.npz").predicted.tolist() == ["x", "x"]


NPZ = {"predictions": np.full((2, 2), 0.5), "labels": np.array([0, 1])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array(["x", "y"])}, "array classes must name the 2 columns, since labels are x, y"),
        ({"labels": np.array([0, 2])}, "array classes must name the 2 columns, since labels are 0, 2"),
        ({"classes": np.array([0, 0])}, "classes must be 2 different labels, got 0, 0"),
        ({"classes": np.array([0, 3])}, "classes must hold every label, got 0, 3, without 1"),
        ({"predictions": np.zeros((3, 2))}, r"shapes .* got \(3, 2\) and \(2,\)"),
        ({"predictions": np.full((2, 2), 1.5)}, "probabilities must lie in .* 2 rows that do not; row 0: 1.5, 1.5"),
        ({"predictions": np.array([[0.5, 0.5], [np.nan, 1]])}, "1 rows that do not; row 1: nan, 1"),
    ],
)
def test_bad_answers_of_an_npz_are_named(tmp_path, change, message):
    np.savez(tmp_path / "in.npz", **(NPZ | change))
    with pytest.raises(ValueError, match=message):
        read_answers(tmp_path / "in.npz")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (ANSWERS.drop(columns="cat"), "every class must have a column .* there are dog, but not cat"),
        (ANSWERS.rename(columns={"cat": "p_cat"}), "every class must have a column .* there are dog, but not cat"),
        (ANSWERS.drop(columns=["cat", "dog"]), r"column of probabilities for each class \(cat, dog\).*got id, sex"),
        (ANSWERS.assign(p_cat=0, p_dog=1), "must have one column of probabilities, got more: cat and p_cat"),
        (ANSWERS.assign(cat=["0.8", "x", "0.5"]), "probabilities must be numbers: .*'x'"),
        (ANSWERS.assign(cat=[0.8, -0.1, 0.5]), r"must lie in \[0, 1\], got 1 rows that do not; row 1: 0.9, -0.1"),
        (ANSWERS.assign(predicted="cat", prediction="dog"), "one column of labels .* got predicted and prediction"),
        (ANSWERS.assign(predicted=1), r"predicted must be labels of one kind everywhere, got text \('cat'\) and numbers \(1\)"),
        (ANSWERS[:0], "must hold a row a record, got an empty table"),
        (pd.concat([ANSWERS, ANSWERS[["cat"]]], axis=1), "columns of different names, got cat, cat, dog, id"),
        (ANSWERS.rename(columns={"truth": "label"}), "label must be a column of answers, which has id, label, dog"),
    ],
)
def test_bad_answers_of_a_table_are_named(table, message):
    with pytest.raises(ValueError, match=message):
        read_answers(table, "truth")


def test_answers_of_another_type_are_refused():
    with pytest.raises(TypeError, match="answers must be a pandas table or the name of a file, got ndarray"):
        read_answers(np.zeros((2, 2)), "truth")


def test_two_files_are_read_as_of_the_same_classes(tmp_path):
    few = ANSWERS[ANSWERS["truth"] == "cat"][["cat", "dog", "truth", "sex", "id"]]
    members, nonmembers = read_answers_of_both(saved(ANSWERS, tmp_path / "in.csv"), few, "truth")
    assert members.classes == nonmembers.classes == ("dog", "cat")  # though no dog is among the others, and columns are swapped
    assert nonmembers.predictions == pytest.approx(few[["dog", "cat"]].to_numpy())
    assert list(members.rest) == list(nonmembers.rest) == ["id", "sex"]


def test_labels_of_two_files_are_one_set_of_classes():
    tables = [pd.DataFrame({"truth": ["a", "b"], "predicted": [one, "a"]}) for one in "cd"]
    assert {found.classes for found in read_answers_of_both(*tables, "truth")} == {("a", "b", "c", "d")}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (ANSWERS.drop(columns="sex"), r"same columns, got two that differ: members alone has sex$"),
        (ANSWERS.rename(columns={"sex": "age"}), "differ: members alone has sex; nonmembers alone has age"),
        (ANSWERS.assign(truth=[1, 2, 1]), r"members: labels must be labels of one kind .* text \('cat'\) and numbers \(1\)"),
    ],
)
def test_two_files_that_differ_are_named(other, message):
    with pytest.raises(ValueError, match=message):
        read_answers_of_both(ANSWERS, other, "truth")


def test_two_npz_that_differ_are_named(tmp_path):
    np.savez(tmp_path / "in.npz", **NPZ)
    np.savez(tmp_path / "out.npz", **(NPZ | {"predictions": np.full((2, 3), 0.25)}))
    with pytest.raises(ValueError, match=r"must have the same classes .*members \(.*in.npz\): 0, 1; nonmembers \(.*: 0, 1, 2"):
        read_answers_of_both(tmp_path / "in.npz", tmp_path / "out.npz")
    np.savez(tmp_path / "out.npz", **(NPZ | {"predictions": np.array([0, 1])}))
    with pytest.raises(ValueError, match=r"must be answered alike, got members \(.*: probabilities; nonmembers \(.*: labels"):
        read_answers_of_both(tmp_path / "in.npz", tmp_path / "out.npz")


def test_a_hundred_thousand_answers_come_whole(tmp_path, caplog):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(10), 100_000).astype(np.float32)
    table = pd.DataFrame(p, columns=[f"p_{c}" for c in range(10)]).assign(label=rng.integers(10, size=len(p)))
    with caplog.at_level(logging.INFO):
        found = read_answers(saved(table, tmp_path / "in.csv"), "label")
    assert np.array_equal(found.predictions, p) and np.array_equal(found.labels, table["label"]) and not caplog.text
