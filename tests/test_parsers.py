"""Parsers of the official archives, on small archives of their format."""

import io

import numpy as np
import pytest
from archives import rows_of, tar_gz

from mialib.data import parsers
from mialib.data.download import DataCorrupt

RNG = np.random.default_rng(0)
X = RNG.integers(0, 2, (40, 11), np.uint8)
Y = (np.arange(40) * 7 % 100).astype(np.uint8)


def archive(tmp_path, contents):
    path = tmp_path / "dataset.tgz"
    path.write_bytes(tar_gz(contents))
    return path


def same(parsed, x=X, y=Y):
    return all(np.array_equal(*pair) and pair[0].dtype == np.uint8 for pair in zip(parsed, (x, y)))


@pytest.mark.parametrize("quote", ["", '"'])
def test_purchase(tmp_path, quote):
    assert same(parsers.parse_purchase(archive(tmp_path, {"dataset_purchase": rows_of(X, Y, quote)})))


def test_texas(tmp_path):
    labels = "\n".join(str(label + 1) for label in Y).encode()
    contents = {"texas/100/labels": labels, "texas/100/other": b"?", "texas/100/feats": rows_of(X)}
    assert same(parsers.parse_texas(archive(tmp_path, contents)))


@pytest.mark.parametrize("block", [1, 30, 31, 1000])
@pytest.mark.parametrize("end", [b"", b"\n", b"\n\n\n", b"\r\n"])
def test_blocks_and_ends_make_no_difference(monkeypatch, block, end):
    monkeypatch.setattr("mialib.data.parsers.BLOCK", block)
    text = rows_of(X, Y).rstrip() + end
    text = text.replace(b"\n", b"\r\n") if end == b"\r\n" else text
    assert same(parsers.read_bits(io.BytesIO(text), "here", labelled=True))
    bits, labels = parsers.read_bits(io.BytesIO(rows_of(X).rstrip() + end), "here", labelled=False)
    assert np.array_equal(bits, X) and labels.shape == (0,)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"7,0,1,0,1,0,1,0,1,0,1", "row 40: expected a label and 11 bits"),
        (b"7,0,1,0,1,0,1,0,1,0,1,1,1", "row 40: expected a label "),
        (b"7,0,1,0,1,0,2,0,1,0,1,0", "row 40: expected a label and 11 bits .* found '7,0,1,0,1,0,2,0,1,0,1,0'"),
        (b"7,0,1,0,1,0;1,0,1,0,1,0", "row 40: expected a label and 11 bits"),
        (b"7;0,1,0,1,0,1,0,1,0,1,0", "row 40: expected a label and 11 bits"),
        (b"0,0,1,0,1,0,1,0,1,0,1,0", "row 40: expected a label from 1 to 256, found b'0'"),
        (b"257,0,1,0,1,0,1,0,1,0,1,0", "row 40: expected a label from 1 to 256, found b'257'"),
        (b"a,0,1,0,1,0,1,0,1,0,1,0", "row 40: expected a label from 1 to 256, found b'a'"),
        (b"", "row 40: expected a label and 11 bits .* found ''"),
    ],
)
@pytest.mark.parametrize("block", [40, 10_000])
def test_a_bad_row_is_named(tmp_path, monkeypatch, row, message, block):
    monkeypatch.setattr("mialib.data.parsers.BLOCK", block)
    rows = rows_of(X, Y).splitlines()
    text = b"\n".join([*rows[:39], row, *rows[39:]])
    with pytest.raises(DataCorrupt, match=f"dataset.tgz: dataset_purchase, {message}"):
        parsers.parse_purchase(archive(tmp_path, {"dataset_purchase": text}))


def test_bad_texas(tmp_path):
    labels, feats = "texas/100/labels", "texas/100/feats"
    with pytest.raises(DataCorrupt, match="found 40 records and 2 labels"):
        parsers.parse_texas(archive(tmp_path, {labels: b"1\n2\n", feats: rows_of(X)}))
    with pytest.raises(DataCorrupt, match=r"texas/100/feats, row 3: expected 11 bits \(0 or 1\), found '0,1'"):
        text = b"".join([*rows_of(X).splitlines(keepends=True)[:2], b"0,1\n"])
        parsers.parse_texas(archive(tmp_path, {labels: b"1\n2\n3", feats: text}))
    with pytest.raises(DataCorrupt, match="texas/100/labels, row 2: expected a label from 1 to 256, found b'x'"):
        parsers.parse_texas(archive(tmp_path, {labels: b"1\nx", feats: rows_of(X[:2])}))
    with pytest.raises(DataCorrupt, match="found no texas/100/labels"):
        parsers.parse_texas(archive(tmp_path, {feats: rows_of(X)}))


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_no_rows(tmp_path, content):
    with pytest.raises(DataCorrupt, match="found none"):
        parsers.parse_purchase(archive(tmp_path, {"dataset_purchase": content}))
