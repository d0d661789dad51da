"""Progress of an apply on a terminal: lines scroll, and a tree below them shows the actions under way by machine.

The tree has the texts of the lines and a bar for each transfer. It is removed at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from dbc_iac.apply.report import Event
from dbc_iac.views.progress import UnderWay, percent_of
from dbc_iac.views.text.lines import NARROWEST, Line, Screen, Tone, escaped, fold
from dbc_iac.views.wording import duration

if TYPE_CHECKING:
    from rich.console import RenderableType

_KEPT = 8
"""Rows of the terminal that the tree leaves to the lines above it."""
_ECHO = 4
"""Columns left for the `^C` that a terminal writes after the last row: past the edge it would scroll the tree."""
_LEAST = 4
"""Rows of the tree on the smallest terminal."""
_BAR = 20
"""Columns of a bar."""


class LiveProgress:
    """Live tree of an apply. `now`: seconds since the apply began; `machines`: machine by address; `total`: number of
    changes."""

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

    def show(self, event: Event) -> None:
        line = self._under_way.line(event)
        if line is not None and event.kind != "waiting":
            self._print(line)

    def notice(self, text: str) -> None:
        """Print a notice. Its first words stay in the head of the tree, since lines scroll away."""
        self._notice = escaped(text.partition(":")[0])
        self._print(Line(text, Tone.CHANGED))

    def remind(self, at: float) -> None:
        """No reminder: the tree is always visible."""

    def _style(self, tone: Tone) -> str:
        return tone.value if self._colours else ""

    def _print(self, line: Line) -> None:
        from rich.text import Text

        for part in fold(escaped(line.text), self._columns):
            self._console.print(Text(part, style=self._style(line.tone)), soft_wrap=True)

    def drawn(self) -> RenderableType:
        """Render the tree. Called by a thread of rich."""
        from rich.text import Text
        from rich.tree import Tree

        now = self._now()
        actions = list(self._under_way.texts(now))
        finished = f"{len(self._under_way.ended)} of {self._total} changes finished"
        head = f"Applying ({duration(int(now))}): {finished}, {len(actions)} in progress"
        title = Text(head, style=self._style(Tone.HEAD))
        if self._notice:
            title.append(f", {self._notice}", style=self._style(Tone.CHANGED))
        tree = Tree(title, guide_style=self._style(Tone.ASIDE))
        branches: dict[str, Tree] = {}
        room = max(self._console.height - _KEPT, _LEAST) - 1
        for number, (address, text) in enumerate(actions):
            machine = self._machines.get(address, "")
            new = bool(machine) and machine not in branches
            last = number == len(actions) - 1
            if room < 1 + new + (not last):  # the row, its machine, and the row of the remaining number
                tree.add(Text(f"... and {len(actions) - number} more", style=self._style(Tone.ASIDE)))
                break
            if new:
                branch = Text(escaped(machine), style=self._style(Tone.ASIDE), no_wrap=True, overflow="ellipsis")
                branches[machine] = tree.add(branch)
            branches.get(machine, tree).add(self._row(address, text))
            room -= 1 + new
        return tree

    def _row(self, address: str, text: str) -> RenderableType:
        from rich.text import Text

        aside, head, done = (self._style(tone) for tone in (Tone.ASIDE, Tone.HEAD, Tone.ADDED))
        row = Text(no_wrap=True, overflow="ellipsis")
        event = self._under_way.last.get(address)
        if event is not None and (percent := percent_of(event)) is not None:
            full = percent * _BAR // 100
            row.append("━" * full, style=done).append("─" * (_BAR - full) + " ", style=aside)
        return row.append(escaped(address), style=head).append(f": {escaped(text)}", style=aside)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
