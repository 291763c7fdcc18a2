"""What the site is made of: the committed runs of the notebooks, their tables and figures, and the README's package."""

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mialib.core import checks
from mialib.runs.run import read_run, read_table

SCOREBOARD_NOTEBOOK = "99_scoreboard"
SITE_PROFILE = "paper"  # the one whose results are committed


class NotebookRun(NamedTuple):
    """The run of a notebook that the site shows. name: such as "04_location"; results, figures: folders; record: run.json."""

    name: str
    results: Path
    figures: Path
    record: dict[str, Any]

    @property
    def executed(self) -> Path:
        return self.results / f"{self.name}.ipynb"

    def table(self, name: str) -> pd.DataFrame:
        """A saved table; ValueError, naming the run, where it is not there."""
        try:
            return read_table(self.results, name)
        except ValueError as error:
            raise ValueError(f"{'/'.join(self.results.parts[-3:])}: {error}") from error


class Sources(NamedTuple):
    """All that pages are made of. runs: by notebook, in order."""

    root: Path
    runs: dict[str, NotebookRun]

    def run_of(self, notebook: str) -> NotebookRun:
        """The run of one notebook. ValueError for one that there is not."""
        return self.runs[checks.choice("notebook", notebook, list(self.runs))]

    @property
    def scoreboard(self) -> NotebookRun:
        return self.run_of(SCOREBOARD_NOTEBOOK)


def read_sources(root: Path) -> Sources:
    """The runs of all notebooks of a checkout: the one on real data, or on stand-ins where there is no other.

    Raises ValueError naming the notebooks that were not run, or whose run did not end.
    """
    names = sorted(path.stem for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not names:
        raise ValueError(f"root is {str(root)!r}: a checkout with notebooks/ is needed")
    folders = {name: _folder(root, name) for name in names}
    if absent := [name for name, folder in folders.items() if folder is None]:
        raise ValueError(f"results of the profile {SITE_PROFILE} lack {', '.join(absent)}: run them, such as make {absent[0]}")
    return Sources(root, {name: _run(root, name, folder) for name, folder in folders.items() if folder})


def _folder(root: Path, name: str) -> Path | None:
    places = [root / "results" / run / name for run in (SITE_PROFILE, f"{SITE_PROFILE}-standin")]
    return next((place for place in places if (place / "run.json").exists()), None)


def _run(root: Path, name: str, folder: Path) -> NotebookRun:
    record, place = read_run(folder), "/".join(folder.parts[-3:])
    if not (folder / f"{name}.ipynb").exists():
        raise ValueError(f"{place} lacks the executed notebook {name}.ipynb: run {name} again")
    return NotebookRun(name, folder, root / "figures" / folder.relative_to(root / "results"), record)
