"""An apply while it runs: a plain line an event, for files and CI. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from dbc_iac.apply.report import Event
from dbc_iac.views.text.lines import PAPER, Line, Screen, Tone

_SAID = {
    "step-failed": ("FAILED", Tone.LOSS),
    "step-waiting": ("not yet", Tone.UNSEEN),
    "step-skipped": ("not started", Tone.REMOVED),
    "call": ("call", Tone.PLAIN),
    "waiting": ("waiting", Tone.ASIDE),
    "goal-met": ("done", Tone.ADDED),
    "window-opened": ("window opens", Tone.CHANGED),
    "window-closed": ("window closed", Tone.CHANGED),
    "barrier": ("proof", Tone.UNSEEN),
    "note": ("note", Tone.CHANGED),
}
"""What is told of; a kind that is not here says nothing new (a step starts with a call or a window)."""
_ENDS = frozenset({"goal-met", "step-done", "step-failed", "step-waiting", "step-skipped"})
REMIND_SECONDS = 240.0
"""How long nothing may be said: CI ends jobs that are silent for some minutes, and a creation takes up to 50."""


def event_line(event: Event) -> Line | None:
    """One line for an event; None for one that says nothing new."""
    if event.kind not in _SAID:
        return None
    word, tone = _SAID[event.kind]
    return Line(f"{clock(event.at)}  {word:<13} {event.address}" + (f": {event.text}" if event.text else ""), tone)


def clock(seconds: float) -> str:
    """Minutes and seconds since the apply began."""
    return f"{int(seconds) // 60:3d}:{int(seconds) % 60:02d}"


class UnderWay:
    """What has been begun and has not ended, by address: since when, and what was last said of it."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        self.said: dict[str, str] = {}
        self._ended: set[str] = set()

    @property
    def ended(self) -> int:
        """How many addresses of which nothing is left to do, or nothing is done any more."""
        return len(self._ended)

    def follow(self, event: Event) -> None:
        if event.kind in {"step-done", "step-failed", "step-waiting", "step-skipped"}:
            self._ended.add(event.address)
        if event.kind in _ENDS:
            self.since.pop(event.address, None)
            self.said.pop(event.address, None)
        elif event.kind in {"call", "waiting", "barrier"}:
            self.since.setdefault(event.address, event.at)
            self.said[event.address] = event.text


class Progress(Protocol):
    """Shows events as they come. Used as a context: whatever it draws is gone at its end."""

    def tell(self, event: Event) -> None: ...

    def say(self, text: str) -> None: ...

    def remind(self, at: float) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainProgress:
    """A line an event, for files and CI."""

    def __init__(self, write: Callable[[str], None], screen: Screen = PAPER) -> None:
        self._write = write
        self._screen = screen
        self._under_way = UnderWay()
        self._last = 0.0

    def tell(self, event: Event) -> None:
        self._under_way.follow(event)
        line = event_line(event)
        if line is not None:
            self._last = event.at
            self._write(self._screen.render([line]))

    def say(self, text: str) -> None:
        self._write(self._screen.render([Line(text, Tone.CHANGED)]))

    def remind(self, at: float) -> None:
        """Say what is under way, if nothing has been said for a while. Cheap to call."""
        if at - self._last < REMIND_SECONDS or not self._under_way.said:
            return
        self._last = at
        under_way = self._under_way
        told = [f"{a}: {text}, for {clock(at - under_way.since[a]).strip()}" for a, text in under_way.said.items()]
        self._write(self._screen.render(Line(f"{clock(at)}  under way     {text}", Tone.ASIDE) for text in told))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class SilentProgress(PlainProgress):
    """Nothing, for `--json`."""

    def __init__(self) -> None:
        super().__init__(lambda text: None)
