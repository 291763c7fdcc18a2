"""What an executed notebook says beside its results."""

import nbformat
import pytest

from mialib.runs import quiet


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("as it is\n  further in\n", "as it is\n  further in\n"),
        ("training:  50%|#####     | 1/2\n", ""),
        ("training:  50%|#####     | 1/2\nafter it\n", "after it\n"),
        ("1%\r99%\rwritten over\n", "written over\n"),
        ("Downloading data from 'https://somewhere' to file 'MIALIB_DATA/a.tgz'.\nread\n", "read\n"),
        ("a/auto.py:21: TqdmWarning: IProgress not found. Please update.\n  from .autonotebook import tqdm\nread\n", "read\n"),
        ("…/linear.py:9: ConvergenceWarning: not converged\n  fit(x)\nread\n", "note: not converged\nread\n"),
        ("a.py:1: UserWarning: one\na.py:2: UserWarning: other\n", "note: one\nnote: other\n"),
        ("note: three\nnote: three\nnote: four\nthree\nthree\n", "note: three\nnote: four\nthree\nthree\n"),
        (
            "note: texas: the real data cannot be had, using a STAND-IN (generated records). Tried: Temporary failure\n",
            "note: texas: the real data cannot be had, using a STAND-IN (generated records)\n",
        ),
    ],
)
def test_a_text_is_cleaned_and_stays_clean(said, kept):
    assert quiet.quiet_text(said) == kept
    assert quiet.quiet_text(kept) == kept


def stream(name, text):
    return nbformat.v4.new_output("stream", name=name, text=text)


def outputs_of(*outputs):
    cells = [nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_code_cell("1", outputs=list(outputs))]
    found = quiet.quiet_outputs(nbformat.v4.new_notebook(cells=cells))
    assert found["cells"][0] == cells[0]
    return found["cells"][1]["outputs"]


def test_what_went_to_the_standard_error_stands_among_what_was_printed():
    picture = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
    found = outputs_of(stream("stdout", "one\n"), stream("stderr", "two\n"), picture, stream("stderr", "3%|# | 1/2\n"))
    assert found == [{"name": "stdout", "output_type": "stream", "text": ["one\n", "two\n"]}, picture]


def test_what_is_clean_is_left_alone():
    outputs = [stream("stdout", "one\n"), nbformat.v4.new_output("execute_result", {"text/plain": "3"}, execution_count=1)]
    assert outputs_of(*outputs) == outputs


def test_an_error_stays_what_it_is():
    error = nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=["no"])
    assert outputs_of(error) == [error]
