"""What the texts of 00 and of 03 to 06 say, with the numbers of their committed tables."""

from committed import LEARNED, NUMBER_WORDS, interval, known, listed, rows, said, table, target_accuracies


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
