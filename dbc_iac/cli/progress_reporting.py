"""Progress of an apply: live on a terminal, by lines elsewhere, and as events for programs, at the same time."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.apply import Event, Report, Stop
from dbc_iac.cli.app import App
from dbc_iac.cli.output_files import write_output
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.files.outputs import writing
from dbc_iac.json import Json
from dbc_iac.operations.apply import Observer
from dbc_iac.operations.signals import handled
from dbc_iac.plan import Plan
from dbc_iac.views.json.events import begin_json, end_json, event_json
from dbc_iac.views.markdown.apply import report_markdown
from dbc_iac.views.progress import PlainProgress
from dbc_iac.views.text.apply import report_json, report_text

if TYPE_CHECKING:
    from dbc_iac.views.live import LiveProgress

REMIND_SECONDS = 30.0
"""Interval at which an apply without news is checked for a reminder."""


class EventLog(Struct):
    """Events as lines of JSON. A write that fails ends the log, never the apply."""

    stream: TextIO
    app: App
    owned: bool = True
    """Whether the stream is closed at the end: a file is, standard output is not."""
    broken: bool = False

    def write(self, value: dict[str, Json]) -> None:
        if self.broken:
            return
        at = self.app.runtime.now().isoformat(timespec="milliseconds")
        try:
            self.stream.write(self.app.runtime.loggable(json.dumps({**value, "time": at}, ensure_ascii=True)) + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            self.broken = True
            self.app.runtime.print_err("cannot write events any more; the apply continues")

    def close(self) -> None:
        if self.owned:
            with suppress(OSError):
                self.stream.close()


class ProgressReporter(Observer):
    """Passes every event to the terminal and to the event log."""

    progress: PlainProgress | LiveProgress
    log: EventLog | None = None

    def __init__(self, app: App, events: str | None) -> None:
        """`events`: the value of `--events`. Raises DiagnosticError if the file cannot be written.

        From now on no stream of the command fails: an apply is finished even if nobody can read its output.
        """
        self.app = app
        app.applying = True
        if events == "-":
            if app.json:
                raise click.UsageError("--events - and --json both use standard output: give --events a FILE")
            self.log = EventLog(app.runtime.out, app, owned=False)
            app.runtime = replace(app.runtime, out=app.runtime.err)  # text for people goes there
        elif events is not None:
            with writing():
                self.log = EventLog(Path(events).open("w", encoding="utf-8"), app)  # noqa: SIM115 - `end` closes it

    def event(self, event: Event) -> None:
        self.progress.show(event)
        if self.log is not None:
            self.log.write(event_json(event))

    def note(self, text: str) -> None:
        self.progress.notice(text)

    def end(self, report: Report) -> None:
        """Write the last event. A log without it is of a process that was killed."""
        if self.log is not None:
            self.log.write(end_json(report))
            self.log.close()

    @asynccontextmanager
    async def watching(self, plan: Plan, stop: Stop) -> AsyncIterator[None]:
        """Around the apply, whose event loop is the clock of the events. A signal asks it to stop."""
        if self.log is not None:
            self.log.write(begin_json(plan))
        loop = asyncio.get_running_loop()
        began = loop.time()
        runtime = self.app.runtime
        screen = runtime.screen(runtime.err)
        if self.app.json:
            self.progress = PlainProgress(lambda text: None)
        elif screen.columns is None or runtime.environ.get("TERM") == "dumb":
            self.progress = PlainProgress(runtime.print_err, screen)
        else:
            from dbc_iac.views.live import LiveProgress

            machines = {c.address: c.placement.node for c in plan.changes}
            self.progress = LiveProgress(runtime.err, screen, lambda: loop.time() - began, machines, len(plan.pending))
        with self.progress, stop_on_signal(self.progress.notice, stop.set):
            reminder = loop.create_task(self._remind(began))
            try:
                yield
            finally:
                reminder.cancel()
                with suppress(asyncio.CancelledError):
                    await reminder

    async def _remind(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(REMIND_SECONDS)
            self.progress.remind(loop.time() - began)


@contextmanager
def stop_on_signal(tell: Callable[[str], None], stop: Callable[[], None]) -> Iterator[None]:
    """Within it, the first signal calls `stop`: calls in flight are finished, waits end, open windows are closed, and
    the state is written. The second exits at once. Needs a running loop; outside the main thread nothing is handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [n for n in numbers if n is not signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]  # nohup

    def handle(number: int) -> None:
        came.append(number)
        if len(came) == 1:
            tell("Interrupted: finishing calls in flight. Press Ctrl-C again to exit now.")
            stop()
        # The kernel and the shell both send SIGHUP at the end of a terminal: two are no second request.
        elif task is not None and number != signal.SIGHUP and sum(n != signal.SIGHUP for n in came) > 1:
            task.cancel()

    with handled(loop, heeded, handle):
        yield


def write_report(app: App, report: Report, file: Path) -> ExitCode:
    """Write the report to the file of `--report`, in the form of its suffix. OK if it was written."""
    forms: dict[str, Callable[[Report], str]] = {
        ".md": report_markdown,
        ".json": lambda made: json.dumps(report_json(made), indent=2) + "\n",
    }
    try:
        write_output(file, forms.get(file.suffix, report_text)(report))
    except DiagnosticError as error:  # the outcome of the apply is shown anyway
        app.report(error.diagnostics)
        return ExitCode.ERROR
    return ExitCode.OK
