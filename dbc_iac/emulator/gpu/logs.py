"""The node's log of a VM: one file per VM, lines with microseconds, passwords in clear text.

Not the guest's console. The file outlives its VM.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

from dbc_iac.emulator.gpu.ctext import atoi, byte_count
from dbc_iac.emulator.gpu.paste import quoted
from dbc_iac.emulator.gpu.timing import Clock

MAX_CONTENT = 8192  # maximum bytes of one answer
MAX_LINES = 2000  # maximum lines of one VM; the real node rotates its files


class Place(Struct, frozen=True):
    """Source location of a line in the original."""

    file: str
    line: int
    function: str


class LogLine(Struct, frozen=True):
    """A line, formatted only when read: most lines never are."""

    at: datetime
    level: Literal["info", "error"]
    place: Place
    text: str

    def full(self, task_id: str) -> str:
        moment = self.at.strftime("%Y-%m-%d %H:%M:%S.%f")
        where = f"{self.place.file} | {self.place.line} | {self.place.function}"
        return f"{moment} | {task_id} | {self.level:<7} | {where} | {self.text}"


class TaskLogs(Struct):
    """All log files of a node, by task id."""

    clock: Clock
    lines: dict[str, deque[LogLine]] = field(default_factory=dict)

    def open(self, task_id: str) -> None:
        self.lines.setdefault(task_id, deque(maxlen=MAX_LINES))

    def info(self, task_id: str, place: Place, text: str) -> None:
        self._write(task_id, "info", place, text)

    def error(self, task_id: str, place: Place, text: str) -> None:
        self._write(task_id, "error", place, text)

    def _write(self, task_id: str, level: Literal["info", "error"], place: Place, text: str) -> None:
        lines = self.lines.get(task_id)
        if lines is not None:
            lines.append(LogLine(self.clock.wall(), level, place, text))


def wanted_lines(query: Mapping[str, str]) -> tuple[bool, int]:
    """Head or tail, and the number of lines; the client node refuses invalid values."""
    flag = query.get("flag", "")
    if not flag:
        return False, 100
    number = query.get("line_num", "")
    count = atoi(number) if number else 100
    return flag == "head", 99 if count > 100 else count


def log_content(task_id: str, lines: deque[LogLine], query: Mapping[str, str]) -> str:
    """JSON array by concatenation, cut at the end if too long, so a tail loses its newest lines."""
    head, count = wanted_lines(query)
    newest = list(lines)[:count] if head else list(lines)[-count:]
    texts = [text for line in newest for text in line.full(task_id).split("\n")]  # the file is read line by line
    content = ""
    for line in texts[:count] if head else texts[-count:]:
        if byte_count(content + line) >= MAX_CONTENT:
            break
        content += f"{',' if content else ''}{quoted(line)}"
    return f"[{content}]"
