"""What the texts of 07 and 08 say, made-up shadow data and mitigations, with the numbers of their committed tables."""

import json

from committed import LEARNED, NUMBER_WORDS, ROOT, cell, listed, rows, said, table

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
