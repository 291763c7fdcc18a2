"""Deliberate faults, each a line of the package changed: the tests named beside it must fail. `make mutants` runs them all.

A fault that no test sees is a survivor: the run names it and exits with 1. Works on a copy of the tree.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Fault(NamedTuple):
    """In `file` of the package, `line` becomes `changed`; `tests` (a file of tests/, or a test in it) must see it."""

    file: str
    line: str
    changed: str
    tests: str = "test_faults.py"


_CLUSTER = {  # a test of test_cluster.py each, for its fixtures take long
    word: f"test_cluster.py::test_{name}"
    for word, name in {
        "comes back": "what_workers_cannot_put_into_the_cache_comes_back",
        "cut": "a_stack_that_is_too_large_is_cut_in_two",
        "data": "a_data_set_is_read_from_the_workers_data_folder_or_sent_once",
        "digest": "a_data_set_travels_by_its_digest",
        "later": "a_worker_that_came_later_with_other_code_makes_nothing",
        "door": "workers_that_cannot_be_used_are_named_at_the_door_and_when_they_come_later",
        "held": "a_worker_holds_the_data_sets_that_it_used_last",
        "killed": "a_killed_worker_changes_no_byte",
        "memory": "a_worker_that_is_ended_for_want_of_memory_costs_one_try_not_four",
        "stacks": "stacks_end_where_they_would_if_nothing_were_there",
        "versions": "other_versions_and_a_folder_that_cannot_be_written_are_named",
    }.items()
}
FAULTS = [
    Fault(
        "lab/decisions.py",
        'np.searchsorted(side, thresholds, "left")',
        'np.searchsorted(side, thresholds, "right")',
        "test_lab_play.py",
    ),
    Fault("lab/controls.py", "[*tried, start]", "[start, *tried]", "test_lab_play.py"),
    Fault("lab/record.py", "of_all if len(stock) < ENOUGH else own", "own", "test_lab_play.py"),
    Fault("lab/canvas.py", "if axes == self._still[0]:", "if self._still[0]:", "test_lab_play.py"),
    Fault("core/frames.py", "np.where(np.isfinite(numbers), numbers, 0.0)", "numbers", "test_frames.py"),
    Fault("core/types.py", "y=self.y[rows], frame=frame)", "y=self.y[rows])", "test_frames.py"),
    Fault("training/estimators.py", 'derive(seed, "function", first + j)', 'derive(seed, "function", j)', "test_frames.py"),
    Fault(
        "audit/findings.py",
        "threshold(score[~judged], member[~judged])",
        "threshold(score[judged], member[judged])",
        "test_audit_results.py",
    ),
    Fault("audit/findings.py", "(false_positives + 1) / (n + 1)", "false_positives / n", "test_audit_results.py"),
    Fault(
        "audit/attackers.py", "stock[stock.references(mock)]", "stock[np.arange(len(stock)) != mock]", "test_audit_results.py"
    ),
    Fault(
        "audit/attackers.py", "np.where(half, attack(Attacked(signal, stock, ~half)), first)", "first", "test_audit_results.py"
    ),
    Fault("audit/verdict.py", 'headline["p"] < ALPHA / 2 or (', 'headline["auc"] > 0.5 or (', "test_audit_results.py"),
    Fault("audit/given.py", "np.isin(first, second))", "np.isin(first, second) & False)", "test_audit.py"),
    Fault("audit/private.py", "shutil.rmtree(folder)", "pass", "test_audit.py"),
    Fault("audit/private.py", "folder.mkdir(mode=0o700, exist_ok=True)", "folder.mkdir(exist_ok=True)", "test_audit.py"),
    Fault("audit/targets.py", '"labels", mitigations.label_only)', '"labels", None)', "test_audit.py"),
    Fault("audit/remedies.py", "table[name] - table[name].iloc[0]", "table[name]", "test_audit.py"),
    Fault("audit/asking.py", "(data.member, ~data.member)", "(data.member, data.member)", "test_audit.py"),
    Fault("study/stocks.py", "self.others[self.own.references", "self.own[self.own.references", "test_modern_study.py"),
    Fault("study/stocks.py", "data[np.argsort(split.rows)]", "data", "test_modern_study.py"),
    Fault("study/stocks.py", "score[:, trial.population] = np.nan", "pass", "test_modern_study.py"),
    Fault(
        "study/modern.py",
        "threshold_at_fpr(mock_score, mock_inside, fpr)",
        "threshold_at_fpr(score, inside, fpr)",
        "test_modern_study.py",
    ),
    Fault("study/modern.py", "pool[pool.references(0)]", "pool[1:]", "test_modern_study.py"),
    Fault("study/questions.py", "(1 + 1e-12) / max", "1 / max", "test_modern_study.py"),
    Fault("study/exposure.py", "(counts / (counts - 1))[own.argmax(1)]", "1.0", "test_modern_study.py"),
    Fault("study/exposure.py", '.dropna(subset=["found", "separation"])', "", "test_modern_study.py"),
    Fault("study/exposure.py", "/ (count - 1)", "/ count", "test_modern_study.py"),
    Fault("study/mitigated.py", "order[-quarter:]", "order[quarter:]", "test_modern_study.py"),
    Fault("plots/panels.py", "place.last:", "True:", "test_modern_figures.py"),
    Fault("plots/names.py", "endswith(SURROGATE).all()", "endswith(SURROGATE).any()", "test_plots.py"),
    Fault("runs/drawn.py", 'if not drawn or "" in drawn:', "if not drawn:", "test_runs.py"),
    Fault("core/stocks.py", "member[i], ~member[target])", "member[i], member[target])", "test_stocks.py"),
    Fault("shadow/halves.py", "] = ~member[2 * pair]", "] = member[2 * pair]", "test_stocks.py"),
    Fault("shadow/signals.py", '{"queries": views, ', "{", "test_stocks.py"),
    Fault(
        "shadow/signals.py",
        "log(np.maximum(others.sum(1), SMALLEST_FLOAT))",
        "log(np.maximum(1 - own, SMALLEST_FLOAT))",
        "test_stocks.py",
    ),
    Fault("attack/likelihood_ratio.py", "(outside[0] - one) / outside[1]", "(one - outside[0]) / outside[1]", "test_stocks.py"),
    Fault("attack/likelihood_ratio.py", "squares / spare if spare", "squares / count if spare", "test_stocks.py"),
    Fault("attack/relative.py", "np.log((1 + a) / 2) + outside", "np.log((1 - a) / 2) + outside", "test_stocks.py"),
    Fault("attack/relative.py", "one - np.log(gamma)", "one + np.log(gamma)", "test_stocks.py"),
    Fault("attack/references.py", "mean_where(answers < one, ~member)", "mean_where(answers < one, member)", "test_stocks.py"),
    Fault("paper/modern.py", "+ rounding) * factor)", "+ distance))", "test_modern_paper.py"),
    Fault(
        "paper/modern.py", 'if row.reading == "quoted" or _another_rate(row):', "if _another_rate(row):", "test_modern_paper.py"
    ),
    Fault("paper/claims_since.py", 'lira["low"] > old["high"]', "True", "test_modern_paper.py"),
    Fault("paper/scoreboard.py", "reading.where(reading == DRAWN, STATED)", "reading", "test_scoreboard.py"),
    Fault("paper/deviations.py", "paper.removeprefix(AT_MOST)", "ours", "test_deviations.py"),
    Fault("paper/deviations.py", "float(np.prod(found))", "found[0]", "test_deviations.py"),
    Fault("attack/inside.py", "id(layer.bias): of_bias}", "id(layer.bias): 0 * of_bias}", "test_white_box.py"),
    Fault("attack/inside.py", "logits.mean(1)).sum()", "0).sum()", "test_white_box.py"),
    Fault("attack/white_box.py", "np.sort(_layer(", "np.asarray(_layer(", "test_white_box.py"),
    Fault("attack/kept_insides.py", "cache.digest(split.rows, besides)", "cache.digest(split.rows)", "test_white_box.py"),
    Fault("study/white_box.py", "zip(attacks, sides[::-1]", "zip(attacks, sides", "test_white_box.py"),
    Fault("study/white_box.py", "and r[1] != ON_KNOWN and", "and", "test_white_box.py"),
    Fault("study/white_box.py", "-there[:, 1]", "there[:, 1]", "test_white_box.py"),
    Fault("study/white_box.py", "draws - paired[best][at][1]", "draws", "test_white_box.py"),
    Fault("attack/inversion.py", "cost, queries + 1)", "cost, queries)", "test_inversion.py"),
    Fault("attack/inversion.py", "max_queries - 1, max_queries", "max_queries, max_queries", "test_inversion.py"),
    Fault("attack/inversion.py", "values[:, :k] - values[:, k:]", "values[:, :k]", "test_inversion.py"),
    Fault("attack/class_cost.py", "slope + scale * gradient", "slope + gradient", "test_inversion.py"),
    Fault(
        "study/inversion.py", "for real in (members, nonmembers))", "for real in (nonmembers, members))", "test_inversion.py"
    ),
    Fault("study/inversion.py", "(right[:, t].sum(0) - right[t, t])", "right[:, t].sum(0)", "test_inversion.py"),
    Fault("study/inversion.py", "} | settings", "}", "test_inversion.py"),
    Fault(
        "study/dependent.py",
        "np.mean([influence for _, influence in found], axis=0) ** 2",
        "np.mean([influence**2 for _, influence in found], axis=0)",
        "test_inversion.py",
    ),
    Fault(
        "study/dependent.py",
        "draws = values.mean(1), values[:, drawn].mean((0, 2))",
        "draws = values.mean(1), values[0, drawn].mean(1)",
        "test_inversion.py",
    ),
    Fault("paper/claims_related.py", 'row["low"] <= 0 and', 'row["high"] >= 0 and', "test_related_claims.py"),
    Fault("paper/claims_related.py", 'row["low"] > copy', "True", "test_related_claims.py"),
    Fault(
        "paper/claims_related.py",
        'vectors["value"] > labels["value"]',
        'vectors["value"] < labels["value"]',
        "test_related_claims.py",
    ),
    Fault("paper/claims_related.py", 'worst["high"] >= 0', 'worst["low"] >= 0', "test_related_claims.py"),
    Fault(
        "paper/claims_related.py", 'row["access"], row["learned_on"],', 'row["access"], ON_SHADOWS,', "test_related_claims.py"
    ),
    Fault("shadow/answers.py", "cache.digest(split.members, split.nonmembers)", "cache.digest(split.members)"),
    Fault(
        "shadow/answers.py",
        "query(model, dataset, split).predictions",
        "query(model, dataset, split, lambda answers: answers.round(1)).predictions",
    ),
    Fault("core/cache.py", 'if about["sha256"] != _content_digest(arrays):', "if False:", "test_cache.py"),
    Fault("core/cache.py", 'if _text(about["key"]) != _text(key):', "if False:", "test_cache.py"),
    Fault("core/source.py", "waiting += list(", "waiting = list(", "test_cache.py"),
    Fault("training/keys.py", "*value.named_buffers(remove_duplicate=False)", "", "test_training.py"),
    Fault("training/session.py", "if not np.isfinite(array).all():", "if False:", "test_training.py"),
    Fault("core/types.py", "if off[worst] > 1e-3:", "if off[worst] > 1e-1:", "test_bad_input.py"),
    Fault("core/types.py", "low < -1e-6", "low < -1", "test_bad_input.py"),
    Fault("core/types.py", "high > 1 + 1e-3", "high > 2", "test_bad_input.py"),
    Fault(
        "shadow/answers.py",
        "ordered[:, [place[label] for label in known]] = answers",
        "ordered[:, :len(known)] = answers",
        "test_bad_input.py",
    ),
    Fault(
        "shadow/answers.py", "max(given.mean(), 1 / len(given)) + FAR_BETTER", "given.mean() + FAR_BETTER", "test_bad_input.py"
    ),
    Fault("shadow/answers.py", "other.mean() > to_beat", "other.mean() > 2", "test_bad_input.py"),
    Fault(
        "shadow/splits.py",
        'randomness.generator(seed, "split", i)',
        'randomness.generator(seed, "split", i - first)',
        "test_shadow.py",
    ),
    Fault("attack/learned.py", "x.std(0).max()", "x.std(0).mean()"),
    Fault("attack/learned.py", "x.clip(-10, 10", "x.clip(-1, 1"),
    Fault("attack/learned.py", "np.subtract(np.log(p, out=p), rest, out=p)", "np.log(p, out=p)", "test_attack.py"),
    Fault("attack/learned.py", "return np.negative(rest, out=rest) if", "return rest if", "test_attack.py"),
    Fault("study/inputs.py", 'found["fit"].append(answers[~is_new])', 'found["fit"].append(answers)', "test_inputs.py"),
    Fault("study/inputs.py", "if i < e.n_shadows - n_held:", "if i < e.n_shadows:", "test_inputs.py"),
    Fault("study/google.py", "accuracies[best] + CLEARLY", "accuracies[best]", "test_surrogates.py"),
    Fault("study/tables.py", "usable_counts(group, counts)", "usable_counts(trials, counts)", "test_tables.py"),
    Fault("paper/scoreboard.py", 'judged[judged["way"] != THE_ATTACK]', "judged", "test_scoreboard.py"),
    Fault("paper/claims.py", '~values["variant"].isin(APART), np.nan)', "True, np.nan)", "test_scoreboard.py"),
    Fault("attack/learned.py", '"inputs": inputs}', '"inputs": 0}', "test_attack.py"),
    Fault(
        "attack/learned.py",
        'randomness.torch_generator(seed, "attack order", c)',
        'randomness.torch_generator(0, "attack order", c)',
    ),
    Fault(
        "attack/learned.py",
        "return self.membership_score(data) > 0",
        "return self.membership_score(data) > 1",
        "test_attack.py",
    ),
    Fault("attack/thresholds.py", "return self.membership_score(data) >= 0", "return self.membership_score(data) > 0"),
    Fault("attack/thresholds.py", "if gain[best] <= 0:", "if gain[best] < 0:", "test_attack.py"),
    Fault("metrics/rates.py", "c.true_positives + c.false_positives)", "c.members)", "test_metrics.py"),
    Fault("metrics/ranking.py", 'curve["fpr"] <= fpr', 'curve["fpr"] < fpr', "test_ranking.py"),
    Fault("metrics/ranking.py", "* (1 + 1e-12)", "", "test_ranking.py"),
    Fault("metrics/ranking.py", "if not can_carry(fpr, n):", "if False:", "test_ranking.py"),
    Fault("metrics/ranking.py", "score >= threshold", "score > threshold", "test_ranking.py"),
    Fault("metrics/rates.py", "-(-q * known // 100) - 1", "q * known // 100", "test_metrics.py"),
    Fault("metrics/rates.py", "(c.members + c.nonmembers > 0), 0.0", "True, 0.0", "test_metrics.py"),
    Fault("paper/comparison.py", "experiment in UNDEFINED_AS_ZERO", "False", "test_tables.py"),
    Fault("paper/claims_shadow_data.py", "precision.fillna(0)", "precision", "test_shadow_data.py"),
    Fault("paper/claims_shadow_data.py", 'recall["value"][MODEL_BASED] >= FOUND and ', "", "test_shadow_data.py"),
    Fault("paper/claims_mitigations.py", "(plain, label)", "(plain,)", "test_leakage.py"),
    Fault("paper/claims.py", "test(values)) for", "test(saved.values)) for", "test_scoreboard.py"),
    Fault("metrics/low_rates.py", '(above, below, "left")', '(above, below, "right")', "test_ranking.py"),
    Fault("metrics/low_rates.py", "np.rint(shares * false", "np.floor(shares * false", "test_ranking.py"),
    Fault("metrics/low_rates.py", "rng.integers(n, size=n)", "rng.permutation(n)", "test_ranking.py"),
    Fault("metrics/low_rates.py", "can_carry(fpr, min(sizes))", "can_carry(fpr, max(sizes))", "test_ranking.py"),
    Fault("metrics/low_rates.py", "min(low, _estimate(stricter[:, 0], stricter[:, 1:].mean(0))[1])", "low", "test_ranking.py"),
    Fault("metrics/low_rates.py", "(below - value) / len(outside)", "(below - value) / len(inside)", "test_ranking.py"),
    Fault("metrics/epsilon.py", "betaincinv(k + 1,", "betaincinv(k + 1e-9,", "test_epsilon.py"),
    Fault("metrics/epsilon.py", "(accused, missed))", "(missed, accused))", "test_epsilon.py"),
    Fault("metrics/epsilon.py", "chosen_on = first, second", "chosen_on = inside, outside", "test_epsilon.py"),
    Fault("metrics/epsilon.py", "share = alpha / (p + q)", "share = alpha", "test_epsilon.py"),
    Fault("metrics/epsilon.py", "beta + 2 * canaries * delta", "beta + 2 * guesses * delta", "test_epsilon.py"),
    Fault("training/session.py", "self.since >= patience", "self.since > patience"),
    Fault("training/session.py", "self.lowest <= enough", "self.lowest < enough"),
    Fault("training/session.py", "else self.since == 0", "else left == 0 or self.has_ended"),
    Fault("training/session.py", "bar.update(left * len(ended))", "bar.update(0)"),
    Fault("training/recipe.py", "self.lr / (1 + self.lr_decay * step)", "self.lr", "test_training.py"),
    Fault("training/session.py", '"weight_decay": 2 * recipe.l2', '"weight_decay": recipe.l2', "test_training.py"),
    Fault(
        "training/stacked.py",
        "self.dropout = [self.dropout[row] for row in rows] if self.dropout else []",
        "self.dropout = self.dropout[: len(rows)]",
    ),
    Fault(
        "shadow/algorithm1.py",
        "kept = own >= self.best_confidence[asked]",
        "kept = own > self.best_confidence[asked]",
        "test_algorithm1.py",
    ),
    Fault(
        "shadow/algorithm1.py",
        "self.rejected[asked] > self.rules.rej_max",
        "self.rejected[asked] >= self.rules.rej_max",
        "test_algorithm1.py",
    ),
    Fault("study/bridge.py", "for split in job.splits]))", "for split in (*job.splits, target.split)]))", "test_extraction.py"),
    Fault("study/bridge.py", "part = Transcript(heard.x[mine]", "part = Transcript(judged[:n]", "test_extraction.py"),
    Fault(
        "study/extraction.py",
        "heard_by(target, made.x)._replace(queries=queries)",
        "heard_by(target, made.x)",
        "test_extraction.py",
    ),
    Fault("attack/extraction.py", "(logs[1:] - logs[0]).T", "logs[1:].T", "test_extraction.py"),
    Fault(
        "attack/extraction.py",
        "transcript(model, x[:budget], n_classes)",
        "transcript(model, x, n_classes)",
        "test_extraction.py",
    ),
    Fault("training/soft.py", '| {"answers": cache.digest(self.answers)}', "", "test_extraction.py"),
    Fault("shadow/splits.py", "permutation(split.members)", "permutation(split.nonmembers)", "test_overlaps.py"),
    Fault("shadow/splits.py", "np.sort(drawn[-n:])", "np.sort(drawn[:n])", "test_overlaps.py"),
    Fault("study/measured.py", "metric(before, w) for", "metric(before, np.vstack([w[:1], w[:0:-1]])) for", "test_overlaps.py"),
    Fault("study/measured.py", 'ranked.loc[ranked["pooled"], ["value", "low", "high"]] = np.nan', "pass", "test_overlaps.py"),
    Fault("study/kinds.py", "trial._replace(load=shadows.load, n_shadows=shadows.n_shadows)", "trial", "test_kinds.py"),
    Fault(
        "study/apps.py",
        "elif name in self._kept:\n                self.from_cache += 1",
        "elif name in self._kept:\n                self.passed += 1",
        "test_indirect.py",
    ),
    Fault("study/apps.py", "self.passed >= self.quota", "self.passed > self.quota", "test_indirect.py"),
    Fault("study/indirect.py", "np.full(len(known), -np.inf)", "np.full(len(known), np.inf)", "test_indirect.py"),
    Fault("study/indirect.py", "others = judged & ~member", "others = judged & member", "test_indirect.py"),
    Fault(
        "study/indirect.py",
        "_draws(among.shape[1]) @ each.T",
        "np.ones((200, among.shape[1]), np.float32) @ each.T",
        "test_indirect.py",
    ),
    Fault("study/app_labels.py", '"gated": kind.gated, ', "", "test_indirect.py"),
    Fault("attack/label_only.py", "if refused is None else (answered != refused).sum(1)", "", "test_indirect.py"),
    Fault("attack/boundary.py", "over & (answered != self.refused)", "over", "test_indirect.py"),
    Fault(
        "attack/boundary.py",
        "np.setdiff1d(answered, [] if refused is None else [refused])",
        "np.unique(answered)",
        "test_indirect.py",
    ),
    Fault(
        "core/executors.py",
        "lambda _, i: i % size == 0)",
        "lambda run, _: len(run) >= size)",
        _CLUSTER["stacks"],
    ),
    Fault("cluster/datasets.py", "if cache.digest(x, y) == digest:", "if True:", _CLUSTER["data"]),
    Fault("cluster/datasets.py", "[: -max(HELD, together)]", "[:0]", _CLUSTER["held"]),
    Fault("cluster/link.py", "self._provided -= {*digests}", "pass", _CLUSTER["data"]),
    Fault("cluster/stacks.py", "reversed(stack.halves())", "stack.halves()[:1]", _CLUSTER["cut"]),
    Fault("cluster/stacks.py", "if future.key in too_large and len(stack.pieces) > 1:", "if False:", _CLUSTER["memory"]),
    Fault("cluster/stacks.py", "sum(times - 1 for", "sum(times for", _CLUSTER["killed"]),
    Fault("cluster/stacks.py", "if delivery.kept:", "if True:", _CLUSTER["comes back"]),
    Fault(
        "cluster/link.py", "if any(isinstance(missing, Exception) for missing in answers.values()):", "if 0:", _CLUSTER["door"]
    ),
    Fault("cluster/events.py", "self._last[worker] = stack", "pass", _CLUSTER["memory"]),
    Fault("cluster/worker.py", "if order.code != code_of_package() or ", "if ", _CLUSTER["later"]),
    Fault("cluster/worker.py", "shared is not None and all(", "all([True] or ", _CLUSTER["comes back"]),
    Fault("cluster/checked.py", "if threads != 1:", "if False:", _CLUSTER["versions"]),
    Fault("cluster/travel.py", "if type(item) is not Dataset:", "if True:", _CLUSTER["digest"]),
    Fault("cluster/shards.py", "% self.n == self.number - 1:", "% self.n < self.number:", "test_shards.py"),
    Fault("cluster/shards.py", "sorted({*self._mine(work)} & {*missing})", "sorted({*self._mine(work)})", "test_shards.py"),
]


def survivors(faults: list[Fault]) -> list[Fault]:
    """The faults that their tests do not see, each tried on a copy of the tree."""
    unseen = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        copytree(ROOT, tree, ignore=ignore_patterns(".venv*", ".git", "results", "figures", "__pycache__"))
        for fault in faults:
            path = tree / "mialib" / fault.file
            source = path.read_text(encoding="utf-8")
            path.write_text(source.replace(fault.line, fault.changed), encoding="utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{fault.tests}"]
            seen = (
                subprocess.run(
                    command, cwd=tree, capture_output=True, env=os.environ | {"PYTHONPATH": str(tree)}, check=False
                ).returncode
                == 1
            )
            path.write_text(source, encoding="utf-8")
            print(f"{'seen' if seen else 'SURVIVED':<9} {fault.file}: {fault.changed}", flush=True)
            unseen += [] if seen else [fault]
    return unseen


if __name__ == "__main__":
    chosen = [fault for fault in FAULTS if not sys.argv[1:] or any(word in fault.file for word in sys.argv[1:])]
    left = survivors(chosen)
    print(f"{len(chosen) - len(left)} of {len(chosen)} faults are seen")
    sys.exit(bool(left))
