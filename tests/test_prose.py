"""Numbers in the notebooks' prose are those of their committed tables: a sentence fails here when its table changes."""

import json
from pathlib import Path

import pandas as pd
import pytest
from test_readme_numbers import numbers

from mialib import runs
from mialib.paper import curves, modern_published, published
from mialib.study import google

ROOT = Path(__file__).resolve().parent.parent
WORDS = "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"
NUMBER_WORDS = dict(enumerate(WORDS))
LEARNED = "one network a class"


def table(notebook, name):
    """A table of the notebook's committed run; the test is skipped where that is not in this checkout."""
    for run in ("paper", "paper-standin"):
        if (folder := ROOT / "results" / run / notebook).exists():
            return runs.read_table(folder, name)
    pytest.skip(f"the committed run of {notebook} is not in this checkout")


def rows(notebook, name, **wanted):
    found = table(notebook, name)
    for column, value in wanted.items():
        found = found[found[column] == value]
    assert len(found), (notebook, name, wanted)
    return found


def cell(notebook, name, column="value", **wanted):
    """The one value of a column in the rows that are wanted."""
    return rows(notebook, name, **wanted)[column].item()


def said(value, digits=3):
    return f"{value:.{digits}f}"


def listed(values, digits=3, last=", "):
    """0.1, 0.2 and 0.3."""
    *first, end = [said(value, digits) for value in values]
    return last.join([", ".join(first), end])


def ordinal(number):
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    last = {1: "st", 2: "nd", 3: "rd"} if number % 100 not in (11, 12, 13) else {}
    return f"{number}{last.get(number % 10, 'th')}"


def interval(row, digits=3):
    return f"{said(row['value'], digits)} [{said(row['low'], digits)}, {said(row['high'], digits)}]"


def known(**wanted):
    """The one value that the paper gives."""
    found = published()
    for column, value in wanted.items():
        found = found[found[column] == value]
    return found["value"].drop_duplicates().item()


def target_accuracies(notebook, our_target, dataset=None, digits=3, last=" and "):
    """The targets' accuracies on members and on fresh records, mean over targets."""
    targets = rows(notebook, "accuracies", our_target=our_target, model="target")
    if dataset is not None:
        targets = targets[targets["dataset"] == dataset]
    return listed(targets[["train_accuracy", "test_accuracy"]].mean(), digits, last)


def by_hand():
    counts = table("00_attack_by_hand", "counts").set_index(["member", "called a member"])["count"]
    assert counts[True, True] / counts[True].sum() > 0.95  # "nearly all members"
    assert round(5 * counts[False, False] / counts[False].sum()) == 4
    yield "Nearly all members lie to the right of the line, and four of five non-members to its left."
    figure_8 = {"id": "F8", "setting": "shadow:real", "target": "google"}
    rates = [known(metric=f"attack_{metric}", **figure_8) for metric in ("precision", "recall")]
    yield f"called members {rates[0]:.1%} were members (*precision*), and it found {rates[1]:.0%} of them (*recall*)"
    google = [known(id="T2", dataset="location", metric=f"target_{side}_accuracy") for side in ("train", "test")]
    yield f"erred on a third of the others ({listed(google, last=' and ')})"


def of_classes(train_size):
    """Fig. 4's ten classes of CIFAR-10: published and ours."""
    compared = rows("01_cifar10", "compared", train_size=train_size)
    return compared[compared["metric"].str.startswith("attack_precision_class_")].set_index("metric")[["published", "value"]]


SIZES = (2500, 5000, 10000, 15000)


def first_notebook():
    fig4 = published().query("id == 'F4' and dataset == 'cifar10'").sort_values("train_size")
    low, usual = (fig4.loc[fig4["metric"] == f"attack_precision_{name}", "value"] for name in ("p50", "median"))
    yield f"Median precision of a class: {listed(low, 2)}; recall almost 1; guessing gives 0.5"
    test = known(id="F4", dataset="cifar10", metric="target_test_accuracy")
    yield f"test accuracy was {test:g} at 15,000"
    points = curves("Fig. 4 left").groupby("series", sort=False)["value"]
    fifths = sorted((points.nsmallest(5).groupby("series").max()), reverse=True)
    yield f"The four that the paper prints, {listed(low, 2, last=' and ')}, are the fifth smallest"
    yield f"the ten values that it draws ({listed(fifths)})"
    yield f"between the fifth and the sixth ({listed(usual)})"
    yield from classes_of_cifar10()
    yield from trainings_of_cifar10()
    yield from attacks_on_cifar10()


def classes_of_cifar10():
    classes = [of_classes(size) for size in SIZES]
    least = [set(classes[0][column].nsmallest(5).index) for column in classes[0]]
    most = [set(classes[0][column].nlargest(2).index) for column in classes[0]]
    assert least[0] == least[1] and most[0] == most[1]  # planes, cars, frogs, horses and ships; birds and cats
    alike = [each.corr("spearman").iloc[0, 1] for each in classes]
    yield f"rank correlations of the ten classes are {listed(alike, 2, ' and ')}"
    away = [(each["value"] - each["published"]).abs().mean() for each in classes]
    yield f"a class lies {listed(away, last=' and ')} from the paper's"
    means = rows("01_cifar10", "compared", metric="attack_precision_mean").sort_values("train_size")
    yield f"{listed(means['value'], last=' and ')}, where the paper has {listed(means['published'], last=' and ')}"
    followed = table("01_cifar10", "followed_up").set_index(["way", "metric"]).sort_index()["value"]
    recalls = [followed[way, "attack_recall"] for way in ("the attack", "told probabilities")]
    yield f"a recall of {said(recalls[0].min())} to {said(recalls[0].max())}"
    plain = followed["told probabilities", "attack_precision_mean"].sort_values(ascending=False)
    yield f"it has {listed(plain, last=' and ')}, at {said(recalls[1].min())} to {said(recalls[1].max())}"
    differing = rows("99_scoreboard", "differing", dataset="cifar10")
    back = differing["within"].str.contains("told probabilities", na=False)
    yield f"{NUMBER_WORDS[int(back.sum())].capitalize()} of the {NUMBER_WORDS[len(back)]} values that lie further than 0.05"
    assert differing.loc[~back, ["train_size", "metric"]].apply(tuple, axis=1).tolist() == [
        (2500, "attack_precision_class_6"), (5000, "attack_precision_class_10"), (10000, "attack_precision_class_10")
    ]  # fmt: skip


