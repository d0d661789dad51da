"""Progress of a transfer: a bar on a terminal, else a line for each change; nothing with --json."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbc_iac.cli.app import App
from dbc_iac.views.text.lines import escaped

if TYPE_CHECKING:
    from rich.console import Console

Moved = Callable[[int], None]
"""Called with the transferred percentage."""


@contextmanager
def progress(app: App, what: str) -> Iterator[Moved]:
    """Show the progress of `what` while the block runs."""
    if app.json:
        yield lambda percent: None
    elif app.runtime.terminal and not (console := _console(app)).is_dumb_terminal:
        yield from _bar(console, what)
    else:
        yield _lines(app, what)


def _console(app: App) -> Console:
    from rich.console import Console

    return Console(file=app.runtime.err)


def _lines(app: App, what: str) -> Moved:
    shown: list[int] = []

    def moved(percent: int) -> None:
        if shown != [percent]:
            shown[:] = [percent]
            app.note(f"{what}: {percent}%")

    return moved


def _bar(console: Console, what: str) -> Iterator[Moved]:
    from rich import markup, progress

    with progress.Progress(console=console, transient=True) as shown:
        task = shown.add_task(markup.escape(escaped(what)), total=100)
        yield lambda percent: shown.update(task, completed=percent)
