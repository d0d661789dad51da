"""The table that `make bench` prints: a row is a measure, its value, and what it is compared with."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version


@dataclass(frozen=True, slots=True)
class Row:
    """`against`: the goal, or the same measure of another program."""

    measure: str
    value: str
    against: str = ""

    def __str__(self) -> str:
        return f"| {self.measure} | {self.value} | {self.against} |"


HEAD = f"{Row('measure', 'value', 'against')}\n|---|---|---|"


def machine() -> str:
    """The machine and the versions that figures are of."""
    load = os.getloadavg()[0]
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pydantic", "httptools", "click"))
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, {libraries}"