def trainings_of_cifar10():
    shadows = table("01_cifar10", "shadows")
    yield f"Of {len(shadows)} shadows the worst knows {said(shadows['train_accuracy'].min())} of its training set"
    alternatives = table("01_cifar10", "alternatives").set_index("choice")
    chosen = alternatives.loc["chosen: Adam, batches of 32, 32 filters of 5 x 5"]
    ends = [said(each["test_accuracy"]) for each in (alternatives.loc["ends after all epochs"], chosen)]
    yield f"all 100 epochs classifies {ends[0]} of fresh pictures, one that stops {ends[1]}"
    for choice in ("batches of 100", "filters of 3 x 3", "ends at a loss of 0.1"):
        assert chosen["low"] < alternatives.loc[choice, "test_accuracy"] < chosen["high"], choice
    slow = said(alternatives.loc["SGD, rate 0.001", "train_accuracy"], 2)
    yield f"the rate 0.001 with plain SGD, taken literally, has learned {slow} of its training set after 100 epochs"
    yield f"64 filters would reach {said(alternatives.loc['64 filters', 'test_accuracy'])}"
    targets = rows("01_cifar10", "accuracies", model="target").groupby("train_size")["test_accuracy"].mean()
    test = known(id="F4", dataset="cifar10", metric="target_test_accuracy")
    yield f"{said(targets[15000])} at 15,000 pictures, where the paper has {test:g}"


def attacks_on_cifar10():
    counts = rows("01_cifar10", "by_shadow_count", metric="precision", train_size=2500).sort_values("k")
    assert counts["k"].tolist() == [1, 2, 5, 10]
    yield f"{listed(counts['value'], last=' and ')} with 1, 2, 5 and 10"
    found = table("01_cifar10", "summary").set_index(["train_size", "attack", "metric"])["value"]
    both = [said(found[2500, attack, metric]) for metric in ("precision", "recall") for attack in (LEARNED, "confidence")]
    yield f"precision {both[0]} and {both[1]}, recall {both[2]} and {both[3]}"
    ranking = rows("01_cifar10", "ranking", train_size=2500).groupby("attack")["tpr_at_0.01"].mean()
    yield f"finds {ranking[LEARNED]:.0%} of the members, the threshold {ranking['confidence']:.0%}"
    hidden = rows("01_cifar10", "pictures", exposed=False)
    yield f"is answered with {said(hidden['confidence'].min(), 2)} or more"
    assert (hidden["score"] < 0).all() and len(hidden) == 10  # "in all ten classes"


def second_notebook():
    stated = "id == 'F4' and dataset == 'cifar100' and metric == 'attack_precision_p50' and reading != 'drawn'"
    theirs = [f"{value:g}" for value in published().query(stated).sort_values("train_size")["value"]]
    yield f"Median precision of a class: {', '.join(theirs)}; recall almost 1; guessing gives 0.5"
    test = known(id="F4", dataset="cifar100", metric="target_test_accuracy")
    yield f"test accuracy was only {test:g} at 29,540"
    targets = rows("02_cifar100", "accuracies", model="target").groupby(["train_size", "variant"])["test_accuracy"].mean()
    ours = [said(targets[size]) for size in ((4600, "none"), (10520, "none"), (29540, "none"))]
    yield f"classifies {ours[0]} of fresh pictures after 4,600, {ours[1]} after 10,520 and {ours[2]} after 29,540"
    yield f"the paper's had {test:g} at 29,540"
    yield from precision_on_cifar100()
    yield from shadows_that_break_the_rule()
    yield f"the paper has {theirs[2]} and {theirs[3]}"
    knows = cell("02_cifar100", "accuracies", "train_accuracy", model="target", train_size=29540)
    yield f"knows {said(knows)} of its training set after 100 epochs"


def precision_on_cifar100():
    compared = rows("02_cifar100", "compared", variant="none").set_index(["our_train_size", "metric"])
    medians = [said(compared.loc[(size, "attack_precision_p50"), "value"]) for size in (4600, 10520)]
    ten = rows("01_cifar10", "compared", metric="attack_precision_p50")["value"]
    yield f"medians of {medians[0]} and {medians[1]}, where CIFAR-10 has {said(ten.min())} to {said(ten.max())}"
    yield f"Recall is {said(compared.xs('attack_recall', level=1)['value'].min())} or more"
    followed = table("02_cifar100", "followed_up").set_index(["way", "our_train_size", "metric"])["value"]
    least = "attack_precision_min"
    for size in (4600, 10520):
        lowest, own = compared.loc[(size, least)], said(followed["the target's own answers", size, least])
        ends = f"{said(lowest['value'])} for {said(lowest['published'])} at {size:,}"
        yield f"{ends} (thresholds on the target's own answers: {own})"
    plain = [said(followed["told probabilities", size, "attack_precision_p50"]) for size in (4600, 10520)]
    yield f"have medians of {plain[0]} and {plain[1]}"
    losses = rows("02_cifar100", "inputs", metric="log_loss", train_size=10520, records="new").set_index("inputs")["value"]
    chosen, odds, plain = (said(losses[each]) for each in ("-log(1-p)", "log-odds", "probabilities"))
    yield f"a log loss of {chosen} with −log(1 − p), of {odds} with log-odds, of {plain} with the probabilities as they come"
    counts = table("02_cifar100", "by_shadow_count").set_index(["metric", "train_size", "k"])["value"]
    one, five = (said(counts["precision", 10520, k]) for k in (1, 5))
    yield f"Precision at 10,520 is {one} with one shadow and {five} with five"


def shadows_that_break_the_rule():
    broken = table("02_cifar100", "broken_rule").set_index(["train_size", "variant", "metric"])["value"]
    swapped, ruled = (broken[10520, variant, "precision"] for variant in ("swapped", "none"))
    yield f"the one swapped shadow gives precision {said(swapped)}, five disjoint ones {said(ruled)}"
    for size in (19920, 29540):
        pair = [said(broken[size, variant, "precision_p50"]) for variant in ("swapped", "smaller")]
        yield f"{pair[0]} with a swapped shadow and {pair[1]} with smaller ones at {size:,}"


