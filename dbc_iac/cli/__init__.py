"""The command line. A command reads its arguments, calls one operation, and shows the result in one view."""

from dbc_iac.cli.app import run_command
from dbc_iac.cli.runtime import CommandRuntime

__all__ = ["CommandRuntime", "run_command"]
