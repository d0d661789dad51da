"""Comparison of a recorded and a replayed answer: status, content type, connection, and the body as data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbc_iac.emulator.http.answer import HTML, Response
from tests.conformance.bindings import Bindings
from tests.conformance.recording import LONG_MS, PAUSE_MS, Exchange

ABSENT = "(absent)"
_ORIGIN = "Access-Control-Allow-Origin"
_INDEX = re.compile(r"\[\d+\]")

Found = tuple[str, Any, Any]
"""Path, recorded value, replayed value."""


@dataclass(frozen=True, slots=True)
class Broken:
    """Body that is not JSON."""

    text: str


def differences(exchange: Exchange, answer: Response | None, bindings: Bindings) -> Iterator[Found]:
    """All differences. `answer` is None if the connection closed without one."""
    recorded = exchange.response
    if recorded["status"] is None or answer is None:
        if recorded["status"] is not None or answer is not None:
            yield (
                "answer",
                recorded["status"] or recorded.get("error"),
                answer and f"{answer.status} {answer.body[:120]}",
            )
        return
    if recorded["status"] != answer.status:
        yield "status", recorded["status"], f"{answer.status} {answer.body[:120]}"
        return
    yield from _head(exchange, answer)
    if exchange.request["method"] == "HEAD":
        return
    if exchange.values.get("not_json"):
        yield from _broken(exchange, answer.body, bindings)
        return
    walk = _Walk(exchange, bindings)
    yield from walk.pair("", read_body(recorded["body"]), read_body(answer.body), {})


def time_differences(exchange: Exchange, took: float) -> Iterator[Found]:
    """Differences of machine-independent durations: time-outs, and the pause of a password. `took`: replayed seconds."""
    values = exchange.values
    if "elapsed_ms" not in values or values.get("poll") or values.get("compare") == "not the time":
        return
    if exchange.timed_out is not (took * 1000 > LONG_MS):
        yield "waited for the time-out", exchange.timed_out, f"{took:.1f} s"
    elif exchange.paused and took * 1000 < PAUSE_MS:
        yield "paused for three seconds", True, f"{took:.1f} s"


def read_body(text: str) -> Any:
    """JSON of a body, or Broken."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return Broken(text.strip())


def value_at(value: Any, path: str) -> Any:
    """Value at a path such as `message[0].status`; None if absent."""
    for key in re.findall(r"[^.\[\]]+|\[\d+\]", path):
        if key.startswith("["):
            index = int(key[1:-1])
            value = value[index] if isinstance(value, list) and index < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def _head(exchange: Exchange, answer: Response) -> Iterator[Found]:
    headers = exchange.response["headers"]
    recorded = headers.get("Content-Type")
    if recorded is not None and recorded.partition(";")[0].strip() != answer.content_type:
        yield "content type", recorded, answer.content_type
    origin, allowed = headers.get(_ORIGIN), dict(answer.headers).get(_ORIGIN)
    if origin != allowed and (origin is not None or recorded == HTML):
        yield _ORIGIN, origin, allowed
    asked_to_close = exchange.request["headers"].get("Connection") == "close" or "version" in exchange.request
    closes = headers.get("Connection") == "close"
    if not asked_to_close and closes != answer.close:
        yield "connection closes", closes, answer.close


def _broken(exchange: Exchange, replayed: str, bindings: Bindings) -> Iterator[Found]:
    """Both bodies must be broken JSON with equal text except for volatile parts."""
    recorded = str(exchange.response["body"])
    masked = re.escape(bindings.renamed(recorded.strip()))
    for part in exchange.values.get("volatile_text", ()):
        masked = masked.replace(re.escape(bindings.renamed(part)), ".+?", 1)
    same = re.fullmatch(masked, replayed.strip(), re.DOTALL)
    if not same or not isinstance(read_body(replayed), Broken):
        yield "text", recorded, replayed


class _Walk:
    """Differences of two bodies."""

    def __init__(self, exchange: Exchange, bindings: Bindings) -> None:
        self._bindings = bindings
        self._volatile = set(exchange.values.get("volatile", ()))
        self._order: Mapping[str, str] = exchange.values.get("any_order", {})

    def pair(self, path: str, recorded: Any, replayed: Any, owner: Mapping[str, Any]) -> Iterator[Found]:
        if path in self._volatile or _INDEX.sub("[*]", path) in self._volatile:
            yield from self._bound(path, recorded, replayed, owner)
        elif isinstance(recorded, dict) and isinstance(replayed, dict):
            yield from self._objects(path, recorded, replayed)
        elif isinstance(recorded, list) and isinstance(replayed, list):
            yield from self._lists(path, recorded, replayed)
        elif not self._same(recorded, replayed):
            yield path, recorded, replayed

    def _objects(self, path: str, recorded: Mapping[str, Any], replayed: Mapping[str, Any]) -> Iterator[Found]:
        for key in sorted(recorded.keys() | replayed.keys()):
            inner = f"{path}.{key}".lstrip(".")
            yield from self.pair(inner, recorded.get(key, ABSENT), replayed.get(key, ABSENT), recorded)

    def _lists(self, path: str, recorded: Sequence[Any], replayed: Sequence[Any]) -> Iterator[Found]:
        if len(recorded) != len(replayed):
            yield path, recorded, replayed
            return
        if path in self._order:
            key = self._order[path]
            recorded = sorted(recorded, key=lambda item: self._bindings.renamed(str(value_at(item, key))))
            replayed = sorted(replayed, key=lambda item: str(value_at(item, key)))
        for index, (mine, theirs) in enumerate(zip(recorded, replayed, strict=True)):
            yield from self.pair(f"{path}[{index}]", mine, theirs, {})

    def _bound(self, path: str, recorded: Any, replayed: Any, owner: Mapping[str, Any]) -> Iterator[Found]:
        if type(recorded) is not type(replayed):
            yield path, recorded, replayed
        elif isinstance(recorded, str):
            leaf = path.rpartition(".")[2]
            wrong = self._bindings.bind(recorded, replayed, leaf, owner)
            if wrong:
                yield path, recorded, f"{replayed} (it {wrong})"

    def _same(self, recorded: Any, replayed: Any) -> bool:
        if isinstance(recorded, Broken) and isinstance(replayed, Broken):
            return self._bindings.renamed(recorded.text) == replayed.text
        if isinstance(recorded, str):
            return isinstance(replayed, str) and self._bindings.renamed(recorded) == replayed
        return isinstance(recorded, bool) is isinstance(replayed, bool) and recorded == replayed


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