def third_notebook():
    compared = table("03_purchase", "compared")
    google = compared[(compared["id"] == "T2") & (compared["metric"] == "attack_precision")]
    google = google.set_index("dataset").loc[[f"purchase{n}" for n in (2, 10, 20, 50, 100)]]
    yield f"{listed(google['value'])} with 2, 10, 20, 50, 100 classes; the paper has {listed(google['published'])}"
    targets = rows("03_purchase", "accuracies", our_target="local", model="target")
    train, test = targets[["train_accuracy", "test_accuracy"]].mean()
    yield f"ours, after six epochs, has {said(train)} and {said(test)} in the committed run"
    median = rows("03_purchase", "compared", id="F7", metric="attack_precision_p50", our_target="local").iloc[0]
    yield f"median precision of a class {said(median['value'])}, the paper's {said(median['published'])}"
    own = [said(known(id="T1", target="local", metric=f"target_{side}_accuracy")) for side in ("train", "test")]
    yield f"ours at {said(train)} of it, the paper's at {own[0]}"
    yield f"the paper's stopped at {own[0]} on its training set and {own[1]} on fresh records"
    precision = rows("03_purchase", "summary", attack=LEARNED, metric="precision").set_index("our_target")["value"]
    short, long = (precision[f"amazon({kind}) surrogate"] for kind in ("10,1e-6", "100,1e-4"))
    yield f"(100, 1e-4) has {said(long)}, (10, 1e-6) {said(short)}"
    families = rows("03_purchase", "families", metric="attack_precision").set_index(["family", "n_classes"])["value"]
    network, machine = (families[family].sort_index() for family in ("network", "kernel machine"))
    yield f"the network has {listed(network)}, the kernel machine {listed(machine)}"
    assert network.is_monotonic_increasing and machine.is_monotonic_increasing
    taken = table("03_purchase", "family_choices").set_index("n_classes")["taken"]
    assert taken[[2, 10]].eq("network").all() and taken[[50, 100]].eq("kernel machine").all() and "%" in taken[20]
    yield f"an interval over them says next to nothing ([{said(google['low'].iloc[2])}, {said(google['high'].iloc[2])}])"
    yield f"at {said(test)} leaks least ({said(precision['local'])})"
    assert precision.idxmin() == "local" and precision.idxmax() == "google surrogate"
    best = rows("03_purchase", "compared", id="T1", metric="target_test_accuracy").set_index("our_target")["value"]
    assert best.idxmax() == "google surrogate"
    surrogate = said(best["google surrogate"]), said(precision["google surrogate"])
    yield f"fresh records best ({surrogate[0]}) and is given away almost wholly ({surrogate[1]})"
    ends = [known(id="T2", dataset=f"purchase{n}", metric="attack_precision") for n in (100, 2)]
    yield f"leaked most: an attack precision of {said(ends[0])} where guessing gives 0.5"
    yield f"from {said(ends[0])} at 100 classes down to {said(ends[1])} at two"
    pooled = compared[compared["dataset"] == "Purchase-10..100 pooled"].set_index("metric")
    share, gap = (pooled.loc[f"spearman({of},attack_precision)"] for of in ("train_fraction", "train_test_gap"))
    yield f"class share and precision {said(share['value'], 2)} (paper: {said(share['published'], 2)})"
    yield f"({said(gap['value'], 2)} against {said(gap['published'], 2)})"


def fourth_notebook():
    yield from location_by_the_rule()
    yield from location_with_noise()
    yield from location_inputs()


def location_by_the_rule():
    plain = rows("04_location", "summary", setting="shadow:real")
    learned = plain[(plain["attack"] == LEARNED) & (plain["metric"] == "precision")].set_index("our_target")
    theirs = said(known(id="F8", target="google", setting="shadow:real", metric="attack_precision"))
    yield f"attacked with precision {interval(learned.loc['google surrogate'])}, where the paper has {theirs}"
    train, test = target_accuracies("04_location", "google surrogate").split(" and ")
    google = known(id="T2", dataset="location", metric="target_train_accuracy")
    tests = [known(id=each, dataset="location", metric="target_test_accuracy") for each in ("F8", "T2")]
    yield f"(train {train}, test {test}; Google {said(google)} and {tests[0]:g} or {said(tests[1])})"
    network = target_accuracies("04_location", "local")
    yield f"nearly the same accuracies ({network}), gives {said(learned.loc['local', 'value'])}"
    found = plain.set_index(["metric", "attack", "our_target"])["value"]
    kinds = ("google surrogate", "local")
    right = listed([found["precision", "correctness gap", kind] for kind in kinds], last=" and ")
    yield f"already has precision {right}"
    both = [listed([found["accuracy", each, kind] for each in (LEARNED, "confidence")], last=" and ") for kind in kinds]
    yield f"learned attack and of one confidence threshold: {both[0]} on the surrogate, {both[1]} on the network"
    ranks = table("04_location", "ranking").groupby(["our_target", "attack"])["tpr_at_0.01"].mean()["local"]
    yield f"they find {ranks[LEARNED]:.0%} of the local network's members against {ranks['confidence']:.0%}"
    n_targets = int(table("04_location", "accuracies")["target"].nunique())
    yield f"60 shadow models for each of {NUMBER_WORDS[n_targets]} targets"
    counts = rows("04_location", "by_shadow_count", metric="accuracy").set_index(["our_target", "k"])["value"]
    one, sixty = ([said(counts[kind, k]) for kind in kinds] for k in (1, 60))
    yield f"accuracy {one[0]} with one and {sixty[0]} with sixty on the surrogate, {one[1]} and {sixty[1]} on the network"


def location_with_noise():
    accuracies = table("04_location", "accuracies").set_index("setting")["test_accuracy"]
    plain, noisy = accuracies.loc["shadow:real"], accuracies.drop("shadow:real")
    yield f"classify {plain.min():.0%} to {plain.max():.0%} in the committed run"
    yield f"shadows on noisy data classify {noisy.min():.0%} to {noisy.max():.0%} of *their* non-members"
    noises = {"shadow:real": "with real shadow data", "shadow:noise10": "with 10% noise", "shadow:noise20": "with 20% noise"}
    precisions, recalls = (
        [known(id="F8", target="google", setting=each, metric=f"attack_{metric}") for each in noises]
        for metric in ("precision", "recall")
    )
    yield ", ".join(f"{said(value)} {words}" for value, words in zip(precisions, noises.values(), strict=True))
    yield f"at a recall of {said(min(recalls), 2)} to {said(max(recalls), 2)}"
    yield f"We expected a fall to {said(precisions[-1])} at 20%"
    yield f"while the paper's recall rose to {said(recalls[-1])}"
    learned = (
        rows("04_location", "summary", attack=LEARNED)
        .set_index(["setting", "variant", "our_target", "metric"])["value"]
        .sort_index()
    )
    plain, noisy = learned["shadow:real", "none"], learned["shadow:noise20", "flip"]
    pairs = [("google surrogate", metric) for metric in ("precision", "recall")]
    ends = [f"{said(plain[pair])} to {said(noisy[pair])}" for pair in pairs]
    yield f"even gains ({ends[0]}) and loses recall ({ends[1]})"
    assert said(noisy["local", "precision"]) == said(plain["local", "precision"])
    yield f"local network's attacker has {said(noisy['local', 'precision'])}, as without noise"
    coins = rows("04_location", "noise_effects", setting="shadow:noise50").sort_values("our_target", ascending=False)
    ends = [listed(coins[metric], last=" and ") for metric in ("precision", "recall")]
    yield f"ten shadows give {ends[0]}, at recalls of {ends[1]}"


def location_inputs():
    losses = rows("04_location", "inputs", metric="log_loss").set_index(["our_target", "records", "inputs"])["value"]
    network = {key: said(value) for key, value in losses["local"].items()}
    odds, plain, chosen = "log-odds", "probabilities", "-log(1-p)"
    yield f"log loss {network['shared', odds]} on the network, {network['shared', plain]} with probabilities"
    yield f"they are worst ({network['new', odds]}, {network['new', plain]})"
    yield f"not with those ({network['target', odds]}, {network['target', plain]})"
    surrogate = [said(losses["google surrogate", "new", each]) for each in (chosen, plain, odds)]
    yield f"({network['new', chosen]}; on the surrogate {surrogate[0]} against {surrogate[1]} and {surrogate[2]})"


