"""Client of the template worker process: started for the first template, killed when it exceeds a limit."""

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
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, field

from dbc_iac.manifest.template_worker import MAX_ANSWER, MEMORY, unpacked

SECONDS = 5
"""CPU time limit for the texts of one document, in seconds."""
SECONDS_IN_ALL = 60
"""CPU time limit for all texts of a project, of its policies or of its outputs, in seconds."""
_ROOT = str(Path(__file__).parents[2])
_START = "import sys; sys.path[:] = {path!r}; from dbc_iac.manifest.template_worker import main; main()"


class Ask(NamedTuple):
    """A text to evaluate; see `evaluation.Form`. `names`: in addition to the shared ones."""

    form: str
    text: str
    names: Mapping[str, Any] = {}


class Answer(NamedTuple):
    """Value of a text, or a `problem`. `syntax`: the text does not compile."""

    value: Any = None
    problem: str = ""
    syntax: bool = False


class OutOfTimeError(Exception):
    """The CPU time limit of all texts together is used up."""


class Names(Struct):
    """Names that many texts share, and their remaining CPU time in seconds."""

    values: Mapping[str, Any]
    left: float = SECONDS_IN_ALL


class _Worker(Struct):
    """A worker process. It is reused, because starting one takes longer than most templates."""

    child: subprocess.Popen[bytes]
    names: Names | None = None
    """Shared names that the process has already received."""
    owner: int = field(default_factory=os.getpid)

    @classmethod
    def start(cls) -> _Worker:
        code = _START.format(path=[*sys.path, _ROOT])
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        line = [sys.executable, "-I", "-S", "-c", code]
        # Its own session: Ctrl-C goes to the command, which kills the worker.
        return cls(subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=nowhere, env={}, start_new_session=True))

    def answers(self, asks: Sequence[Ask], names: Names) -> Iterator[Answer]:
        """One answer per text; fewer if the process dies."""
        assert self.child.stdin is not None and self.child.stdout is not None  # noqa: S101 - they are pipes
        common = {} if self.names is names else {"common": names.values}
        self.names = names
        request = {**common, "seconds": min(SECONDS, names.left), "asks": [tuple(a) for a in asks]}
        with suppress(BrokenPipeError):
            pickle.dump(request, self.child.stdin, pickle.HIGHEST_PROTOCOL)
            self.child.stdin.flush()
        for _ in asks:
            line = self.child.stdout.readline(MAX_ANSWER + 1)
            if not line.endswith(b"\n"):
                return
            kind, value, seconds = unpacked(line)
            names.left -= seconds
            yield Answer(value) if kind == "value" else Answer(problem=value, syntax=kind == "syntax")

    def end(self) -> str:
        """Kill the process. Returns why it had ended before, as a message."""
        if self.owner != os.getpid():
            return ""
        self.child.kill()
        self.child.wait()
        for pipe in (self.child.stdin, self.child.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        if self.child.returncode == -signal.SIGXCPU:
            return f"CPU time limit of {SECONDS} s exceeded"
        return f"memory limit of {MEMORY >> 20} MiB exceeded, or evaluation failed"


_lock = threading.Lock()
_kept: list[_Worker] = []


def ask(asks: Sequence[Ask], names: Names) -> list[Answer]:
    """Evaluate texts: answers in the same order. Raises OutOfTimeError."""
    with _lock:
        found: list[Answer] = []
        while len(found) < len(asks):
            if names.left <= 0:
                raise OutOfTimeError
            found += _asked(asks[len(found) :], names)
        return found


def _asked(asks: Sequence[Ask], names: Names) -> list[Answer]:
    """Answers up to and including the first text that kills the process."""
    if not _kept or _kept[0].owner != os.getpid():  # after a fork the worker belongs to the parent
        _kept[:] = [_Worker.start()]
    worker = _kept[0]
    found: list[Answer] = []
    try:
        found.extend(worker.answers(asks, names))
    except BaseException:  # interrupted: later answers would be matched to wrong texts
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
