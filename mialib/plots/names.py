"""What figures, headlines and claims call things: one vocabulary."""

import pandas as pd

SURROGATE = " surrogate"  # what stands in a service's place is called by the service's name and this word
WORDS = {  # targets, shadow data, data sets, readings of noise, metrics, standings, attacks on stocks
    "google": "Google",
    "amazon(10,1e-6)": "Amazon (10, 1e-6)",
    "amazon(100,1e-4)": "Amazon (100, 1e-4)",
    "local": "local network",
    "shadow:real": "real",
    **{f"shadow:noise{rate}": f"{rate}% noise" for rate in (10, 20, 30, 40, 50)},
    "shadow:marginal": "marginal",
    "shadow:model_based": "model-based",
    "adult": "Adult",
    "mnist": "MNIST",
    "location": "Location",
    "texas": "Texas",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    **{f"purchase{n}": f"Purchase-{n}" for n in (2, 10, 20, 50, 100)},
    "flip": "bits flipped",
    "random": "bits replaced",
    "target_test_accuracy": "test accuracy",
    **{f"attack_{metric}": f"attack {metric}" for metric in ("precision", "recall", "accuracy")},
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "shokri": "attack of 2017",
    "confidence": "one threshold",
    "song_mittal": "modified entropy",
    "modified_entropy": "modified entropy",
    "correctness": "gap: right or wrong",
    "attack_p": "Attack-P",
    "attack_r": "Attack-R",
    "watson": "Watson",
    "sablayrolles": "Sablayrolles",
    "base": "BASE",
    "quantile": "quantile regression",
    "rmia_online": "RMIA",
    "rmia_offline": "RMIA, offline",
    "lira_online": "LiRA",
    "lira_online_global": "LiRA, global variance",
    "lira_offline": "LiRA, offline",
    "lira_offline_global": "LiRA, offline, global variance",
    "lira_offline_logpdf": "LiRA, offline as in its code",
    "lira_offline_logpdf_global": "LiRA, offline as in its code, global variance",
    "label_gap": "label alone: right",
    "label_noise": "label alone: noise",
    "label_augmentation": "label alone: views",
    "label_boundary": "label alone: boundary",
    "real data, other conditions": "real data (surrogates, other conditions)",
    "stand-in data": "stand-in data (surrogates, local networks)",
    "blind": "records alone, model unseen",
    "blind_references": "references alone, model unseen",
}
OF_THE_PAPER = {"our_target": "target"}  # columns that are called otherwise in tables of the paper's values


def in_words(value: object, column: str = "") -> str:
    """What a value is called: "google surrogate" is "Google surrogate", 2500 in the column train_size "n = 2,500"."""
    if column == "train_size":
        return f"n = {value:,.0f}"
    name = str(value).removesuffix(SURROGATE)
    return WORDS.get(name, name) + str(value)[len(name) :]


def dataset_label(dataset: object, source: str = "real", target: object = "") -> str:
    """What a data set is called, with what stands in another's place: "Purchase-100 (stand-in, surrogate)".

    source: "standin" marks generated data; target: a name that ends in " surrogate" marks models that stand in for a service's.
    """
    marks = ["stand-in"] * (source == "standin") + ["surrogate"] * str(target).endswith(SURROGATE)
    return in_words(dataset) + (f" ({', '.join(marks)})" if marks else "")


def dataset_labels(rows: pd.DataFrame, *, targets: bool = True) -> dict[object, str]:
    """The `dataset_label` of each data set of a figure's rows, in order of appearance, by its name there.

    rows: dataset and, where they are known, source, and target or our_target: a data set is marked where one of its rows is
    of a stand-in, and where all of its rows are of surrogates. targets: mark surrogates, too.
    """
    labels = {}
    for name, own in rows.groupby("dataset", sort=False):
        source = "standin" if "source" in own and (own["source"] == "standin").any() else "real"
        kinds = [own[column].astype(str) for column in ("our_target", "target") if targets and column in own]
        surrogates = [kind.iloc[0] for kind in kinds if kind.str.endswith(SURROGATE).all()]
        labels[name] = dataset_label(name, source, surrogates[0] if surrogates else "")
    return labels


def shared_label(rows: pd.DataFrame, *, targets: bool = True) -> str:
    """What stands above a figure whose panels all draw the same data sets: the label of the one, or what is common to the names
    of several and the marks that all of them have; "" where several have none in common.
    """
    labels = dataset_labels(rows, targets=targets)
    words = [in_words(name) for name in labels]
    marks = {label[len(word) :] for word, label in zip(words, labels.values(), strict=True)}
    if len(words) == 1:
        return labels.popitem()[1]
    families = {word.partition("-")[0] for word in words}
    family = families.pop() if len(families) == 1 else ""
    return (family + marks.pop()).strip() if len(marks) == 1 and marks != {""} else ""


def line_labels(rows: pd.DataFrame) -> dict[object, str]:
    """What lines or ticks are called that are a data set each: `dataset_labels`, less the marks that `shared_label` gives."""
    return {name: in_words(name) for name in rows["dataset"].unique()} if shared_label(rows) else dataset_labels(rows)


def line_names(table: pd.DataFrame, by: str) -> pd.Series:
    """What the lines of a figure are called, a text a row: the values of the column `by`. A surrogate's line is called like the
    service's, so that it finds the paper's.
    """
    column = by if by in table else OF_THE_PAPER.get(by, by)
    if column not in table:
        raise ValueError(f"by is {by!r}: the table has {', '.join(table.columns)}")
    return table[column].map(lambda value: in_words(value, column).removesuffix(SURROGATE)).astype(object)
