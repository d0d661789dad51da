"""The process that evaluates templates: `python -c`, with limits of the platform on its CPU time and memory.

It reads requests from standard input and answers each text of one with a line of its own, so that the text that ends
the process is known. It has no environment, and inherits no secret. Requests are pickled by dbc-iac and may hold
functions; answers, which a template may have made, are JSON.
"""

from __future__ import annotations

import json
import pickle
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dbc_iac.manifest.numbers import IntegerText, NumberText

MEMORY = 512 * 1024 * 1024
"""Bytes of address space, those of Python and Jinja2 included."""
MOST_ANSWER = 16 * 1024 * 1024
"""Bytes of one answer."""
_INTEGER, _NUMBER = "\0integer", "\0number"
"""Keys of numbers that keep the text that they were written as."""
_TOO_LARGE = "it gives a value that is too large"


def unpacked(line: bytes) -> Any:
    """The value of an answer. Raises ValueError."""

    def member(value: dict[str, Any]) -> Any:
        if _INTEGER in value:
            return IntegerText(value[_INTEGER])
        return NumberText(value[_NUMBER]) if _NUMBER in value else value

    return json.loads(line, object_hook=member)


def _packed(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _INTEGER in value or _NUMBER in value:
            raise ValueError("it gives a key with a NUL")
        return {k: _packed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_packed(v) for v in value]
    if isinstance(value, IntegerText):
        return {_INTEGER: value.text}
    return {_NUMBER: value.text} if isinstance(value, NumberText) else value


def _limit(name: str, most: int) -> None:
    with suppress(AttributeError, ValueError, OSError):  # a platform may not know one of them
        resource.setrlimit(getattr(resource, name), (most, most))


def _more_time(seconds: float) -> None:
    """Let the process run this much longer; the platform ends it then, whatever it computes."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, hard))


def main() -> None:
    """Serve requests until standard input ends."""
    _limit("RLIMIT_AS", MEMORY)
    _limit("RLIMIT_FSIZE", 0)
    _limit("RLIMIT_CORE", 0)
    from dbc_iac.manifest.evaluation import Flaw, evaluate

    common: dict[str, Any] = {}
    while (request := _request()) is not None:
        common = request.get("common", common)
        _more_time(request.get("seconds", 0))
        for form, text, names in request.get("asks", ()):
            began = time.process_time()
            try:
                answer: list[Any] = ["value", evaluate(form, text, {**common, **names})]
            except Flaw as flaw:
                answer = ["syntax" if flaw.syntax else "flaw", flaw.message]
            sys.stdout.buffer.write(_line([*answer, time.process_time() - began]))
            sys.stdout.buffer.flush()


def _request() -> dict[str, Any] | None:
    try:
        request: dict[str, Any] = pickle.load(sys.stdin.buffer)  # noqa: S301 - dbc-iac wrote it
    except EOFError:
        return None
    return request


def _line(answer: list[Any]) -> bytes:
    try:
        line = json.dumps(_packed(answer))
    except (ValueError, MemoryError, RecursionError) as error:
        line = json.dumps(["flaw", str(error) or _TOO_LARGE, answer[-1]])
    if len(line) >= MOST_ANSWER:
        line = json.dumps(["flaw", _TOO_LARGE, answer[-1]])
    return line.encode() + b"\n"
