"""The data sets: one entry each, with its official files, how they are read, the digests that count as real, and the stand-in.

Location, Purchase, Texas: the public repository privacytrustlab/datasets, at a fixed commit. CIFAR, MNIST: torchvision, and its
checksums. Adult: UCI. Purchase comes with 100 classes; those with fewer are clustered anew, as the paper did (Sec. VI-A).
"""

from functools import partial
from typing import Any

from mialib.data import adult, parsers, standins
from mialib.data.download import File
from mialib.data.official import Clustered, FlatFiles, KeptBits, Source, TorchvisionCifar, TorchvisionMnist


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


CATALOGUE = {
    source.name: source
    for source in (
        Source(
            name="cifar10",
            shape=(60_000, 32, 32, 3),
            n_classes=10,
            official=TorchvisionCifar("CIFAR10"),
            pinned=("795f1793d7b8f8883c578442a02455d2469d49685325e98ea0621b15f4a88d69",),
            stand_in=standins.cifar10,
        ),
        Source(
            name="cifar100",
            shape=(60_000, 32, 32, 3),
            n_classes=100,
            official=TorchvisionCifar("CIFAR100"),
            pinned=("553f84d0e046f6448cd5b910ecfb05732ca403f2868037f08716c5b84373e11e",),
            # The order above is not the official one within the classes of training records, whose own digest is not known.
            pinned_records="ee607bd01423c582ac5a3b3b589b585bfcbdb2fdaed9ae772d615e8e5ae84b9a",
            stand_in=standins.cifar100,
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
            stand_in=standins.mnist,
        ),
    )
}
_WORDS = {
    "cifar10": "airplane car bird cat deer dog frog horse ship truck",
    "cifar100": """
        apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
        caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
        forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
        mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
        possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
        sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
        willow_tree wolf woman worm
    """,
}
CLASS_NAMES = {dataset: words.split() for dataset, words in _WORDS.items()}


def class_name(dataset: str, label: int) -> str:
    """A class in words, where the data set has names for its classes; else its number."""
    return CLASS_NAMES[dataset][label].replace("_", " ") if dataset in CLASS_NAMES else str(label)
