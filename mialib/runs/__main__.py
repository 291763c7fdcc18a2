"""`python -m mialib.runs`: see `mialib.runs.command`."""

from mialib.runs.command import command_line

if __name__ == "__main__":
    command_line()
