"""What a notebook shows and lets one move when it is read in JupyterLab: tables, controls."""

from mialib.lab.mitigation import play_mitigations
from mialib.lab.noise import play_noise
from mialib.lab.record import play_records
from mialib.lab.tables import TableView, show_table
from mialib.lab.threshold import play_threshold

__all__ = ["TableView", "play_mitigations", "play_noise", "play_records", "play_threshold", "show_table"]
