"""Volatile values: bound to the replay's value at first occurrence, one to one from then on.

Names are whole words of requests and answers: ids, file names, addresses, passwords; their binding is global. Dates and
numbers are bound per object only: two objects may share a date.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SHAPES = {
    "an id of 64 hex digits": re.compile(r"[0-9a-f]{64}"),
    "a date": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "a MAC address": re.compile(r"52:54:00(:[0-9a-f]{2}){3}"),
    "a percentage": re.compile(r"(\d+(\.\d+)?|-?nan)%"),
    "a size": re.compile(r"\d+(\.\d{1,2})?[KMGTP]"),
    "a number": re.compile(r"-?\d+"),
    "a task id": re.compile(r"[1-9A-HJ-NP-Za-km-z]{20,22}"),
    "a DHCP interface": re.compile(r"tap[0-9a-z]{10}"),
    "a path": re.compile(r"/.*"),
    "a line of a task's log": re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \| \w+ \| (info |error) +\| .*", re.DOTALL
    ),
}
"""The first pattern that matches the recorded value must match the replayed one."""
_UNNAMED = frozenset({"a date", "a percentage", "a size", "a number", "a line of a task's log"})
_NAME = re.compile(r"(?=.*[0-9A-Z])[^\s|]{6,}")
_PER_OWNER = frozenset({"a date", "a number"})
_OWNERS = ("task_id", "snapshot_file", "network_name", "file")
_DIGITS = re.compile(r"\d+")


@dataclass
class Bindings:
    """Current bindings, and substitution in texts."""

    _replayed: dict[str, str] = field(default_factory=dict)
    _recorded: dict[str, str] = field(default_factory=dict)
    _owned: dict[tuple[str, str, str], str] = field(default_factory=dict)
    _pattern: re.Pattern[str] | None = None

    def renamed(self, text: str) -> str:
        """A recorded text with the replay's names. Only whole words are replaced, each once."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._replayed[found[0]], text)

    def bind(self, recorded: str, replayed: str, leaf: str, owner: Mapping[str, Any]) -> str:
        """Problem of a pair; empty if there is none. `owner`: the recorded object that contains it."""
        shape = _shape(recorded)
        if shape and not _SHAPES[shape].fullmatch(replayed):
            return f"is not {shape}"
        if shape in _PER_OWNER:
            return self._bind_owned(recorded, replayed, leaf, owner)
        if shape in _UNNAMED or not _NAME.fullmatch(recorded):
            return ""
        if shape == "a path":
            return self._bind_path(recorded, replayed)
        if leaf.endswith("password") and len(recorded) != len(replayed):
            return "has another length"
        return self._bind_name(recorded, replayed)

    def _bind_path(self, recorded: str, replayed: str) -> str:
        """The directory must be equal; names differ in digits only, and are returned without the directory."""
        directory, _, name = recorded.rpartition("/")
        other_directory, _, other = replayed.rpartition("/")
        if self.renamed(directory) != other_directory:
            return "is in another directory"
        if name in self._replayed:
            return self._bind_name(name, other)
        if _DIGITS.sub("0", name) != _DIGITS.sub("0", other):
            return "is another kind of name"
        return self._bind_name(name, other)

    def _bind_name(self, recorded: str, replayed: str) -> str:
        known, other = self._replayed.get(recorded), self._recorded.get(replayed)
        if known is not None and known != replayed:
            return f"was {known!r} before"
        if other is not None and other != recorded:
            return f"was also there for {other!r}"
        if known is None:
            self._replayed[recorded], self._recorded[replayed] = replayed, recorded
            names = sorted(self._replayed, key=len, reverse=True)
            self._pattern = re.compile(rf"(?<![0-9A-Za-z])(?:{'|'.join(map(re.escape, names))})(?![0-9A-Za-z])")
        return ""

    def _bind_owned(self, recorded: str, replayed: str, leaf: str, owner: Mapping[str, Any]) -> str:
        named = next((str(owner[key]) for key in _OWNERS if key in owner), "")
        if not named:
            return ""
        known = self._owned.setdefault((named, leaf, recorded), replayed)
        return "" if known == replayed else f"was {known!r} before"


def _shape(text: str) -> str:
    return next((name for name, pattern in _SHAPES.items() if pattern.fullmatch(text)), "")
