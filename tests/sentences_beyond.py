"""What the texts of 07 and 08 say, made-up shadow data and mitigations, with the numbers of their committed tables."""

import json

from committed import LEARNED, NUMBER_WORDS, ROOT, cell, known, listed, rows, said, table

from mialib.paper import published


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
    climbed, real = (said(found["location", "local", f"shadow:{kind}", "recall"]) for kind in ("model_based", "real"))
    yield f"Only Location's local network loses next to nothing ({climbed} of {real})"
    sure = table("07_shadow_data", "confidences").set_index(["dataset", "our_target", "setting", "model"])
    sure = sure.sort_index().loc[("purchase100", "google surrogate", "shadow:model_based")]
    shadows, target = (sure.loc[model, ["members", "nonmembers"]] for model in ("shadows", "target"))
    yield f"{said(shadows['members'])} on the shadows' members and {said(shadows['nonmembers'])} on their non-members"
    yield f"where the target's are {said(target['members'])} and {said(target['nonmembers'])}"


def found_by_queries():
    records = table("07_shadow_data", "records")
    away = records.groupby("setting")["distance"].agg(["min", "max"])
    climbed, real = (100 * away.loc[f"shadow:{kind}"] for kind in ("model_based", "real"))
    assert f"{real['min']:.0f}" == f"{real['max']:.0f}"
    ends = f"{climbed['min']:.0f} to {climbed['max']:.0f}%"
    yield f"in {ends} of the bits, real records of other people in {real['max']:.0f}%"
    climbs = records[records["setting"] == "shadow:model_based"].groupby(["dataset", "our_target"])
    means = climbs[["mean_confidence", "mean_queries"]].mean()
    surrogate, network = (means.loc["purchase100", kind] for kind in ("google surrogate", "local"))
    sure, asked = said(surrogate["mean_confidence"]), f"{surrogate['mean_queries']:.0f}"
    yield f"with {sure} (paper: 0.24), and a climb takes {asked} queries (156)"
    yield f"the local network believes with {said(network['mean_confidence'])}, after {network['mean_queries']:.0f}"
    queries = sorted(means.loc["location", "mean_queries"])
    yield f"On Location a climb takes {queries[0]:.0f} to {queries[1]:.0f}."
    assert (records["classes_lacking"] == 0).all()  # "No class was missed on any target."
    budgets = table("07_shadow_data", "by_budget").set_index(["dataset", "budget", "metric"])["value"].sort_index()
    few, many = budgets["location", 100_000], budgets["purchase100", 1_000_000]
    yield f"(recall {said(few['recall'])} at {said(few['precision'])})"
    yield f"ten times as many leave the attack at a precision of {said(many['precision'])}"
    images = table("07_shadow_data", "image_records").set_index("setting")["test_accuracy"]
    noise, pictures = (said(images[f"shadow:{kind}"]) for kind in ("model_based", "real"))
    yield f"classifies {noise} of real images; on real ones {pictures}"


SETS_OF_08 = ("location", "cifar10", "purchase100", "texas")
STAND_INS = SETS_OF_08[2:]


def leaks(dataset, setting, metric="attack_accuracy", variant="aware"):
    wanted = {"dataset": dataset, "setting": f"mitigation:{setting}", "metric": metric, "variant": variant}
    return cell("08_mitigations", "leakage", attack=LEARNED, **wanted)


def learns(dataset, setting):
    return leaks(dataset, setting, "target_test_accuracy")


def left(setting):
    """What is left of the attack on the four data sets, for the attacker who knows."""
    return listed([leaks(each, setting) for each in SETS_OF_08], last=" and ")


def in_table_iii(dataset, setting):
    return known(id="T3", dataset=dataset, setting=f"mitigation:{setting}", metric="attack_accuracy")


def eighth_notebook():
    named = "dropout, early stopping, noise on the answers, differentially private training, and a temperature fitted"
    yield f"{NUMBER_WORDS[named.count(',') + 1]} mitigations that the paper names or lacks: {named}"
    plain, label = ([in_table_iii(each, setting) for each in STAND_INS] for setting in ("none", "top_k=1_label_only"))
    yield f"is right on {plain[0]:.0%} of Purchase's records and {plain[1]:.0%} of Texas's"
    yield f"still on {label[0]:.0%} and {label[1]:.0%}, where guessing gives 50%"
    epochs = json.loads((ROOT / "results/paper-standin/08_mitigations/run.json").read_text())["parameters"]["EPOCHS"]
    yield f"to spare time ({epochs['texas']} in the `paper` profile)"
    yield f"the paper has {listed(label, 2, ' and ')} on the last two"
    yield from filters()
    yield from penalties()
    yield from shorter_and_private_trainings()
    yield from parts_of_the_attack()


