"""Recordings of a directory: a world, then its exchanges and events in order. Their README documents the format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONG_MS = 29_000
"""Seconds above which the answer was the 30 s time-out."""
PAUSE_MS = 3_000


@dataclass(frozen=True, slots=True)
class Event:
    """An event next to the requests."""

    kind: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its answer. `values`: the line."""

    number: int
    name: str
    node: str
    values: Mapping[str, Any]

    @property
    def request(self) -> Mapping[str, Any]:
        return self.values["request"]  # type: ignore[no-any-return]

    @property
    def response(self) -> Mapping[str, Any]:
        return self.values["response"]  # type: ignore[no-any-return]

    @property
    def is_request(self) -> bool:
        """Whether the line only tells if a process still listens."""
        return self.values["request"] is not None

    @property
    def timed_out(self) -> bool:
        return float(self.values.get("elapsed_ms", 0)) > LONG_MS

    @property
    def paused(self) -> bool:
        """Whether setting a password took its three seconds."""
        took = float(self.values.get("elapsed_ms", 0))
        return "/tasks/passwd/" in self.request["path"] and PAUSE_MS <= took <= PAUSE_MS + 100

    @property
    def body(self) -> str:
        """Bytes of invalid UTF-8 are written as the text \\xNN."""
        spec = self.request.get("body_spec")
        if spec:
            return str(spec["prefix"] + spec["repeat"] * spec["times"] + spec["suffix"])
        body = str(self.request.get("body") or "")
        if self.request["headers"].get("Transfer-Encoding") == "chunked":
            return "".join(body.split("\r\n")[1:-2:2])
        return body

    @property
    def head_bytes(self) -> int:
        """Bytes of request line and headers, line ends excluded."""
        headers = sum(len(f"{name}: {value}") for name, value in self.request["headers"].items())
        return len(f"{self.request['method']} {self.request['path']} HTTP/1.1") + headers


@dataclass(frozen=True, slots=True)
class Recording:
    """One file. `together`: some of its requests were concurrent."""

    name: str
    world: Mapping[str, Any]
    lines: tuple[Event | Exchange, ...]

    @property
    def together(self) -> bool:
        return "at the same time" in str(self.world.get("replay_notes", ""))


def read_recording(file: Path) -> Recording:
    """Read a file. Raises OSError, ValueError, KeyError for an invalid recording."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return Recording(file.stem, lines[0], tuple(_line(line) for line in lines[1:]))


def recordings_in(place: Path) -> list[Path]:
    """Recordings of a directory, or of one file."""
    return sorted(place.glob("*.jsonl")) if place.is_dir() else [place]


def groups(recording: Recording) -> Iterator[tuple[Event | Exchange, ...]]:
    """Lines in order; concurrent requests that waited for the time-out are grouped."""
    waiting: list[Exchange] = []
    for line in recording.lines:
        if recording.together and isinstance(line, Exchange) and line.is_request and line.timed_out:
            waiting.append(line)
            continue
        if waiting:
            yield tuple(waiting)
            waiting = []
        yield (line,)
    if waiting:
        yield tuple(waiting)


def sent(text: str) -> bytes:
    """Bytes of a recorded text as sent."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), text.encode())


def _line(values: Mapping[str, Any]) -> Event | Exchange:
    if "i" in values:
        return Exchange(values["i"], values["name"], values["node"], values)
    return Event(values["event"], values)
