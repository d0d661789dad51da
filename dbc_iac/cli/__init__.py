"""The command line. A command reads its arguments, calls one operation, and shows the result in one view."""

from __future__ import annotations

import gc
import sys

from dbc_iac.cli.app import run_command
from dbc_iac.cli.commands import dbc_iac
from dbc_iac.cli.resilient_stream import ResilientStream, end_command
from dbc_iac.cli.runtime import CommandRuntime
from dbc_iac.cli.signals import end_on_signals, end_with

__all__ = ["CommandRuntime", "main", "run_command"]


def main() -> None:
    """Run the command line of this process, and exit."""
    end_on_signals()
    runtime = CommandRuntime()
    sys.stderr, sys.stdout = ResilientStream(runtime.err), ResilientStream(runtime.out, end_command)  # for click
    code = run_command(dbc_iac, sys.argv[1:], runtime)
    end_with(code)
    # Python flushes sys.stdout at exit; a failure there would replace the exit code.
    sys.stdout = ResilientStream(runtime.out)
    gc.freeze()  # Python searches for garbage at exit, which takes a fifth of a short command.
    sys.exit(int(code))
