"""The `dbc-iac` command, also `python -m dbc_iac`: a signal ends it with one line from its first moment on.

While the program is loading, no lock is held and no call is pending, so it exits at once. It imports little, because a
signal before the handlers are installed ends with a traceback.
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


class _NoPlugins(ModuleType):
    """Replaces pydantic's search for plugins, which reads the metadata of every installed package."""

    @staticmethod
    def get_plugins() -> tuple[()]:
        return ()


def main() -> None:
    """The entry point."""
    if sys.platform == "win32":  # no fork, no rlimits, no POSIX file modes
        os.write(2, b"error: dbc-iac does not support Windows. Use Linux, macOS, or WSL on Windows.\n")
        os._exit(CONFIGURATION)
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    sys.modules.setdefault("pydantic.plugin._loader", _NoPlugins("pydantic.plugin._loader"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` has it
        signal.signal(signal.SIGHUP, _leave)
    from dbc_iac.cli import main as command

    command()


def _leave(number: int, frame: FrameType | None) -> None:
    """Not by an exception: there are libraries that lose one that is raised while they are imported."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
