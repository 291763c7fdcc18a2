"""The data sets: one entry each, with its official files, how they are read, the digests that count as real, and the stand-in.

Location, Purchase, Texas: the public repository privacytrustlab/datasets, at a fixed commit. CIFAR, MNIST: torchvision, and its
checksums. Adult: UCI. Purchase comes with 100 classes; those with fewer are clustered anew, as the paper did (Sec. VI-A).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mialib import adult, parsers, standin_images, standins
from mialib.layouts import Clustered, FlatFiles, KeptBits, Official, TorchvisionCifar, TorchvisionMnist
from mialib.official import File
from mialib.parsers import Arrays


@dataclass(frozen=True)
class Source:
    """One data set: its shape, its official files, the digests of what counts as real, and its stand-in."""

    name: str
    shape: tuple[int, ...]
    n_classes: int
    official: Official
    pinned: tuple[str, ...]  # sha256 over x.tobytes() + y.tobytes(), y as uint8; none: no prepared file counts as real
    stand_in: Callable[[], Arrays]
    pinned_records: str | None = None  # `prepared.records_digest`: the same content in another order counts as real too
    dtype: str = "uint8"
    kinds: tuple[tuple[Any, ...], ...] | None = None  # of the columns, where they are not all bits or pixels

    @property
    def bits(self) -> bool:
        """Records are rows of bits, rather than pixels or numbers."""
        return self.dtype == "uint8" and len(self.shape) == 2


def _privacytrustlab(name: str, **marks: Any) -> File:
    commit = "169de9de00de049dd2e571cf7279e64698ac046a"
    return File(name, (f"https://github.com/privacytrustlab/datasets/raw/{commit}/{name}",), **marks)


def _uci(name: str, **marks: Any) -> File:
    return File(name, (f"https://archive.ics.uci.edu/ml/machine-learning-databases/adult/{name}",), **marks)


LOCATION = _privacytrustlab(
    "dataset_location.tgz",
    size=287_293,
    sha256="927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
    blob="0cfc2caa0c8c8569cd68a5d4ab369a98c1f98447",
)
PURCHASE = _privacytrustlab("dataset_purchase.tgz", blob="3efa7476ad5ed7ac3e558d28585a186b38fc5f19")
TEXAS = _privacytrustlab("dataset_texas.tgz", blob="966f7ff40b24cf5912ff84759aab9adb8c25f30e")
ADULT = (
    _uci("adult.data", size=3_974_305, md5="5d7c39d7b8804f071cdd1f2a7c460872"),
    _uci("adult.test", size=2_003_153, md5="35238206dfdf7f1fe215bbb874adecdc"),
)


def _purchase(n_classes: int) -> Source:
    official = KeptBits((PURCHASE,), parsers.parse_purchase)
    return Source(
        name=f"purchase{n_classes}",
        shape=(197_324, 600),
        n_classes=n_classes,
        official=official if n_classes == 100 else Clustered(official, n_classes),
        pinned=(),
        stand_in=partial(standins.purchase, n_classes),
    )


SOURCES = {
    source.name: source
    for source in (
        Source(
            name="cifar10",
            shape=(60_000, 32, 32, 3),
            n_classes=10,
            official=TorchvisionCifar("CIFAR10"),
            pinned=("795f1793d7b8f8883c578442a02455d2469d49685325e98ea0621b15f4a88d69",),
            stand_in=standin_images.cifar10,
        ),
        Source(
            name="cifar100",
            shape=(60_000, 32, 32, 3),
            n_classes=100,
            official=TorchvisionCifar("CIFAR100"),
            pinned=("553f84d0e046f6448cd5b910ecfb05732ca403f2868037f08716c5b84373e11e",),
            # The order above is not the official one within the classes of training records, whose own digest is not known.
            pinned_records="ee607bd01423c582ac5a3b3b589b585bfcbdb2fdaed9ae772d615e8e5ae84b9a",
            stand_in=standin_images.cifar100,
        ),
        *map(_purchase, (2, 10, 20, 50, 100)),
        Source(
            name="location",
            shape=(5010, 446),
            n_classes=30,
            official=FlatFiles((LOCATION,), parsers.parse_location),
            pinned=("76e54a08f6bf9e2d4441a3c3a8e2169c4455445db163250c9e5fe0a1956acd3a",),
            stand_in=standins.location,
        ),
        Source(
            name="texas",
            shape=(67_330, 6170),
            n_classes=100,
            official=KeptBits((TEXAS,), parsers.parse_texas),
            pinned=(),
            stand_in=standins.texas,
        ),
        Source(
            name="adult",
            shape=(48_842, 108),
            n_classes=2,
            official=FlatFiles(ADULT, adult.parse),
            pinned=("65be0f8fa1b3d395adfb314e8d98a2065acb5123d15e74c35d1dbcb8a5190b97",),
            stand_in=adult.stand_in,
            dtype="float32",
            kinds=adult.KINDS,
        ),
        Source(
            name="mnist",
            shape=(70_000, 28, 28),
            n_classes=10,
            official=TorchvisionMnist(),
            pinned=("c2069063c1105f2bf96266aef1ff68c6e13bdda7a54e37bf19c16f1db24efc83",),
            stand_in=standin_images.mnist,
        ),
    )
}
