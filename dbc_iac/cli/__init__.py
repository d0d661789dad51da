"""The command line. A command reads its arguments, calls one operation, and shows the result in one view."""

from dbc_iac.cli.app import run_command
from dbc_iac.cli.entry import main
from dbc_iac.cli.runtime import Runtime

__all__ = ["Runtime", "main", "run_command"]
