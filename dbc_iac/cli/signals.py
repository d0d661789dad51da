"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP): every command exits with code 8 and one line.

During an apply they act as in `graceful_stop`.
"""

from __future__ import annotations

import os
import signal

from dbc_iac.diagnostics import ExitCode
from dbc_iac.operations.signals import act_as_ctrl_c

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> tuple[signal.Signals, ...]:
    """All of them, except SIGHUP in a process that was started with `nohup`."""
    return tuple(n for n in SIGNALS if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN)


def end_on_signals() -> None:
    """Make each signal act as Ctrl-C: outside an apply it ends the command, which releases its lock."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else act_as_ctrl_c)


def end_with(code: ExitCode) -> None:
    """Fix the exit code of the process: a signal from now on only ends it sooner."""
    for number in heeded():
        signal.signal(number, lambda *_: os._exit(int(code)))