def filters():
    yield f"({left('top_k=1')} with one, {left('none')} with all); one digit leaves {left('rounding_d=1')}"
    yield f"The label alone still gives {left('top_k=1_label_only')}"
    for each in SETS_OF_08:
        assert said(leaks(each, "temperature_t=5", variant="unaware")) == "0.500", each
    yield "At t = 5 he is at 0.500 on all four data sets"
    yield f"The one who knows has {left('temperature_t=5')}, and still {left('temperature_t=50')} at t = 50"
    yield f"the paper's {said(in_table_iii('purchase100', 'temperature_t=5'), 2)} on Purchase is an attacker who knows"
    yield f"σ = 0.03 leaves the attacker who knows {left('noise_scale=0.03')}; σ = 0.1 leaves {left('noise_scale=0.1')}"
    whole, noisy = (learns("texas", setting) for setting in ("none", "noise_scale=0.1"))
    yield f"costs Texas's users five points ({said(whole)} to {said(noisy)})"
    assert 0.045 < whole - noisy < 0.055
    gone = learns("location", "noise_scale=0.3"), leaks("location", "noise_scale=0.3")
    yield f"on Location {said(gone[0])}, where the attack is left with {said(gone[1])}"


def helped(dataset, setting):
    """A penalty's test accuracy and what is left of the attack, each from what it was without."""
    return tuple(f"{said(of(dataset, 'none'))} to {said(of(dataset, setting))}" for of in (learns, leaks))


def penalties():
    better, safer = helped("location", "l2_lambda=1e-2")
    yield f"raises test accuracy from {better} and lowers the attack from {safer}"
    for dataset, setting, words in (("purchase100", "1e-3", "does both"), ("texas", "1e-4", "does a little of both")):
        yield f"{words} ({', '.join(helped(dataset, f'l2_lambda={setting}'))})"
        assert learns(dataset, f"l2_lambda={setting}") > learns(dataset, "none")
    for setting in ("5e-4", "1e-3", "5e-3"):  # "the penalties that do more cost accuracy"
        assert learns("texas", f"l2_lambda={setting}") < learns("texas", "none")
    stays = said(learns("cifar10", "l2_lambda=1e-2"))
    assert stays == said(learns("cifar10", "none"))
    yield f"takes the attack to {said(leaks('cifar10', 'l2_lambda=1e-2'))} at a test accuracy that stays where it was ({stays})"
    ruined = [
        said(learns(each, f"l2_lambda={most}"))
        for each, most in (("location", "1e-1"), ("cifar10", "1e-1"), ("purchase100", "1e-2"))
    ]
    yield f"(test accuracy {ruined[0]} on Location, {ruined[1]} on CIFAR-10, {ruined[2]} on Purchase)"
    tried = [f"l2_lambda={each}" for each in ("1e-4", "1e-3", "1e-2")]
    ours, theirs = ([of("purchase100", setting) for setting in tried] for of in (leaks, in_table_iii))
    yield f"{listed(ours, last=' and ')} for {listed(theirs, 2, ' and ')}"


def shorter_and_private_trainings():
    def both(dataset, setting):
        return f"{said(leaks(dataset, setting))} at {said(learns(dataset, setting))}"

    yield (
        f"twenty epochs instead of fifty give {said(leaks('location', 'epochs=20'))} "
        f"at a better test accuracy ({said(learns('location', 'epochs=20'))})"
    )
    assert learns("location", "epochs=20") > learns("location", "none")
    yield f"five instead of thirty give {both('purchase100', 'epochs=5')}"
    assert learns("purchase100", "epochs=5") > learns("purchase100", "none")
    yield f"ten instead of at most forty give {both('cifar10', 'epochs=10')}"
    yield f"five {said(leaks('cifar10', 'epochs=5'))} at a loss ({said(learns('cifar10', 'epochs=5'))})"
    yield f"on Texas three give {both('texas', 'epochs=3')}, two {both('texas', 'epochs=2')}"
    of = "location"
    cheap, dear = (f"private_epsilon={epsilon}" for epsilon in (100, 10))
    yield f"ε = 100 costs nothing ({said(learns(of, cheap))}) and leaves {said(leaks(of, cheap))}"
    assert learns(of, cheap) >= learns(of, "none") > learns(of, dear) + 0.09
    yield f"costs ten points of test accuracy ({said(learns(of, dear))}) and leaves {said(leaks(of, dear))}"
    yield f"gives about what ε = 10 does ({said(learns(of, 'epochs=5'))} and {said(leaks(of, 'epochs=5'))})"


def parts_of_the_attack():
    parts = rows("08_mitigations", "parts", metric="accuracy").set_index(["attack", "dataset"])
    value = parts["value"]

    def on_all(attack):
        return listed(value[attack][list(SETS_OF_08)], last=" and ")

    yield f"One network a class ({on_all(LEARNED)}) does as well as one threshold ({on_all('confidence')})"
    for each in STAND_INS:  # "on the two stand-ins a point better"
        assert parts["low"][LEARNED, each] > parts["high"]["confidence", each]
    yield f"the true class alone it is as good ({on_all('true class alone')})"
    pictures, shoppers = (value["told probabilities", each] for each in ("cifar10", "purchase100"))
    yield f"two points on CIFAR-10 and Purchase ({said(pictures)} and {said(shoppers)})"
    yield f"log-odds six on Purchase ({said(value['told log-odds', 'purchase100'])})"
    counts = rows("08_mitigations", "by_shadow_count", metric="accuracy", dataset="location").set_index("k")["value"]
    yield f"One shadow model is enough: {said(counts[1])} on Location, where ten have {said(counts[10])}"
    service = "by Google's surrogate"
    assert all((value[service] < value[other]).all() for other in (LEARNED, "confidence"))
    yield f"are worse everywhere ({on_all(service)})"
