"""What the texts of 01 and 02 say, with the numbers of their committed tables."""

from committed import LEARNED, NUMBER_WORDS, cell, known, listed, rows, said, table

from mialib.paper import curves, published


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
        (2500, "attack_precision_class_6"), (2500, "attack_precision_class_8"), (5000, "attack_precision_class_10")
    ]  # fmt: skip


def trainings_of_cifar10():
    shadows = table("01_cifar10", "shadows")
    yield f"Of {len(shadows)} shadows the worst knows {said(shadows['train_accuracy'].min())} of its training set"
    alternatives = table("01_cifar10", "alternatives").set_index("choice")
    chosen = alternatives.loc["chosen: Adam, batches of 32, 32 filters of 5 x 5"]
    ends = [said(each["test_accuracy"]) for each in (alternatives.loc["ends after all epochs"], chosen)]
    yield f"all 100 epochs classifies {ends[0]} of fresh pictures, one that stops {ends[1]}"
    for choice in ("batches of 100", "filters of 3 x 3", "ends at a loss of 0.1", "ends at a loss of 0.03"):
        assert chosen["low"] < alternatives.loc[choice, "test_accuracy"] < chosen["high"], choice
    slow = said(alternatives.loc["SGD, rate 0.001", "train_accuracy"], 2)
    yield f"the rate 0.001 with plain SGD, taken literally, has learned {slow} of its training set after 100 epochs"
    yield f"64 filters would reach {said(alternatives.loc['64 filters', 'test_accuracy'])}"
    targets = rows("01_cifar10", "accuracies", model="target").groupby("train_size")["test_accuracy"].mean()
    test = known(id="F4", dataset="cifar10", metric="target_test_accuracy")
    yield f"{said(targets[15000])} at 15,000 pictures, where the paper has {test:g}"
    yield from otherwise_trained()


def otherwise_trained():
    trained = table("01_cifar10", "trained_otherwise").pivot(index="way", columns="metric", values="value")
    early, between = "ends at a loss of 0.1", "ends at a loss of 0.03"
    means = trained["attack_precision_mean"]
    assert len(means) == 8 and set(rows("01_cifar10", "shadows", train_size=2500)["target"]) == {0, 1, 2}
    at_end = means.drop([early, between])
    yield f"move the mean precision of a class between {said(at_end.min())} and {said(at_end.max())}"
    classes = trained.filter(like="_class_")
    away = classes - of_classes(2500)["published"]
    distance = away.loc[at_end.index].abs().mean(axis=1)
    yield f"leave the classes {said(distance.min())} to {said(distance.max())} from the paper's"
    dogs, horses = (away[f"attack_precision_class_{number}"] for number in (6, 8))
    ends = [said(end) for each in (dogs, horses) for end in (each[at_end.index].min(), each[at_end.index].max())]
    yield f"Dogs lie {ends[0]} to {ends[1]} above it throughout, horses {ends[2]} to {ends[3]}"
    brings = f"brings dogs to {said(dogs[early])} and horses to {said(horses[early])}"
    yield f"An end at a loss of {early.split()[-1]}, which costs no accuracy, {brings}"
    assert (classes.loc[early] < classes.drop(early).min()).all()  # "all ten classes down"
    theirs = cell("01_cifar10", "compared", "published", metric="attack_precision_mean", train_size=2500)
    assert means[early] < theirs
    yield f"to a mean of {said(means[early])}, below the paper's"
    near = away.loc[between].abs() <= 0.05
    assert not near["attack_precision_class_6"]
    loss = between.split()[-1]
    mean = f"{said(means[between])} (the paper: {said(theirs)})"
    yield f"An end at a loss of {loss}, which costs none either, leaves a mean of {mean}"
    yield f"A loss of about {loss} would explain its numbers at 2,500"
    yield f"{NUMBER_WORDS[int(near.sum())]} of the ten classes within 0.05 of the paper's"
    yield f"dogs lie {said(dogs[between])} above it"


def attacks_on_cifar10():
    counts = rows("01_cifar10", "by_shadow_count", metric="precision", train_size=2500).sort_values("k")
    assert counts["k"].tolist() == [1, 2, 5, 10, 20, 50]
    yield f"{listed(counts['value'], last=' and ')} with 1, 2, 5, 10, 20 and 50"
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
    for size, metric, words in (
        (10520, least, "the lowest has"),
        (10520, "attack_precision_p10", "the 10th percentile of the classes"),
        (4600, least, "The lowest class at 4,600 has"),
    ):
        row, own = compared.loc[(size, metric)], said(followed["the target's own answers", size, metric])
        ends = f"{said(row['value'])} for {said(row['published'])}"
        yield f"{words} {ends} (thresholds on the target's own answers: {own})"
    plain = [said(followed["told probabilities", size, "attack_precision_p50"]) for size in (4600, 10520)]
    yield f"have medians of {plain[0]} and {plain[1]}"
    losses = rows("02_cifar100", "inputs", metric="log_loss", train_size=10520, records="new").set_index("inputs")["value"]
    chosen, odds, plain = (said(losses[each]) for each in ("-log(1-p)", "log-odds", "probabilities"))
    yield f"a log loss of {chosen} with −log(1 − p), of {odds} with log-odds, of {plain} with the probabilities as they come"
    counts = table("02_cifar100", "by_shadow_count").set_index(["metric", "train_size", "k"])["value"]
    one, five, all_of_them = (said(counts["precision", 10520, k]) for k in (1, 5, 25))
    yield f"Precision at 10,520 is {one} with one shadow, {five} with five and {all_of_them} with twenty-five"
    one, all_of_them = (said(counts["precision", 4600, k]) for k in (1, 25))
    yield f"at 4,600 it rises from {one} to {all_of_them}"


def shadows_that_break_the_rule():
    broken = table("02_cifar100", "broken_rule").set_index(["train_size", "variant", "metric"])["value"]
    swapped, ruled = (broken[10520, variant, "precision"] for variant in ("swapped", "none"))
    yield f"the one swapped shadow gives precision {said(swapped)}, twenty-five disjoint ones {said(ruled)}"
    for size in (19920, 29540):
        pair = [said(broken[size, variant, "precision_p50"]) for variant in ("swapped", "smaller")]
        yield f"{pair[0]} with a swapped shadow and {pair[1]} with smaller ones at {size:,}"
