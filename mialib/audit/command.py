"""`mialib audit`: a model and files in, a report out."""

import argparse
import json
import logging
import os
import shlex
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mialib.core.extras import ExtraMissing

if TYPE_CHECKING:
    import pandas as pd

    from mialib.audit.audit import Audit

log = logging.getLogger(__name__)

REPORT_FOLDER = "audit-report"
_OUTPUTS_MEANT = "probabilities"  # of target and references, where nothing is said; networks that answer others are refused
_BAD_INPUT = (ValueError, TypeError, OSError, ExtraMissing)  # OSError: files, folders, connections, time that ran out
_SERVICE = ("service_model", "protocol", "template", "batch", "per_second", "retries", "timeout", "token_env", "classes")
_OF_MODELS = ("pool", "fit", "shadows", "max_queries", "outputs", "cluster")  # options that files of answers have no use for
_WIDTH, _MOST_LINES = 110, 25

_EXAMPLES = """\
examples:
  a scikit-learn pipeline on tables; its references are clones of it
    mialib audit --model model.skops --members train.csv --nonmembers test.csv --label income
  a torch network, with your training function fit(x, y, seed) in train.py
    mialib audit --model net.pt --outputs logits --fit train:fit --members in.npz --nonmembers out.npz
  a model behind HTTP: KServe, Triton, MLServer (v2), MLflow (--protocol mlflow)
    mialib audit --url http://127.0.0.1:8080 --service-model adult --members in.csv --nonmembers out.csv --label income
  answers in two files: columns of true labels and of a probability a class
    mialib audit --members in.csv --nonmembers out.csv --label truth

The report says what leaks about whom, how sure that is and what helps. Exit code: 0 done, whatever was found; 2 bad input.
"""


