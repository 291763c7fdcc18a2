"""How fast mialib is beside other ways to do the same. `make benchmark` runs it all; README.md says what is measured."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