def fifth_notebook():
    counts = rows("05_texas", "by_shadow_count", metric="precision").set_index("k")["value"]
    yield f"about as good as ten** against the surrogate: precision {said(counts[1])} and {said(counts[10])}"
    assert abs(counts[1] - counts[10]) < 0.01
    found = rows("05_texas", "summary", attack=LEARNED).set_index(["our_target", "metric"])["value"]
    known = rows("05_texas", "compared", id="T2", metric="attack_precision")["published"].iloc[0]
    precision, recall = (found["google surrogate", metric] for metric in ("precision", "recall"))
    yield f"precision {said(precision)} where the paper has {said(known)}, and recall {said(recall)}"
    yield f"trained on 10,000 stays: attack precision {said(known)} over all records"
    train, test = target_accuracies("05_texas", "google surrogate", digits=4).split(" and ")
    google = rows("05_texas", "compared", id="T2")
    google = google.drop_duplicates("metric").set_index("metric")["published"]
    yield f"({float(test):.3f}; the paper's Table II has {said(google['target_test_accuracy'])})"
    yield f"by heart ({train}), where Google's knew two thirds of its own ({said(google['target_train_accuracy'])})"
    tests = rows("05_texas", "accuracies", model="target").groupby("our_target")["test_accuracy"].mean()
    assert tests["local"] < tests["google surrogate"]
    most = said(found["local", "precision"])
    yield f"leaks most of all**, {most}, at a slightly lower test accuracy ({said(tests['local'])})"


GOOGLES = ("target_train_accuracy", "target_test_accuracy", "attack_precision")


def sixth_notebook():
    precision = rows("06_adult_mnist", "summary", metric="precision", dataset="adult")
    learned = precision[precision["attack"] == LEARNED].set_index("our_target")
    both = [interval(learned.loc[kind]) for kind in ("google surrogate", "local")]
    yield f"precision on the surrogate {both[0]}, on the local network {both[1]}"
    assert ((learned["low"] <= 0.5) & (learned["high"] < 0.51)).all()
    gap = precision[precision["attack"] == "correctness gap"].set_index("our_target")
    surrogate, network = gap.loc["google surrogate"], gap.loc["local"]
    assert (gap["low"] > 0.5).all() and {said(value) for value in gap["value"]} == {"0.502"}
    ends = [f"[{said(row['low'], 4)}, {said(row['high'], 4)}]" for row in (surrogate, network)]
    yield f"has 0.502 on either, in intervals that just exclude 0.5 ({ends[0]} and {ends[1]})"
    kept = {name: {metric: known(id="T2", dataset=name, metric=metric) for metric in GOOGLES} for name in ("adult", "mnist")}
    google = {name: listed(list(each.values())[:2], last=" and ") for name, each in kept.items()}
    precisions = [each["attack_precision"] for each in kept.values()]
    yield f"generalise almost perfectly: {google['adult']}, {google['mnist']} on members and on fresh records"
    yield f"The attack's precision was {listed(precisions, last=' and ')}"
    yield f"the paper has {said(precisions[0])}"
    yield f"the paper's {said(precisions[1])} to the digit"
    own = [target_accuracies("06_adult_mnist", "google surrogate", name) for name in ("adult", "mnist")]
    yield f"{own[0]} ({google['adult']}) on Adult, {own[1]} ({google['mnist']}) on MNIST"
    yield f"where its attack has {said(known(id='T2', dataset='purchase10', metric='attack_precision'))}, for scale"
    mnist = rows("06_adult_mnist", "summary", metric="precision", dataset="mnist", attack=LEARNED).set_index("our_target")
    yield f"{interval(mnist.loc['google surrogate'])} on the surrogate"
    yield f"it is {interval(mnist.loc['local'])}"
    right = rows("06_adult_mnist", "summary", metric="precision", dataset="mnist", attack="correctness gap")
    right = right.set_index("our_target").loc["google surrogate", "value"]
    assert 0.004 < mnist.loc["google surrogate", "value"] - right < 0.006
    yield f"gives {said(right)} on MNIST, about half a point less than the learned attack"


def seventh_notebook():
    theirs = published().query("id == 'F9'").drop_duplicates(["setting", "metric"]).set_index(["setting", "metric"])["value"]
    kinds = [f"shadow:{records}" for records in ("real", "marginal", "model_based")]
    pairs = [[said(theirs[kind, f"attack_{metric}"]) for metric in ("precision", "recall")] for kind in kinds]
    yield f"the precision was {pairs[0][0]} at a recall of {pairs[0][1]}"
    yield f"it was {pairs[1][0]} at {pairs[1][1]}"
    yield f"it was {pairs[2][0]} at {pairs[2][1]}"
    yield f"the paper has {pairs[1][0]} at {pairs[1][1]}"
    yield f"fell from {pairs[0][1]} to {pairs[2][1]}"
    yield from made_up_records()
    yield from found_by_queries()


def made_up_records():
    learned = rows("07_shadow_data", "summary", attack=LEARNED)
    found = learned.set_index(["dataset", "our_target", "setting", "metric"])["value"].sort_index()
    purchase = found["purchase100", "google surrogate", "shadow:marginal"]
    yield f"precision {said(purchase['precision'])} at a recall of {said(purchase['recall'])}"
    for target in ("google surrogate", "local"):
        marginal, real = (found["location", target, f"shadow:{kind}", "precision"] for kind in ("marginal", "real"))
        yield f"{said(marginal)} ({'real shadow data: ' if target != 'local' else ''}{said(real)})"
    for dataset, target in (("location", "google surrogate"), ("purchase100", "local")):
        ends = [said(found[dataset, target, f"shadow:{kind}", "recall"]) for kind in ("real", "model_based")]
        yield f"from {ends[0]} to {ends[1]}"
    yield f"with a precision ({said(found['location', 'google surrogate', 'shadow:model_based', 'precision'])})"
    yield f"Only Location's local network loses nothing ({said(found['location', 'local', 'shadow:model_based', 'recall'])})"
    sure = table("07_shadow_data", "confidences").set_index(["dataset", "our_target", "setting", "model"])
    sure = sure.sort_index().loc[("purchase100", "google surrogate", "shadow:model_based")]
    shadows, target = (sure.loc[model, ["members", "nonmembers"]] for model in ("shadows", "target"))
    yield f"{said(shadows['members'])} on the shadows' members and {said(shadows['nonmembers'])} on their non-members"
    yield f"where the target's are {said(target['members'])} and {said(target['nonmembers'])}"


