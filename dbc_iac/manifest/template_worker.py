"""Template worker: a `python -c` process with rlimits on CPU time and memory.

It reads requests from standard input and answers each text with one line, so that the text that kills the process is
known. Its environment is empty: it inherits no secret. Requests are pickled by dbc-iac and may contain functions;
answers, which untrusted templates influence, are JSON.
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
"""Limit of the address space in bytes, Python and Jinja2 included."""
MAX_ANSWER = 16 * 1024 * 1024
"""Maximum size of one answer, in bytes."""
_INTEGER, _NUMBER = "\0integer", "\0number"
"""Keys that mark numbers with their original text."""
_TOO_LARGE = f"result is larger than {MAX_ANSWER >> 20} MiB"


def unpacked(line: bytes) -> Any:
    """Decode an answer line. Raises ValueError."""

    def member(value: dict[str, Any]) -> Any:
        if _INTEGER in value:
            return IntegerText(value[_INTEGER])
        return NumberText(value[_NUMBER]) if _NUMBER in value else value

    return json.loads(line, object_hook=member)


def _packed(value: Any) -> Any:
    if isinstance(value, Mapping):
        if _INTEGER in value or _NUMBER in value:
            raise ValueError("result has a key with a NUL character")
        return {k: _packed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_packed(v) for v in value]
    if isinstance(value, IntegerText):
        return {_INTEGER: value.text}
    return {_NUMBER: value.text} if isinstance(value, NumberText) else value


def _limit(name: str, most: int) -> None:
    with suppress(AttributeError, ValueError, OSError):  # not every platform has each limit
        resource.setrlimit(getattr(resource, name), (most, most))


def _more_time(seconds: float) -> None:
    """Extend the CPU time limit; when it is used up, the kernel kills the process."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + seconds) + 1, hard))


def main() -> None:
    """Serve requests until standard input ends."""
    _limit("RLIMIT_AS", MEMORY)
    _limit("RLIMIT_FSIZE", 0)
    _limit("RLIMIT_CORE", 0)
    from dbc_iac.manifest.evaluation import EvaluationError, evaluate

    common: dict[str, Any] = {}
    while (request := _request()) is not None:
        common = request.get("common", common)
        _more_time(request.get("seconds", 0))
        for form, text, names in request.get("asks", ()):
            began = time.process_time()
            try:
                answer: list[Any] = ["value", evaluate(form, text, {**common, **names})]
            except EvaluationError as error:
                answer = ["syntax" if error.syntax else "problem", error.message]
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
        line = json.dumps(["problem", str(error) or _TOO_LARGE, answer[-1]])
    if len(line) >= MAX_ANSWER:
        line = json.dumps(["problem", _TOO_LARGE, answer[-1]])
    return line.encode() + b"\n"
