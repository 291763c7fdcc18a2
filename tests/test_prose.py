"""Numbers in the notebooks' prose are those of their committed tables: a sentence fails here when its table changes."""

import json

import pytest
import sentences_beyond as beyond
import sentences_cifar as cifar
import sentences_services as services
import sentences_since as since
from committed import NUMBER_WORDS, ROOT, rows, table
from test_readme_numbers import numbers

from mialib.study import google


def board():
    counted = rows("99_scoreboard", "totals", standing="real data, the paper's target").set_index("given")
    stated, drawn = counted.loc["stated"], counted.loc["drawn"]
    total, single = stated["rows"] + drawn["rows"], drawn["single_classes"]
    yield f"{total} values that count, {stated['rows']} are stated and {drawn['rows']} are drawn; {single} of these"
    differing = table("99_scoreboard", "differing")
    back, own = (differing["within"].str.contains(way, na=False) for way in ("told probabilities", "target's own answers"))
    held = differing[~back & own]
    assert held[["dataset", "train_size", "metric"]].to_numpy().tolist() == [["cifar100", 10520, "attack_precision_p10"]]
    yield f"Of the {NUMBER_WORDS[len(differing)]} values that count and are further than 0.05 from the paper's, or miss a bound"
    yield f"{NUMBER_WORDS[int(back.sum())]} come to within it when the attack networks are told the probabilities"
    apart = NUMBER_WORDS[int((~back & ~own).sum())]
    yield f"{apart} are not reached by a threshold on the target's own answers either"


SENTENCES = {
    "00_attack_by_hand": services.by_hand,
    "01_cifar10": cifar.first_notebook,
    "02_cifar100": cifar.second_notebook,
    "03_purchase": services.third_notebook,
    "04_location": services.fourth_notebook,
    "05_texas": services.fifth_notebook,
    "06_adult_mnist": services.sixth_notebook,
    "07_shadow_data": beyond.seventh_notebook,
    "08_mitigations": beyond.eighth_notebook,
    "09_modern_attacks": since.ninth_notebook,
    "10_related_attacks": since.tenth_notebook,
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
    "08_mitigations": [
        "a recall of 1.00 and 0.95", "95% intervals",
        "On Location 0.01", "on Purchase 0.001", "On CIFAR-10 0.01", "σ = 0.1 leaves", "At σ = 0.3",
    ],
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
