"""An apply on a terminal: lines scroll by, and below them stands a tree of what is under way, by machine.

It says what is waited for, since when, and, of transfers, how far they are. At its end the tree is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from dbc_iac.apply.report import Event
from dbc_iac.views.progress import UnderWay, clock, event_line
from dbc_iac.views.text.lines import NARROWEST, Line, Screen, Tone, escaped, fold

if TYPE_CHECKING:
    from rich.console import RenderableType

_PERCENT = re.compile(r"\((\d{1,3})%\)")
_KEPT = 8
"""Rows of the terminal that the tree leaves to what has been said, and to what is answered to Ctrl-C."""
_ECHO = 4
"""Columns left for the `^C` that a terminal writes behind the last row: past the edge it would scroll the tree."""
_LEAST = 4
"""Rows that it has on the smallest terminal."""
_BAR = 20


class LiveProgress:
    """`now` in seconds since the apply began; `machines` gives the machine of an address; `total` how many changes."""

    def __init__(
        self, stream: TextIO, screen: Screen, now: Callable[[], float], machines: Mapping[str, str], total: int
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._now = now
        self._machines = machines
        self._total = total
        self._under_way = UnderWay()
        self._notice = ""
        self._columns = screen.columns or NARROWEST
        self._colours = screen.colours
        width = screen.columns and max(screen.columns - _ECHO, NARROWEST)
        self._console = Console(file=stream, force_terminal=True, width=width, highlight=False, no_color=False)
        self._live = Live(
            console=self._console, get_renderable=self.drawn, refresh_per_second=2, transient=True,
            redirect_stdout=False, redirect_stderr=False,
        )  # fmt: skip

    @property
    def width(self) -> int:
        """Columns of the tree."""
        return self._console.width

    def tell(self, event: Event) -> None:
        self._under_way.follow(event)
        line = event_line(event)
        if line is not None and event.kind != "waiting":
            self._print(line)

    def say(self, text: str) -> None:
        """What it is about stays in the head of the tree: what scrolls by is soon gone."""
        self._notice = escaped(text.partition(":")[0])
        self._print(Line(text, Tone.CHANGED))

    def remind(self, at: float) -> None:
        """The tree is always there."""

    def _style(self, tone: Tone) -> str:
        return tone.value if self._colours else ""

    def _print(self, line: Line) -> None:
        from rich.text import Text

        for part in fold(escaped(line.text), self._columns):
            self._console.print(Text(part, style=self._style(line.tone)), soft_wrap=True)

    def drawn(self) -> RenderableType:
        """The tree as it is now. Called by a thread of rich's, so it works on copies."""
        from rich.text import Text
        from rich.tree import Tree

        since, said = dict(self._under_way.since), dict(self._under_way.said)
        head = f"{clock(self._now())}  {self._under_way.ended} of {self._total} changes ended, {len(since)} under way"
        title = Text(head, style=self._style(Tone.HEAD))
        if self._notice:
            title.append(f", {self._notice}", style=self._style(Tone.CHANGED))
        tree = Tree(title, guide_style=self._style(Tone.ASIDE))
        branches: dict[str, Tree] = {}
        room = max(self._console.height - _KEPT, _LEAST) - 1
        for number, (address, at) in enumerate(since.items()):
            machine = self._machines.get(address, "")
            new = bool(machine) and machine not in branches
            last = number == len(since) - 1
            if room < 1 + new + (not last):  # the row itself, its machine's, and the one of how many are not shown
                tree.add(Text(f"... and {len(since) - number} more", style=self._style(Tone.ASIDE)))
                break
            if new:
                told = Text(escaped(machine), style=self._style(Tone.ASIDE), no_wrap=True, overflow="ellipsis")
                branches[machine] = tree.add(told)
            branches.get(machine, tree).add(self._row(address, self._now() - at, said.get(address, "")))
            room -= 1 + new
        return tree

    def _row(self, address: str, seconds: float, said: str) -> RenderableType:
        from rich.text import Text

        aside, head, done = (self._style(tone) for tone in (Tone.ASIDE, Tone.HEAD, Tone.ADDED))
        row = Text(f"{clock(seconds).strip()} ", no_wrap=True, overflow="ellipsis")
        if (percent := _PERCENT.search(said)) is not None:
            full = min(int(percent[1]), 100) * _BAR // 100
            row.append("━" * full, style=done).append("─" * (_BAR - full) + " ", style=aside)
        row.append(escaped(address), style=head)
        what, _, now = escaped(said).rpartition(": ")  # how it is now comes first: the end may be cut off
        return row.append(f"  {now}", style=aside).append(f" ({what})" if what else "", style=aside)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