def main(arguments: Sequence[str]) -> int:
    """Audit as the arguments say; returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    options.command = shlex.join(["mialib", "audit", *arguments])
    errors = sys.stderr
    try:
        with _told(errors, options.quiet):
            _work(options)
        return 0
    except _BAD_INPUT as error:
        print(f"error: {' '.join(str(error).split())}", file=errors)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: what was answered is kept; the same command goes on", file=errors)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mialib audit",
        description="What does a model give away about the records that it was trained on?",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument_group("records, or answers").add_argument
    add("--members", metavar="FILE", required=True, help="in the training set: .csv, .parquet, or .npz with x and y")
    add("--nonmembers", metavar="FILE", required=True, help="of the same kind, not in the training set")
    add("--pool", metavar="FILE", help="more of the same kind, for an outsider's shadow models")
    add("--label", metavar="NAME", help="the column of true labels")
    add("--groups", metavar="A,B", type=_names, help="columns: are some of their values more exposed?")
    add = parser.add_argument_group("a model").add_argument
    add("--model", metavar="SOURCE", help="file (.skops, .onnx, TorchScript), or package.module:name")
    add("--outputs", choices=("probabilities", "logits"), help=f"what a network answers (default: {_OUTPUTS_MEANT})")
    add("--trust", action="store_true", help="read files that can run code: pickle, joblib, torch.save")
    _add_service(parser)
    add = parser.add_argument_group("the audit").add_argument
    add("--fit", metavar="MODULE:NAME", help="your training function fit(x, y, seed), for references")
    add("--shadows", metavar="N", type=int, help="references of each attacker (default: 16)")
    add("--max-queries", metavar="N", type=int, help="rows that the model may be asked")
    add("--seed", metavar="N", type=int, default=0, help="of all that is random (default: 0)")
    add("--keep", action="store_true", help="keep answers and references, for other audits")
    add("--cluster", metavar="ADDRESS", help="a Dask cluster that trains the references, such as tcp://127.0.0.1:8786")
    add = parser.add_argument_group("the report").add_argument
    add("--out", metavar="FOLDER", default=REPORT_FOLDER, help=f"of the report (default: {REPORT_FOLDER})")
    add("--force", action="store_true", help="replace a report that is there")
    add("--quiet", action="store_true", help="say where the report is, and warnings; nothing else")
    return parser


def _add_service(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("a model behind HTTP").add_argument
    add("--url", help="of the service")
    add("--service-model", metavar="NAME", help="the model's name at the service (v2)")
    add("--protocol", choices=("v2", "mlflow", "template"), help="default: v2, the Open Inference Protocol")
    add("--template", metavar="FILE", help='JSON: {"request": {"rows": "{{records}}"}, "answers": "path.to.answers"}')
    add("--classes", metavar="A,B", type=_names, help="labels, in the order of the answers' columns")
    add("--batch", metavar="ROWS", type=int, help="a request (default: 64)")
    add("--per-second", metavar="ROWS", type=float, help="at most")
    add("--retries", metavar="N", type=int, help="on 429, 503 and lost connections (default: 5)")
    add("--timeout", metavar="S", type=float, help="seconds (default: 30)")
    add("--token-env", metavar="NAME", help="environment variable that holds a token")
    add("--allow-remote", action="store_true", help="ask a service that is not on this machine")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _work(options: argparse.Namespace) -> None:
    from mialib.audit.report import check_folder  # late, as all that takes long to import: --help does without

    _check_together(options)
    folder = check_folder(options.out, options.force)
    found = _of_files(options) if options.model is None and options.url is None else _of_a_model(options)
    found.about["command"] = options.command
    found.save(folder, force=options.force)
    lines = [] if options.quiet else [*findings_in_lines(found), ""]
    print("\n".join([*lines, f"report: {Path(options.out) / 'report.html'}"]), flush=True)


def _check_together(options: argparse.Namespace) -> None:
    """ValueError for options that mean nothing beside the others: nobody should think that they were heeded."""
    if options.model is not None and options.url is not None:
        raise ValueError("one of --model and --url must be given, got both")
    service = [name for name in _SERVICE if getattr(options, name) is not None] + ["allow_remote"] * options.allow_remote
    if service and options.url is None:
        raise ValueError(f"{_flags(service)}: of a service, which --url names")
    if options.trust and options.model is None:
        raise ValueError("--trust: of a model, which --model names")
    if options.outputs is not None and options.model is None and options.fit is None:
        raise ValueError("--outputs: of a model or a training function, which --model or --fit names")
    useless = [name for name in _OF_MODELS if getattr(options, name) is not None] + ["keep"] * options.keep
    if useless and options.model is None and options.url is None:
        raise ValueError(f"{_flags(useless)}: of a model, which --model or --url names; files of answers have none")


def _flags(names: Sequence[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _given(options: argparse.Namespace, **names: str) -> dict[str, Any]:
    """Arguments by name, of options that were given: the library's own defaults hold for the others."""
    return {name: value for name, option in names.items() if (value := getattr(options, option)) is not None}


def _of_files(options: argparse.Namespace) -> "Audit":
    from mialib import audit

    return audit.answers(
        options.members, options.nonmembers, label=options.label, **_given(options, seed="seed", groups="groups")
    )


def _of_a_model(options: argparse.Namespace) -> "Audit":
    from mialib import audit, cluster
    from mialib.audit.files import read_records

    files = {name: getattr(options, name) for name in ("members", "nonmembers", "pool") if getattr(options, name)}
    records = {name: read_records(path, options.label) for name, path in files.items()}
    trainer = _trainer(options)
    target = _service(options) if options.model is None else _model(options)
    groups = _group_values(options.groups, [records[name][0] for name in ("members", "nonmembers")])
    taken: dict[str, Any] = {name: (_as_the_model_takes(target, x, files[name]), y) for name, (x, y) in records.items()}
    _tell_of_others(records["members"][0], taken["members"][0])
    arguments = _given(options, n_shadows="shadows", max_queries="max_queries", seed="seed", keep="keep")
    with nullcontext() if options.cluster is None else cluster.at(options.cluster):
        return audit.model(target, **taken, trainer=trainer, groups=groups, **arguments)


def _model(options: argparse.Namespace) -> Any:
    from mialib.audit.loading import load_model

    return load_model(options.model, trust=options.trust, outputs=options.outputs or _OUTPUTS_MEANT)


def _service(options: argparse.Namespace) -> Any:
    from mialib.audit.remote import Remote

    names = {name: name for name in _SERVICE if name not in ("service_model", "template")}
    arguments = _given(options, model="service_model", max_queries="max_queries", **names)
    if options.template is not None:
        try:
            arguments["template"] = json.loads(Path(options.template).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"--template {options.template} must be a file of JSON: {error}") from error
        arguments.setdefault("protocol", "template")
    return Remote(options.url, allow_remote=options.allow_remote, **arguments)


