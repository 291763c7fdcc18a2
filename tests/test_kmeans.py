"""k-means on bits: exact, seeded, against literal loops, and with no class that is too small."""

import numpy as np
import pytest

from mialib.data import kmeans


def blobs(n=400, d=30, k=4, seed=0):
    """Records around k prototypes, and which one each is from."""
    rng = np.random.default_rng(seed)
    prototypes = rng.random((k, d)) < 0.5
    which = rng.integers(k, size=n)
    return (prototypes[which] ^ (rng.random((n, d)) < 0.05)).astype(np.uint8), which


def test_separate_groups_are_found():
    x, which = blobs()
    y = kmeans.classes(x, 4)
    assert y.dtype == np.uint8
    assert len({(a, b) for a, b in zip(y.tolist(), which.tolist())}) == 4


def test_scores_are_whole_numbers_and_fall_with_the_distance():
    x, _ = blobs(n=50)
    centres = np.rint(np.random.default_rng(1).random((3, 30)) * kmeans.SCALE).astype(np.float32)
    (scores,) = kmeans._scores(x, centres)
    assert np.array_equal(scores, np.rint(scores))
    for record, row in zip(x.astype(float), scores):
        distances = [((record - centre) ** 2).sum() for centre in centres / kmeans.SCALE]
        expected = [(record.sum() - distance) * kmeans.SCALE / 2 for distance in distances]
        np.testing.assert_allclose(row, expected, atol=0.51)


def test_a_step_is_the_mean_of_the_nearest_records(monkeypatch):
    monkeypatch.setattr("mialib.data.kmeans.RECORDS_A_BLOCK", 64)
    x, _ = blobs(n=300)
    start = x[:5].astype(np.float32) * kmeans.SCALE
    nearest = [int(np.argmin([(record != centre).sum() for centre in x[:5]])) for record in x]
    expected = [np.rint(kmeans.SCALE * x[[i for i in range(300) if nearest[i] == c]].mean(0)) for c in range(5)]
    assert np.array_equal(kmeans._lloyd(x, start, 1), expected)


def test_no_class_is_too_small():
    x = np.zeros((200, 8), np.uint8)
    x[0] = 1  # one record far from all others
    y = kmeans.k_means(x, 4, np.random.default_rng(0), smallest=12)
    assert np.bincount(y, minlength=4).min() >= 12


def test_too_small_classes_take_the_records_that_lose_least():
    scores = np.array([[5, 0, 0], [5, 4, 0], [5, 1, 0], [5, 3, 0], [0, 0, 9]], np.float32)
    assert kmeans._fill_small(scores, 1).tolist() == [0, 1, 0, 0, 2]


def test_labels_are_made_once_for_the_same_records(monkeypatch):
    x, _ = blobs()
    first = kmeans.classes(x, 3)
    monkeypatch.setattr("mialib.data.kmeans.k_means", lambda *_, **__: np.zeros(len(x), np.uint8))
    assert np.array_equal(kmeans.classes(x, 3), first)
    assert not kmeans.classes(x, 2).any() and not kmeans.classes(x[::-1], 3).any()


def test_a_cache_that_cannot_be_written_is_said(monkeypatch, caplog):
    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mialib.core.cache.atomic", refuse)
    assert kmeans.classes(blobs()[0], 3).shape == (400,)
    assert "the cache cannot be written" in caplog.text


def test_the_seed_determines_the_labels():
    x, _ = blobs(k=9)
    again = [kmeans.k_means(x, 5, np.random.default_rng(3), smallest=10) for _ in range(2)]
    assert np.array_equal(*again)


@pytest.mark.parametrize(
    ("x", "n_classes", "smallest", "message"),
    [
        (np.zeros((20, 3), np.float32), 2, 1, "x must be uint8 of 0 and 1"),
        (np.full((20, 3), 2, np.uint8), 2, 1, "up to 2"),
        (np.zeros((20, 4097), np.uint8), 2, 1, "d <= 4096"),
        (np.zeros((20, 3), np.uint8), 1, 1, "n_classes must be between 2 and 256, got 1"),
        (np.zeros((20, 3), np.uint8), 4, 6, r"smallest must be between 1 and 5 \(20 records in 4 classes\), got 6"),
    ],
)
def test_bad_arguments(x, n_classes, smallest, message):
    with pytest.raises(ValueError, match=message):
        kmeans.k_means(x, n_classes, np.random.default_rng(0), smallest)
