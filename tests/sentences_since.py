"""What the texts of 09 and 10 say, on the attacks after 2017 and around it, with the numbers of their committed tables."""

from committed import interval, listed, ordinal, rows, said, table

from mialib.paper import modern_published

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
    assert found["cifar10", "shokri"] > 0.02
    yield f"the attack of 2017 finds {old['cifar10']}, and 2% was the limit"
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
    assert related_rows("equations", answers="as they are")["worst_error"].max() < 1e-5  # "every weight within 1e-5"
    yield f"agrees on {equations.loc['3 digits', 'agreement']:.1%} of the records"


def inside_the_model():
    inside = related_rows("white_box", learned_on="shadows")
    auc = inside[inside["metric"] == "auc"].set_index(["dataset", "features"])["value"]
    found = inside[(inside["metric"] == "tpr") & (inside["fpr"] == 0.01)].set_index(["dataset", "features"])["value"]
    assert auc["cifar10", "answers"] >= auc["cifar10", "2017 attack"]  # "the best from answers"
    ends = [said(auc["cifar10", features]) for features in ("answers", "everything")]
    yield f"takes the AUC from {ends[0]} (the best from answers) to {ends[1]}"
    best = found["cifar10"][inside.query("access == 'black box'")["features"].unique()].max()
    yield f"finds {found['cifar10', 'everything']:.1%} of the members at 1% in place of {best:.1%}"
    layers = auc["cifar10"].filter(like="sorted")
    assert layers.idxmax() == "layer 2, sorted"  # "most of it is in the second layer's output, sorted"
    gain = related_rows("white_box", dataset="location", metric="auc_gain", learned_on="shadows", features="everything").iloc[0]
    assert gain["low"] > 0 and gain["value"] < 0.01
    yield f"it adds less than a point ({interval(gain)})"
    raw = auc[[name for name in auc.index if name[1].endswith("raw")]]
    yield f"transfers from no shadow model (AUC {raw.min():.2f} to {raw.max():.2f})"
    every = related_rows("white_box", metric="auc").set_index(["learned_on", "dataset", "features"])["value"]
    for dataset in ("location", "cifar10"):
        assert every["known members", dataset, "everything"] < every["shadows", dataset, "everything"]


def overlapping():
    gains = related_rows("overlaps", dataset="location", attack="shokri").set_index(["metric", "share"])
    told = gains.loc[[("auc_gain", 0.5), ("auc_gain", 1.0), ("recall_gain", 1.0)]]
    assert (told["low"] < 0).all() and (told["high"] > 0).all()  # "helps nothing that could be measured"
    half, whole, recall = (interval(row) for _, row in told.iterrows())
    yield f"Shadows that share half of Location's records gain {half} of AUC"
    yield f"those that share all {whole}, and {recall} of recall"
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
