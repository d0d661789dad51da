"""Apply: steps of a plan in order, journalled calls, waits, offline windows, and a report."""

from dbc_iac.apply.executor import Executor
from dbc_iac.apply.goal_runner import ApplyOptions, Run
from dbc_iac.apply.hook import Hook
from dbc_iac.apply.journal_writer import JournalWriter, rebound
from dbc_iac.apply.report import Event, Report
from dbc_iac.apply.waiting import Stop

__all__ = ["ApplyOptions", "Event", "Executor", "Hook", "JournalWriter", "Report", "Run", "Stop", "rebound"]