def found_by_queries():
    records = table("07_shadow_data", "records")
    away = records.groupby("setting")["distance"].agg(["min", "max"])
    climbed, real = (100 * away.loc[f"shadow:{kind}"] for kind in ("model_based", "real"))
    ends = [f"{kind['min']:.0f} to {kind['max']:.0f}%" for kind in (climbed, real)]
    yield f"in {ends[0]} of the bits, real records of other people in {ends[1]}"
    climbs = records[records["setting"] == "shadow:model_based"].groupby(["dataset", "our_target"])
    means = climbs[["mean_confidence", "mean_queries"]].mean()
    surrogate, network = (means.loc["purchase100", kind] for kind in ("google surrogate", "local"))
    sure, asked = said(surrogate["mean_confidence"]), f"{surrogate['mean_queries']:.0f}"
    yield f"with {sure} (paper: 0.24), and a climb takes {asked} queries (156)"
    yield f"the local network believes with {said(network['mean_confidence'])}, after {network['mean_queries']:.0f}"
    queries = sorted(means.loc["location", "mean_queries"])
    yield f"On Location a climb takes {queries[0]:.0f} to {queries[1]:.0f}."
    assert (records["classes_lacking"] == 0).all()  # "No class was missed on any target."
    budgets = rows("07_shadow_data", "by_budget", dataset="location", budget=100_000).set_index("metric")["value"]
    yield f"(recall {said(budgets['recall'])} at {said(budgets['precision'])})"
    images = table("07_shadow_data", "image_records").set_index("setting")["test_accuracy"]
    noise, pictures = (said(images[f"shadow:{kind}"]) for kind in ("model_based", "real"))
    yield f"classifies {noise} of real images; on real ones {pictures}"


def leaks(dataset, setting, metric="attack_accuracy", variant="aware"):
    wanted = {"dataset": dataset, "setting": f"mitigation:{setting}", "metric": metric, "variant": variant}
    return cell("08_mitigations", "leakage", attack=LEARNED, **wanted)


def learns(dataset, setting):
    return leaks(dataset, setting, "target_test_accuracy")


def eighth_notebook():
    named = "dropout, early stopping, noise on the answers, differentially private training, and a temperature fitted"
    yield f"{NUMBER_WORDS[named.count(',') + 1]} mitigations that the paper names or lacks: {named}"
    epochs = json.loads((ROOT / "results/paper-standin/08_mitigations/run.json").read_text())["parameters"]["EPOCHS"]
    yield f"to spare time ({epochs['texas']} in the `paper` profile)"
    left, right = leaks("location", "epochs=20"), learns("location", "epochs=20")
    yield f"twenty epochs instead of fifty give {said(left)} at a better test accuracy ({said(right)})"
    assert learns("location", "epochs=20") > learns("location", "none")
    yield f"five instead of thirty give {said(leaks('purchase100', 'epochs=5'))} at {said(learns('purchase100', 'epochs=5'))}"
    more, plain, two = leaks("texas", "epochs=5"), leaks("texas", "none"), leaks("texas", "epochs=2")
    assert two < plain < more
    yield f"On Texas five instead of fifty leak more ({said(more)} against {said(plain)})"
    yield f"two give {said(two)} at {said(learns('texas', 'epochs=2'))}"
    accuracy = [said(learns("cifar10", setting)) for setting in ("epochs=5", "none")]
    yield f"{said(leaks('cifar10', 'epochs=5'))} at a loss ({' against '.join(accuracy)})"
    sets = ("location", "cifar10", "purchase100", "texas")
    label = [leaks(each, "top_k=1_label_only") for each in sets]
    yield f"The label alone still gives {listed(label, last=' and ')}"
    yield f"The one who knows has {listed([leaks(each, 'temperature_t=5') for each in sets], last=' and ')}"
    for each in sets:
        assert said(leaks(each, "temperature_t=5", variant="unaware")) == "0.500", each
    yield "At t = 5 he is at 0.500 on all four data sets"
    low, high = leaks("location", "none"), leaks("location", "l2_lambda=1e-2")
    yield f"lowers the attack from {said(low)} to {said(high)}"
    noise = [leaks(each, "noise_scale=0.03") for each in sets]
    yield f"leaves the attacker who knows {listed(noise, last=' and ')}"


LIRA, ONE_IN_1000 = "lira_online_global", 0.001


def ninth_notebook():
    yield from lira_of_2022()
    yield from found_at_one_in_a_thousand()
    yield from by_references()
    yield from steps_of_the_ladder()
    yield from exposed_records()
    yield from accusations()
    yield from mitigated_stocks()
    yield from promised_and_proved()


def lira_of_2022():
    wanted = (
        "group == 'Table I' and work == 'Carlini et al. 2022' and dataset == 'cifar10' and metric_id == 'tpr' and fpr == 0.001"
    )
    theirs = modern_published().query(wanted).dropna(subset="attack_id").set_index("attack_id")["value"]
    yield f"the attack of 2017 finds {theirs['shokri']:.1%} of the members of a CIFAR-10 model"
    yield f"and their own, LiRA, {theirs['lira_online']:.1%}"


def found_at_one_in_a_thousand():
    rates = table("09_modern_attacks", "rates")
    low = rates[(rates["metric"] == "tpr") & (rates["fpr"] == ONE_IN_1000) & ~rates["pooled"]]
    found = low.set_index(["dataset", "attack"])["value"]
    others = rates[rates["metric"] != "tpr"].set_index(["metric", "dataset", "attack"])["value"]
    average = others["balanced_accuracy"]
    ends = [said(average["location", attack]) for attack in ("shokri", LIRA)]
    yield f"the attack of 2017 has a balanced accuracy of {ends[0]} and LiRA {ends[1]}"
    old, lira = ({name: f"{found[name, attack]:.1%}" for name in average.index.unique(0)} for attack in ("shokri", LIRA))
    yield f"found are {old['location']} and {lira['location']}. On CIFAR-10 {old['cifar10']} and {lira['cifar10']}"
    one = [f"{found[dataset, 'confidence']:.1%}" for dataset in ("location", "cifar10")]
    yield f"One threshold on the model's confidence finds {one[0]} and {one[1]}: no more than guessing"
    overlap = table("09_modern_attacks", "overlap").query("other == @LIRA and attack in ('watson', 'rmia_online')")
    shared = overlap[overlap["dataset"].isin(["location", "cifar10", "cifar100"])]["share"]
    yield f"find ({shared.min():.0%} to {shared.max():.0%} on Location, CIFAR-10 and CIFAR-100)"
    yield f"it finds {old['cifar100']} (LiRA {lira['cifar100']})"
    targets = table("09_modern_attacks", "targets").set_index("dataset")
    yield f"knows its 5,000 pictures by heart and {targets.loc['cifar100', 'test_accuracy']:.0%} of all others"
    assert targets.loc["cifar100", "train_accuracy"] > 0.99
    yield f"The attack of 2017 says {said(average['mnist', 'shokri'])} of MNIST"
    yield f"RMIA and LiRA find {found['mnist', 'rmia_online']:.1%} and {lira['mnist']}"
    yield f"On Adult no attack finds more than {found.loc['adult'].max():.1%}"
    own, fresh = (said(targets.loc["adult", f"{part}_accuracy"]) for part in ("train", "test"))
    yield f"answers {own} of its own records right and {fresh} of others"
    auc = others["auc", "mnist", "shokri"]
    assert auc > 0.55
    yield f"has an AUC of {said(auc)}, and 0.55 was the limit"


