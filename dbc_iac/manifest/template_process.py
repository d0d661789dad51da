"""The template worker, from outside: started when the first template is evaluated, ended when it outruns a limit."""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dbc_iac.manifest.template_worker import MEMORY, MOST_ANSWER, unpacked

SECONDS = 5
"""CPU time for the texts of one document."""
SECONDS_IN_ALL = 60
"""CPU time for all texts that share their names: those of a project, its policies or its outputs."""
_ROOT = str(Path(__file__).parents[2])
_START = "import sys; sys.path[:] = {path!r}; from dbc_iac.manifest.template_worker import main; main()"


class Ask(NamedTuple):
    """A text to evaluate; see `evaluation.Form`. `names` are known beside the common ones."""

    form: str
    text: str
    names: Mapping[str, Any] = {}


class Answer(NamedTuple):
    """`problem` is empty where there is a value. `syntax`: the text cannot be read."""

    value: Any = None
    problem: str = ""
    syntax: bool = False


class OutOfTimeError(Exception):
    """All texts together have taken the time that they may take."""


@dataclass
class Names:
    """The names that many texts share, and the CPU time that is left to them."""

    values: Mapping[str, Any]
    left: float = SECONDS_IN_ALL


@dataclass
class _Worker:
    """One process. It is kept for the next texts: to start one takes longer than most templates."""

    child: subprocess.Popen[bytes]
    names: Names | None = None
    """Those it has been sent."""
    owner: int = field(default_factory=os.getpid)

    @classmethod
    def start(cls) -> _Worker:
        code = _START.format(path=[*sys.path, _ROOT])
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        line = [sys.executable, "-I", "-S", "-c", code]
        # A session of its own: Ctrl-C is for the command, which ends it.
        return cls(subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=nowhere, env={}, start_new_session=True))

    def answers(self, asks: Sequence[Ask], names: Names) -> Iterator[Answer]:
        """An answer each; fewer where the process ends."""
        assert self.child.stdin is not None and self.child.stdout is not None  # noqa: S101 - they are pipes
        common = {} if self.names is names else {"common": names.values}
        self.names = names
        request = {**common, "seconds": min(SECONDS, names.left), "asks": [tuple(a) for a in asks]}
        with suppress(BrokenPipeError):
            pickle.dump(request, self.child.stdin, pickle.HIGHEST_PROTOCOL)
            self.child.stdin.flush()
        for _ in asks:
            line = self.child.stdout.readline(MOST_ANSWER + 1)
            if not line.endswith(b"\n"):
                return
            kind, value, seconds = unpacked(line)
            names.left -= seconds
            yield Answer(value) if kind == "value" else Answer(problem=value, syntax=kind == "syntax")

    def end(self) -> str:
        """End it; why it had ended, for people."""
        if self.owner != os.getpid():
            return ""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        if self.child.returncode == -signal.SIGXCPU:
            return f"it takes more than {SECONDS} s of CPU time"
        return f"it needs more than {MEMORY >> 20} MiB of memory, or cannot be evaluated"


_lock = threading.Lock()
_kept: list[_Worker] = []


def ask(asks: Sequence[Ask], names: Names) -> list[Answer]:
    """The answers, in the order of the texts. Raises OutOfTimeError."""
    with _lock:
        found: list[Answer] = []
        while len(found) < len(asks):
            if names.left <= 0:
                raise OutOfTimeError
            found += _asked(asks[len(found) :], names)
        return found


def _asked(asks: Sequence[Ask], names: Names) -> list[Answer]:
    """The answers up to the first text that ends the process, its own included."""
    if not _kept or _kept[0].owner != os.getpid():  # forked: the other process goes on with its own
        _kept[:] = [_Worker.start()]
    worker = _kept[0]
    found: list[Answer] = []
    try:
        found.extend(worker.answers(asks, names))
    except BaseException:  # an interruption: what it answers now belongs to no text
        _end()
        raise
    if len(found) < len(asks):
        _kept.clear()
        names.left -= SECONDS + 1  # the platform counts whole seconds
        found.append(Answer(problem=worker.end()))
    return found


def _end() -> None:
    while _kept:
        _kept.pop().end()


atexit.register(_end)
os.register_at_fork(after_in_child=_lock._at_fork_reinit)  # type: ignore[attr-defined]
