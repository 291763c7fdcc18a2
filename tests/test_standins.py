"""Stand-ins: shapes, skew, density, determinism. What takes long is generated small."""

import numpy as np
import pytest
from archives import replace_source

from benchmarks import standin_purchase
from mialib.core import cache
from mialib.data import catalogue, kmeans, standins
from mialib.data.loading import load


@pytest.fixture(scope="session")
def location_standin():
    return load("location", "standin")


def small_images(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return standins.textured_images(np.random.default_rng(seed), n=50, n_classes=10)


def test_location_standin_has_the_shape_and_skew_of_the_real_one(location_standin):
    x, y = location_standin.x, location_standin.y
    sizes = np.bincount(y, minlength=30)
    assert x.shape == (5010, 446) and set(np.unique(x)) == {0, 1} and 0.10 < x.mean() < 0.14
    assert len(sizes) == 30 and sizes.min() >= 97 and sizes.max() <= 308 and sizes.max() > 2 * sizes.min()
    again = standins.location()
    assert np.array_equal(again[0], x) and np.array_equal(again[1], y)


def test_cifar_standin_has_the_shape_of_the_real_one():
    dataset = load("cifar10", "standin")
    assert dataset.x.shape == (60_000, 32, 32, 3) and dataset.x.dtype == np.uint8
    assert np.bincount(dataset.y).tolist() == [6000] * 10
    assert 100 < dataset.x[:1000].mean() < 155 and dataset.x[:1000].std() > 40


def test_textured_images_are_deterministic():
    (x, y), (again, labels) = small_images(3), small_images(3)
    assert np.array_equal(x, again) and np.array_equal(y, labels) and not np.array_equal(x, small_images(4)[0])


def test_classes_that_k_means_cannot_balance_raise(monkeypatch):
    x = np.zeros((60, 5), np.uint8)
    with pytest.raises(RuntimeError, match="no classes of 10 to 20 records"):
        standins._k_means(x, 3, np.random.default_rng(0), smallest=10, largest=20)


@pytest.fixture
def small_purchase(monkeypatch):
    """Purchase stand-ins of 3,000 shoppers; the list grows each time that they are generated."""
    made, shopping = [], standins.shopping

    def few(rng, n):
        made.append(n)
        return shopping(rng, 3000)

    monkeypatch.setattr("mialib.data.standins.shopping", few)
    for name in [name for name in catalogue.CATALOGUE if name.startswith("purchase")]:
        replace_source(monkeypatch, name, shape=(3000, 600))
    return made


def test_purchase_standins_share_their_records(small_purchase):
    sets = [load(f"purchase{n}", "standin") for n in (2, 10, 20, 50, 100)]
    assert small_purchase == [197_324]
    for dataset in sets:
        n_clusters = standins.CLUSTERS[dataset.n_classes]
        clusters = kmeans.classes(dataset.x, n_clusters)
        assert np.array_equal(dataset.x, sets[0].x)
        assert np.array_equal(dataset.y, standins.grouped(clusters, n_clusters, dataset.n_classes))
        least = n_clusters // dataset.n_classes * (3000 // (4 * n_clusters))
        assert np.bincount(dataset.y, minlength=dataset.n_classes).min() >= least > 0
    assert 0.05 < sets[0].x.mean() < 0.13
    with pytest.raises(ValueError, match="n_classes must be one of 2, 10, 20, 50, 100, got 7"):
        standins.purchase(7)


def test_clusters_are_grouped_whole_and_evenly():
    classes = standins.grouped(np.repeat(np.arange(25), 4), 25, 10)
    assert classes.dtype == np.uint8 and (classes.reshape(25, 4) == classes[::4, None]).all()
    assert sorted(np.bincount(classes[::4])) == [2] * 5 + [3] * 5
    assert classes[::4].tolist() != (np.arange(25) % 10).tolist()


def test_the_calibration_sets_the_published_accuracies_beside_ours():
    sets = standin_purchase.shoppers(1500, {"STAPLES": 60, "OFTEN": 0.2})
    assert standins.STAPLES == 80 and list(sets) == [2, 10, 20, 50, 100]
    assert not np.array_equal(sets[2].x, standin_purchase.shoppers(1500, {})[2].x)
    table = standin_purchase.accuracies(sets, 300)
    assert len(table) == 2 * (5 + 3) and table["ours"].between(0, 1).all()
    rows = table.set_index(["dataset", "target", "metric"])
    assert rows.loc[("purchase100", "google", "target_test_accuracy"), "published"] == 0.659
    assert rows.loc[("purchase100", "amazon(10,1e-6)", "target_test_accuracy"), "published"] == 0.468
    assert np.allclose(table["difference"], table["ours"] - table["published"])


def test_shopping_is_deterministic_and_skewed():
    x, again = (standins.shopping(standins.fixed_generator(0), 1000) for _ in range(2))
    assert np.array_equal(x, again) and x.dtype == np.uint8 and set(np.unique(x)) == {0, 1}
    sold = np.sort(x.mean(0))
    assert sold[-30:].mean() > 5 * sold[:300].mean()


def test_discharges_are_sparse_skewed_and_deterministic():
    x, y = standins.discharges(standins.fixed_generator(0), 3000)
    again, labels = standins.discharges(standins.fixed_generator(0), 3000)
    assert np.array_equal(x, again) and np.array_equal(y, labels)
    assert x.shape == (3000, 6170) and x.dtype == y.dtype == np.uint8 and set(np.unique(x)) == {0, 1}
    assert 60 < x.sum(1).mean() < 110
    sizes = np.sort(np.bincount(y, minlength=100))
    assert len(sizes) == 100 and sizes[0] > 0 and sizes[-10:].mean() > 4 * sizes[:50].mean()
    frequent = np.sort(x.mean(0))
    assert frequent[-100] > 10 * frequent[3000]


def test_texas_standin_is_made_once(monkeypatch):
    made, discharges = [], standins.discharges

    def few(rng, n):
        made.append(n)
        return discharges(rng, 200)

    monkeypatch.setattr("mialib.data.standins.discharges", few)
    replace_source(monkeypatch, "texas", shape=(200, 6170))
    first, second = load("texas", "standin"), load("texas", "standin")
    assert made == [67_330] and np.array_equal(first.x, second.x) and np.array_equal(first.y, second.y)
    for path in cache.cache_folder().rglob("*.npz"):
        path.write_bytes(b"spoiled")
    assert np.array_equal(load("texas", "standin").x, first.x) and len(made) == 2


def test_cifar100_standin(monkeypatch):
    textured = standins.textured_images
    monkeypatch.setattr("mialib.data.standins.textured_images", lambda rng, n, **settings: textured(rng, 300, **settings))
    replace_source(monkeypatch, "cifar100", shape=(300, 32, 32, 3))
    dataset = load("cifar100", "standin")
    assert np.bincount(dataset.y).tolist() == [3] * 100 and dataset.x.dtype == np.uint8


def test_strokes_are_deterministic_white_on_black():
    (x, y), (again, labels) = (standins.strokes(standins.fixed_generator(1), 200, 10) for _ in range(2))
    assert np.array_equal(x, again) and np.array_equal(y, labels)
    assert x.shape == (200, 28, 28) and x.dtype == np.uint8 and x.max() == 255 and x.min() == 0 and 10 < x.mean() < 40
    assert np.bincount(y).tolist() == [20] * 10


def test_mnist_standin_has_the_shape_of_the_real_one():
    dataset = load("mnist", "standin")
    assert dataset.x.shape == (70_000, 28, 28) and np.bincount(dataset.y).tolist() == [7000] * 10
