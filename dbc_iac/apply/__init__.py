"""Applying: a plan's steps in order, journalled calls, waits, offline windows, and a report of what became of it."""

from dbc_iac.apply.achieve import Choices
from dbc_iac.apply.engine import Run, run
from dbc_iac.apply.hook import Hook
from dbc_iac.apply.recorder import Recorder
from dbc_iac.apply.report import Event, Report

__all__ = ["Choices", "Event", "Hook", "Recorder", "Report", "Run", "run"]
