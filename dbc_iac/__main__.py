"""The `dbc-iac` command, also `python -m dbc_iac`: a signal ends it with one line from its first moment on.

While the program is loading, no lock is held and no call is pending, so it exits at once. It imports little, because a
signal before the handlers are installed ends with a traceback. Once it is loaded, each signal acts as Ctrl-C; during an
apply, as `dbc_iac.cli.progress_reporting.stop_on_signal` says.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType, ModuleType

INTERRUPTED = 8
"""`ExitCode.INTERRUPTED`, which takes long to import."""
CONFIGURATION = 3
"""`ExitCode.CONFIGURATION`."""

COLLECT_AFTER = 100_000
"""Objects until garbage is searched for. Python's 700 costs a sixth of the start: what a command makes, it keeps."""


def main() -> None:
    """Run the command line of this process, and exit."""
    if sys.platform == "win32":  # no fork, no rlimits, no POSIX file modes
        os.write(2, b"error: dbc-iac does not support Windows. Use Linux, macOS, or WSL on Windows.\n")
        os._exit(CONFIGURATION)
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    # Instead of pydantic's search for plugins, which reads the metadata of every installed package.
    no_plugins = sys.modules.setdefault("pydantic.plugin._loader", ModuleType("pydantic.plugin._loader"))
    no_plugins.__dict__.setdefault("get_plugins", tuple)
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    signals = (signal.SIGINT, signal.SIGTERM) if nohup else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, _leave)
    from dbc_iac.cli import CommandRuntime, run_command
    from dbc_iac.cli.commands import dbc_iac
    from dbc_iac.cli.runtime import ResilientStream, end_command
    from dbc_iac.operations.signals import act_as_ctrl_c

    for number in signals:  # outside an apply they end the command, which releases its lock
        signal.signal(number, signal.default_int_handler if number is signal.SIGINT else act_as_ctrl_c)
    runtime = CommandRuntime()
    sys.stderr, sys.stdout = ResilientStream(runtime.err), ResilientStream(runtime.out, end_command)  # for click
    code = int(run_command(dbc_iac, sys.argv[1:], runtime))
    for number in signals:  # the exit code is fixed: a signal from now on only ends the process sooner
        signal.signal(number, lambda *_: os._exit(code))
    # Python flushes sys.stdout at exit; a failure there would replace the exit code.
    sys.stdout = ResilientStream(runtime.out)
    gc.freeze()  # Python searches for garbage at exit, which takes a fifth of a short command.
    sys.exit(code)


def _leave(number: int, frame: FrameType | None) -> None:
    """Not by an exception: there are libraries that lose one that is raised while they are imported."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
