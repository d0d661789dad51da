"""Progress of an apply as plain lines, one per event, for files and CI logs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.apply.report import Event
from dbc_iac.views.error_explanations import short_text
from dbc_iac.views.text.lines import PLAIN_TEXT, Line, Screen, Tone
from dbc_iac.views.wording import duration

_TONES = {
    "step-failed": Tone.LOSS,
    "step-waiting": Tone.UNSEEN,
    "step-skipped": Tone.REMOVED,
    "call": Tone.PLAIN,
    "waiting": Tone.ASIDE,
    "goal-met": Tone.ADDED,
    "window-opened": Tone.CHANGED,
    "window-closed": Tone.CHANGED,
    "barrier": Tone.UNSEEN,
    "note": Tone.CHANGED,
}
"""Of a line by the kind of its event; events of other kinds have no line."""
_ENDS = frozenset({"goal-met", "step-done", "step-failed", "step-waiting", "step-skipped"})
_PERCENT = re.compile(r"\b(\d{1,3}) ?%")
_REST = re.compile(r"(?<=, timeout in )\d+")
_ACCEPTED = "accepted"
"""Status of a call whose effect cannot be read yet: no news."""
REMIND_SECONDS = 60.0
"""Silence after which the actions in progress are printed again: a creation takes up to 50 minutes."""
_REMINDERS = 10
"""Actions of one reminder."""


def _counted_down(ago: float, rest: re.Match[str]) -> str:
    """The remaining seconds that a status named `ago` seconds before, as they are now."""
    return f"{max(int(rest[0]) - round(ago), 0)}"


class UnderWay(Struct):
    """Actions that have started and not ended, by address: since when, and their last event. `ended`: addresses that
    are done, failed or skipped."""

    since: dict[str, float] = field(default_factory=dict)
    last: dict[str, Event] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    _windows: dict[str, float] = field(default_factory=dict)

    def texts(self, at: float) -> Iterator[tuple[str, str]]:
        """Address and text of each action, `at` seconds after the apply began. Thread-safe beside `line`."""
        last = dict(self.last)
        for address, began in dict(self.since).items():
            if (event := last.get(address)) is not None:
                kind = "waiting" if event.kind == "call" else event.kind
                text = event_text(replace(event, kind=kind), int(at - began))
                yield address, _REST.sub(partial(_counted_down, at - event.at), text)

    def line(self, event: Event) -> Line | None:
        """Record an event. Its line, with the time since its action, or its power-off window, started; None for an
        event that has no line."""
        began = self.since.get(event.address)
        if event.kind in {"step-done", "step-failed", "step-waiting", "step-skipped"}:
            self.ended.add(event.address)
        if event.kind in _ENDS:
            self.since.pop(event.address, None)
            self.last.pop(event.address, None)
        elif event.kind in {"call", "waiting", "barrier"}:
            began = self.since.setdefault(event.address, event.at)
            self.last[event.address] = event
        elif event.kind == "window-opened":
            began = self._windows[event.address] = event.at
        elif event.kind == "window-closed":
            began = self._windows.pop(event.address, None)
        tone, seconds = _TONES.get(event.kind), None if began is None else int(event.at - began)
        return None if tone is None else Line(f"{event.address}: {event_text(event, seconds)}", tone)


def event_text(event: Event, seconds: int | None = None) -> str:
    """Text of an event without its address: `creating… (10 s)`, `created after 51 s [id K8…]`."""
    after = f" after {duration(seconds)}" if seconds is not None else ""
    match event.kind:
        case "call":
            return f"{event.text}…"
        case "waiting":
            return f"{event.text}… ({duration(seconds or 0)}{_status(event)})"
        case "goal-met":
            identity = event.detail.get("id")
            return f"{event.text}{after}" + (f" [id {identity}]" if identity else "")
        case "window-opened":
            return f"power-off window opened{event.text and f' ({event.text})'}"
        case "window-closed":
            return f"power-off window closed{after}"
        case "step-failed":
            return f"failed{after}"
        case "step-waiting":
            return f"not finished: {short_text(event.text)}"
        case "step-skipped":
            return f"not started: {event.text}"
        case _:
            return event.text


def _status(event: Event) -> str:
    """Status that adds to the action: `downloading… (10 s, 45%)`, but not `creating… (10 s, creating)`."""
    status = str(event.detail.get("status", ""))
    if (percent := percent_of(event)) is not None:
        return f", {percent}%"
    return "" if status in {"", _ACCEPTED, event.text.partition(" ")[0]} else f", {status}"


def percent_of(event: Event) -> int | None:
    """Share of a transfer that is done, 0 to 100; None for an event that names none."""
    found = _PERCENT.search(str(event.detail.get("status", "")))
    return None if found is None else min(int(found[1]), 100)


class PlainProgress(nullcontext[None]):
    """One line per event. Nothing is removed at its end."""

    def __init__(self, write: Callable[[str], None], screen: Screen = PLAIN_TEXT) -> None:
        super().__init__()
        self._write = write
        self._screen = screen
        self._under_way = UnderWay()
        self._last = 0.0

    def show(self, event: Event) -> None:
        line = self._under_way.line(event)
        if line is not None and not (event.kind == "waiting" and not _status(event)):  # the call has been printed
            self._last = event.at
            self._write(self._screen.render([line]))

    def notice(self, text: str) -> None:
        self._write(self._screen.render([Line(text, Tone.CHANGED)]))

    def remind(self, at: float) -> None:
        """Print the actions under way after a long silence. `at`: seconds since the apply began."""
        if at - self._last < REMIND_SECONDS or not self._under_way.last:
            return
        self._last = at
        texts = list(self._under_way.texts(at))
        lines = [f"{address}: still {text}" for address, text in texts[:_REMINDERS]]
        if rest := len(texts) - _REMINDERS if len(texts) > _REMINDERS else 0:
            lines.append(f"... and {rest:,} more in progress")
        self._write(self._screen.render(Line(line, Tone.ASIDE) for line in lines))