def by_references():
    measured = table("09_modern_attacks", "by_references").query("dataset == 'location'")
    auc = measured[measured["metric"] == "auc"].set_index(["attack", "n_references"])["value"]
    found = measured[(measured["metric"] == "tpr") & (measured["fpr"] == ONE_IN_1000)].set_index(["attack", "n_references"])[
        "value"
    ]
    lira, rmia = ([said(auc[attack, n]) for n in (2, 62)] for attack in (LIRA, "rmia_online"))
    yield f"takes LiRA to an AUC of {lira[0]} on Location (62 references: {lira[1]}) and RMIA to {rmia[0]} ({rmia[1]})"
    assert found["rmia_online", 2] > found[LIRA, 2] and all(
        found["rmia_online", n] < found[LIRA, n] for n in (4, 6, 14, 30, 62)
    )
    few, many = ([f"{found[attack, n]:.1%}" for attack in ("lira_online", LIRA)] for n in (6, 62))
    yield f"with 6 references LiRA finds {few[0]} with it and {few[1]} without"
    assert found["lira_online", 62] > found[LIRA, 62]
    yield f"with 62 it is ahead ({many[0]} against {many[1]})"


def steps_of_the_ladder():
    steps = table("09_modern_attacks", "ladder_steps").set_index(["side", "step", "dataset"])["value"]
    out, both = steps["OUT"], steps["IN and OUT"]
    ends = [f"{out['a threshold a record', name]:.1%} to {out['logit', name]:.1%}" for name in ("location", "cifar10")]
    yield f"({ends[0]}, {ends[1]}), and the Gaussian, with one variance, changes no order"
    assert (out["logit"] == out["Gaussian"]).all()
    loses = both["logit"] < both["a threshold a record"]
    assert loses[loses].index.tolist() == ["location", "mnist", "adult", "purchase100"]
    assert (both["Gaussian"] > both["logit"]).all()
    one, two = (f"{both[step, 'cifar10']:.1%}" for step in ("Gaussian", "queries"))
    yield f"loses (CIFAR-10: {one} to {two})"


def exposed_records():
    stable = table("09_modern_attacks", "stability").set_index("dataset")["spearman"]
    ranks = [said(stable[dataset]) for dataset in ("location", "mnist", "adult")]
    yield f"rank correlation of {ranks[0]}, on MNIST of {ranks[1]}, on Adult of {ranks[2]}"
    marks = table("09_modern_attacks", "marks").set_index(["dataset", "mark"])["spearman"]
    yield f"It goes with difficulty ({marks['location', 'difficulty']:.2f} on Location)"
    most = table("09_modern_attacks", "profiles").nlargest(5, "separation")
    assert (most["out_accuracy"] == 0).all()  # "people whom no model without them answers right"


def accusations():
    worth = rows("09_modern_attacks", "ppv", prior=0.01, fpr=ONE_IN_1000).set_index(["attack", "dataset"])
    lira, one = ([f"{worth['value'][attack, name]:.0%}" for name in ("location", "mnist")] for attack in (LIRA, "confidence"))
    yield f"is right in {lira[0]} of cases on Location and {lira[1]} on MNIST; by one threshold in {one[0]} and {one[1]}"
    accused = [f"{worth['achieved_fpr']['rmia_online', name]:.1%}" for name in ("location", "cifar10")]
    yield f"asked for 0.1% it accuses {accused[0]} on Location and {accused[1]} on CIFAR-10"


def mitigated_stocks():
    standings = table("09_modern_attacks", "standings")
    standings["setting"] = standings["setting"].str.removeprefix("mitigation:")
    standings = standings.set_index(["dataset", "setting"])
    low = standings["low_rate"]["location"]
    cut = low[["top_k=3", "top_k=1", "rounding_d=3"]]
    yield f"{said(low['none'])} of the members at a false positive rate of 1% without any"
    yield f"{said(cut.min())} to {said(cut.max())} with one or three classes or three digits"
    found = rows("09_modern_attacks", "mitigations", dataset="location", metric="tpr", fpr=ONE_IN_1000)
    found = found.assign(setting=found["setting"].str.removeprefix("mitigation:")).set_index(["attack", "setting"])["value"]
    digit = [f"{found[attack, 'rounding_d=1']:.1%}" for attack in ("shokri", LIRA)]
    yield f"One digit takes the attack of 2017 to {digit[0]} of found members and LiRA to {digit[1]}"
    yield f"The label alone leaves {said(low['top_k=1_label_only'])} at 1%, and nothing at 0.1%"
    assert found[LIRA, "top_k=1_label_only"] == 0
    ranks = standings[["average_rank", "low_rate_rank"]]
    total = ranks.groupby("dataset").size()
    places = {name: [ordinal(rank) for rank in ranks.loc[(name, "top_k=1_label_only")]] for name in ("location", "cifar10")}
    yield f"it stands {places['location'][0]} of {total['location']} on average and {places['location'][1]} at 1%"
    yield f"on CIFAR-10 {places['cifar10'][0]} and {places['cifar10'][1]} of {total['cifar10']}"
    for setting, words in (
        ("dropout=0.5", "Dropout of 0.5 falls"),
        ("private_epsilon=100", "private training with ε = 100 rises"),
    ):
        ends = [ordinal(rank) for rank in ranks.loc[("location", setting)]]
        yield f"{words} from {ends[0]} to {ends[1]}"
    test = standings["test_accuracy"]["location"]
    yield f"makes the model better ({said(test['epochs=20'])} against {said(test['none'])})"
    none, early, private = (found[LIRA, setting] for setting in ("none", "epochs=20", "private_epsilon=100"))
    yield f"of what LiRA finds ({none:.1%} to {early:.1%})"
    yield f"ε = 100 does as well ({said(test['private_epsilon=100'])}, {private:.1%})"


def promised_and_proved():
    promises = table("09_modern_attacks", "promises").query("dataset == 'location'").set_index(["training", "estimate"])
    counts, one = (promises.loc[("no mitigation", estimate)] for estimate in ("counts", "one run"))
    first = f"ε = {said(counts['value'], 1)} (counts; the records allow {said(counts['ceiling'], 1)})"
    yield f"at least {first} and {said(one['value'], 1)} (one run; {said(one['ceiling'], 1)})"
    proved = [promises.loc[(f"private, ε = {epsilon}", "counts"), "value"] for epsilon in (100, 10, 1)]
    assert proved[2] == 0
    yield f"is proved to lose {said(proved[0], 1)}, {said(proved[1], 1)} and 0"
    kept = promises.dropna(subset="promised")
    assert (kept["value"] <= kept["promised"]).all()  # "no bound is broken"