def _trainer(options: argparse.Namespace) -> Any:
    if options.fit is None:
        return None
    from mialib.audit.loading import import_named
    from mialib.training import FunctionTrainer

    return FunctionTrainer(import_named(options.fit), outputs=options.outputs or _OUTPUTS_MEANT)


def _as_the_model_takes(target: Any, x: Any, path: str) -> Any:
    """Of a table, the columns that an estimator was fitted on, where it says them; all otherwise."""
    names = getattr(target, "feature_names_in_", None)
    if names is None or not hasattr(x, "columns"):
        return x
    if missing := [name for name in names if name not in x]:
        raise ValueError(f"{path} must have the columns that the model was fitted on, and lacks {', '.join(missing)}")
    return x[[*names]]


def _tell_of_others(x: Any, taken: Any) -> None:
    if others := [str(name) for name in getattr(x, "columns", []) if name not in taken]:
        log.info("columns that the model was not fitted on are not given to it: %s", ", ".join(others))


def _group_values(groups: Sequence[str] | None, tables: Sequence[Any]) -> dict[str, list[Any]] | None:
    """Values of the columns named, of members and non-members: columns that the model does not take may be among them."""
    if groups is None:
        return None
    columns = [*getattr(tables[0], "columns", [])]
    if missing := [name for name in groups if any(name not in getattr(table, "columns", []) for table in tables)]:
        raise ValueError(
            f"--groups must name columns of the files, {', '.join(map(str, columns)) or 'none'}, got {', '.join(missing)}"
        )
    return {name: [value for table in tables for value in table[name].tolist()] for name in groups}


# What is printed


def findings_in_lines(found: "Audit") -> list[str]:
    """The summary and the table of attacks, the most telling first, in at most 22 lines."""
    summary = [line for part in found.summary.splitlines() for line in textwrap.wrap(part, _WIDTH)]
    rows = found.attacks.sort_values(["headline", "auc"], ascending=False, kind="stable")
    table = [line.rstrip() for line in _attack_rows(rows).to_string(index=False).splitlines()]
    room = _MOST_LINES - 3 - len(summary) - 1
    if len(table) > room:
        table = [*table[: max(room - 1, 2)], f"… {len(rows) - max(room - 1, 2) + 1} more in attacks.csv"]
    return [*summary, "", *table]


def _attack_rows(attacks: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    from mialib.plots.names import in_words

    return pd.DataFrame(
        {
            "attack (*: of the verdict)": [in_words(row.attack) + " *" * bool(row.headline) for row in attacks.itertuples()],
            "attacker": attacks["attacker"].tolist(),
            "AUC": [_value(*each) for each in attacks[["auc", "auc_low", "auc_high"]].to_numpy(float)],
            "TPR at 1% FPR": [
                _value(*each) for each in attacks[["tpr_at_0.01", "tpr_at_0.01_low", "tpr_at_0.01_high"]].to_numpy(float)
            ],
            "epsilon >=": [f"{value:.2f}" if value == value else "-" for value in attacks["epsilon"]],
        }
    )


def _value(value: float, low: float, high: float) -> str:
    return "-" if value != value else f"{value:.3f} [{low:.3f}, {high:.3f}]"


class _Lines(logging.Handler):
    """Log records as plain lines between bars of progress."""

    def __init__(self, stream: Any) -> None:
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm.std import tqdm

        word = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        tqdm.write(word + " ".join(record.getMessage().split()), file=self.stream)


class _Told(NamedTuple):
    text: str
    category: type[Warning]


@contextmanager
def _told(stream: Any, quiet: bool) -> Iterator[None]:
    """Notes and warnings go to `stream`, a line each, warnings once; if quiet, only warnings, and no progress is shown."""
    handler, logger = _Lines(stream), logging.getLogger("mialib")
    level, propagate, seen = logger.level, logger.propagate, set[_Told]()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        told = _Told(str(message), category)
        if told not in seen:
            seen.add(told)
            logger.warning("%s", told.text)

    logger.addHandler(handler)
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
    try:
        with warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stderr(nowhere if quiet else stream):
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
