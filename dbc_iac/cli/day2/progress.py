"""A transfer's progress: a bar on a terminal, a line each time it has moved elsewhere, nothing with --json."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbc_iac.cli.app import App
from dbc_iac.report.views import harmless

Moved = Callable[[int], None]
"""Is told the percent that have been transferred."""


@contextmanager
def progress(app: App, what: str) -> Iterator[Moved]:
    """What shows the progress of `what` while the block runs."""
    if app.json:
        yield lambda percent: None
    elif app.runtime.terminal:
        yield from _bar(app, what)
    else:
        yield _lines(app, what)


def _lines(app: App, what: str) -> Moved:
    told: list[int] = []

    def moved(percent: int) -> None:
        if told != [percent]:
            told[:] = [percent]
            app.runtime.tell(f"{harmless(what)}: {percent}%")

    return moved


def _bar(app: App, what: str) -> Iterator[Moved]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    with Progress(console=Console(file=app.runtime.err), transient=True) as shown:
        task = shown.add_task(escape(harmless(what)), total=100)
        yield lambda percent: shown.update(task, completed=percent)