def tenth_notebook():
    yield from inverted()
    yield from extracted()
    yield from inside_the_model()
    yield from overlapping()
    yield from other_kinds()
    yield from behind_apps()


def related_rows(name, **wanted):
    return rows("10_related_attacks", name, **wanted)


def inverted():
    summary = related_rows("inversion_summary", access="white box").set_index(["dataset", "measure"])
    farther = interval(summary.loc[("cifar10", "farther than the class mean")])
    yield f"than the plain mean of the class does (by {farther})"
    nearer = summary.loc[("cifar10", "nearer to members")]
    assert nearer["low"] < 0 < nearer["high"]  # "no nearer to members than to others"
    coin, known_by = interval(summary.loc[("cifar10", "auc")]), said(summary.loc[("cifar10", "auc by confidence"), "value"])
    yield f"ranks records like a coin: {coin}, where the target's confidence in the record has an AUC of {known_by}"
    assert summary.loc[("mnist", "recognised"), "value"] == 1  # "other networks name every inverted digit"
    yield f"the AUC is {interval(summary.loc[('mnist', 'auc')])}"


def extracted():
    bridge = related_rows("bridge", dataset="location")
    auc = bridge[bridge["metric"] == "auc"].set_index("way")
    yield f"is surer of the target's members than of others: AUC {interval(auc.loc['inside the copy'])}"
    yield f"An ordinary shadow model of the same attacker's has {interval(auc.loc['inside a shadow model'])}"
    own = "the target's confidence"
    yield f"The copy hides them better than the target does ({said(auc.loc[own, 'value'])})"
    found = bridge[(bridge["metric"] == "tpr") & (bridge["fpr"] == 0.01)].set_index("way")["value"]
    less = found["the target's confidence, less the copy's"]
    yield f"the target's log-odds less the copy's find {less:.1%} of the members"
    yield f"where the target's alone find {found[own]:.1%} and the attack of 2017 {found['shadow models']:.1%}"
    agreed = related_rows("extraction", metric="agreement").set_index(["records", "answers", "n_queries"])["value"]
    ends = said(agreed["real", "vectors", 300]), said(agreed["real", "labels", 2600])
    yield f"as much as 2,600 labels** (agreement {ends[0]} and {ends[1]})"
    real = [f"{agreed['real', answers, 1000]:.1%}" for answers in ("vectors", "labels")]
    yield f"a copy agrees on {real[0]} of fresh ones (vectors) or {real[1]} (labels)"
    noisy, coins = (f"{agreed[records, 'vectors', 1000]:.1%}" for records in ("noisy", "random"))
    yield f"as many noisy copies of 100 records give {noisy}, random bits {coins}"
    yield f"synthesises in 100,000 queries gives {agreed['synthesised', 'vectors', 100000]:.1%}"
    labels, true, vectors = (
        said(auc.loc[way, "value"])
        for way in ("copies as shadow models, labels", "shadow models", "copies as shadow models, vectors")
    )
    yield f"(AUC {labels} against {true}), those with vectors worse ({vectors})"
    equations = related_rows("equations", dataset="location").set_index("answers")
    assert related_rows("equations", answers="as they are")["worst_error"].max() < 1e-6  # "every weight within 1e-6"
    yield f"agrees on {equations.loc['3 digits', 'agreement']:.1%} of the records"


def inside_the_model():
    inside = related_rows("white_box", learned_on="shadows")
    auc = inside[inside["metric"] == "auc"].set_index(["dataset", "features"])["value"]
    found = inside[(inside["metric"] == "tpr") & (inside["fpr"] == 0.01)].set_index(["dataset", "features"])["value"]
    answers = max("answers", "2017 attack", key=lambda features: auc["cifar10", features])
    assert answers == "answers"
    ends = [said(auc["cifar10", features]) for features in ("answers", "everything")]
    yield f"takes the AUC from {ends[0]} (the best from answers) to {ends[1]}"
    best = found["cifar10"][inside.query("access == 'black box'")["features"].unique()].max()
    yield f"finds {found['cifar10', 'everything']:.1%} of the members at 1% in place of {best:.1%}"
    layers = auc["cifar10"].filter(like="sorted")
    assert layers.idxmax() == "layer 2, sorted"  # "most of it is in the second layer's output, sorted"
    gain = related_rows("white_box", dataset="location", metric="auc_gain", learned_on="shadows", features="everything").iloc[0]
    assert gain["low"] < 0 < gain["high"]
    yield f"nothing that the interval would not hold ({interval(gain)})"
    raw = auc[[name for name in auc.index if name[1].endswith("raw")]]
    yield f"transfers from no shadow model (AUC {raw.min():.2f} to {raw.max():.2f})"
    every = related_rows("white_box", metric="auc").set_index(["learned_on", "dataset", "features"])["value"]
    for dataset in ("location", "cifar10"):
        assert every["known members", dataset, "everything"] < every["shadows", dataset, "everything"]


def overlapping():
    gains = related_rows("overlaps", dataset="location", attack="shokri").set_index(["metric", "share"])
    half, recall = interval(gains.loc[("auc_gain", 0.5)]), interval(gains.loc[("recall_gain", 1.0)])
    yield f"Shadows that share half of Location's records gain {half} of AUC"
    yield f"those that share all gain {recall} of recall"
    whole = gains.loc[("auc_gain", 1.0)]
    assert whole["low"] < 0 < whole["high"]  # "and nothing in AUC"
    pictures = related_rows("overlaps", dataset="cifar10", attack="shokri", metric="auc_gain")
    assert ((pictures["low"] <= 0) & (pictures["high"] >= 0)).all()  # "on CIFAR-10 no share changes anything"


def other_kinds():
    kinds = related_rows("kinds", dataset="location", attack="shokri").set_index(["metric", "kind"])
    auc = kinds["value"]["auc"]
    assert (auc.idxmin(), auc.idxmax(), len(auc)) == ("nearest neighbours", "random forest", 7)
    answered = kinds.loc[("auc", "nearest neighbours"), "train_accuracy"]
    yield f"an AUC of {said(auc.min())} (nearest neighbours, which answer {answered:.1%} of their own records right)"
    found = kinds["value"]["tpr"]
    yield f"to {said(auc.max())} (a random forest, of whose members {found['random forest']:.1%} are found at 1%)"
    wrong = related_rows("wrong_kind", dataset="location", attack="shokri").set_index(["metric", "target_kind", "shadow_kind"])
    wrong = wrong["value"].sort_index()
    worst = wrong["auc"].idxmin()
    assert worst == ("nearest neighbours", "naive Bayes")
    yield f"(the worst: {said(wrong['auc'].min())}, nearest neighbours by shadows of naive Bayes)"
    network, own = (wrong["recall", "SVM", shadow] for shadow in ("network", "SVM"))
    yield f"calls {network:.1%} of the SVM's members so, where SVMs find {own:.1%}"
    yield f"and {wrong['recall', 'random forest', 'network']:.1%} of the forest's"
    ranked = [said(wrong["auc", target, "network"]) for target in ("SVM", "random forest")]
    yield f"though it ranks them with AUCs of {ranked[0]} and {ranked[1]}"


def behind_apps():
    apps = related_rows("indirect", dataset="location").set_index(["metric", "attack", "app"])["value"].sort_index()
    shown = ("all answers", "label and score, 1 digit", "label alone", "all three")
    direct, digit, label, three = (said(apps["auc", "shokri", app]) for app in shown)
    yield f"has an AUC of {direct} by direct access, {digit} through one rounded digit, {label} by the label alone"
    lira = listed([apps["auc", LIRA, app] for app in shown], last=" and ")
    yield f"{three} through a digit, a near cache and a gate together; LiRA {lira}"
    test = apps["test_accuracy", "none"]
    yield f"Gate and cache cost the users, too (test accuracy {said(test['all answers'])} to {said(test['all three'])})"
    noisy = [said(apps["auc", "shokri", f"noise, asked {times}"]) for times in ("once", "10 times")]
    yield f"Noise of 0.3 takes the attack to {noisy[0]}; asked ten times, back to {noisy[1]}"
    assert apps["auc", "shokri", "noise, asked 10 times, exact cache"] == apps["auc", "shokri", "noise, asked once"]


def board():
    counted = pd.concat([rows("99_scoreboard", "totals", standing="real data, the paper's target")]).set_index("given")
    stated, drawn = counted.loc["stated"], counted.loc["drawn"]
    total, single = stated["rows"] + drawn["rows"], drawn["single_classes"]
    yield f"{total} values that count, {stated['rows']} are stated and {drawn['rows']} are drawn; {single} of these"
    differing = table("99_scoreboard", "differing")
    back, own = (differing["within"].str.contains(way, na=False) for way in ("told probabilities", "target's own answers"))
    held = differing[~back & own]
    assert held[["dataset", "train_size", "metric"]].to_numpy().tolist() == [["cifar100", 4600, "attack_precision_min"]]
    yield f"Of the {NUMBER_WORDS[len(differing)]} values that count and are further than 0.05 from the paper's, or miss a bound"
    yield f"{NUMBER_WORDS[int(back.sum())]} come to within it when the attack networks are told the probabilities"
    apart = NUMBER_WORDS[int((~back & ~own).sum())]
    yield f"{apart} are not reached by a threshold on the target's own answers either"


SENTENCES = {
    "00_attack_by_hand": by_hand,
    "01_cifar10": first_notebook,
    "02_cifar100": second_notebook,
    "03_purchase": third_notebook,
    "04_location": fourth_notebook,
    "05_texas": fifth_notebook,
    "06_adult_mnist": sixth_notebook,
    "07_shadow_data": seventh_notebook,
    "08_mitigations": eighth_notebook,
    "09_modern_attacks": ninth_notebook,
    "10_related_attacks": tenth_notebook,
    "99_scoreboard": board,
}


def prose(notebook):
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("notebook", SENTENCES)
def test_the_numbers_in_the_prose_are_those_of_the_committed_tables(notebook):
    text, sentences = prose(notebook), list(SENTENCES[notebook]())
    assert sentences
    assert [each for each in sentences if each not in text] == []


SETTINGS = {  # what a text says of settings, coins, intervals and bounds: the other numbers are all results, and tested above
    "00_attack_by_hand": ["Guessing gives 50%", "below 0.05", "95% intervals"],
    "01_cifar10": [
        "rate 0.001, decay 1e-7", "0.99 in the (geometric) mean", "(0.9: between 0.9 and 0.95)", "95% intervals",
        "train accuracy more than 0.1 below", "an end at a loss of 0.1",
    ],
    "02_cifar100": ["95% intervals", "all but 5% of them exceed", "train accuracy more than 0.1 below"],
    "03_purchase": [f"better than the network by more than {google.CLEARLY} on"],
    "04_location": [
        "guessing gives 0.5", "*flips* 10% or 20% of a record's bits", "95% interval", "At 50% a record is a row",
        "0.99 and 0.9999", "With 20% of the bits flipped", "10% is as good as real data, 20% far above",
        "at 1% false positives",
    ],
    "05_texas": ["above 0.6 in more than half of the classes, recall above 0.73 on average", "Guessing gives 0.5"],
    "06_adult_mnist": [
        "hardly more than a coin's 0.5", "whether it holds 0.5", "95% intervals", "near a coin's 0.5 (dashed) and ends at 0.56",
        "Both intervals hold 0.5, and are narrow enough to exclude 0.51", "does not hold 0.5",
    ],
    "07_shadow_data": ["believed in its class with 0.24", "precision is below 0.1", "18.73 for its 187,300", "95% intervals"],
    "09_modern_attacks": [
        "false positive rates of 0.1% and 0.001%", "means over targets with 95% intervals", "in 1,000, with 95% intervals",
        "at a false positive rate of 1%, with the ranks", "lower bounds at 95%", "true positive rate at 1% or less",
        "(within 1.25 and 2)", "(a) At 0.1%", "an accusation by LiRA at 0.1%",
    ],
    "10_related_attacks": ["(AUC, with 95% intervals)", "at a false positive rate of 1%"],
}  # fmt: skip


@pytest.mark.parametrize("notebook", SETTINGS)
def test_every_number_in_the_prose_is_tested_or_a_setting(notebook):
    text = prose(notebook)
    assert [each for each in SETTINGS[notebook] if each not in text] == []
    for each in sorted([*SENTENCES[notebook](), *SETTINGS[notebook]], key=len, reverse=True):
        text = text.replace(each, " ")
    lines = text.split("\n")
    assert [f"{each.number} in {lines[each.line - 1]!r}" for each in numbers(lines)] == []


GONE = {  # sentences that their tables contradicted, or no experiment carried
    "01_cifar10": ["No member is safe", "leaves open decides little.**"],
    "03_purchase": ["stands between", "to the second digit"],
    "04_location": ["five targets", "about 60% of fresh ones", "nearly enough**"],
    "06_adult_mnist": ["what does not leak", "Adult does not leak"],
    "08_mitigations": ["four mitigations that the paper names", "the cheapest of all"],
    "99_scoreboard": ["is followed up in its own notebook"],
}


@pytest.mark.parametrize("notebook", GONE)
def test_no_sentence_comes_back_that_nothing_carries(notebook):
    assert [each for each in GONE[notebook] if each in prose(notebook)] == []
