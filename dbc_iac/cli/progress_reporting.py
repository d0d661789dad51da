"""How an apply is followed: live on a terminal, by lines elsewhere, and as events for programs, at the same time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from dbc_iac.cli.app import App, writing
from dbc_iac.cli.resilient_stream import ResilientStream
from dbc_iac.diagnostics import DiagnosticError, ExitCode
from dbc_iac.json import Json
from dbc_iac.views.json.events import begin_json, end_json, event_json
from dbc_iac.views.progress import PlainProgress, Progress, SilentProgress

if TYPE_CHECKING:
    from dbc_iac.apply import Event, Report
    from dbc_iac.plan import Plan

LOOK_SECONDS = 30.0
"""How often it is looked whether something is to be said because nothing was."""


@dataclass
class EventLog:
    """Events as lines of JSON. What cannot be written any more ends the log, never the apply."""

    stream: TextIO
    app: App
    ours: bool = True
    """Whether the stream is closed at the end: a file is, standard output is not."""
    broken: bool = False

    def write(self, value: dict[str, Json]) -> None:
        if self.broken:
            return
        at = self.app.runtime.now().isoformat(timespec="milliseconds")
        try:
            self.stream.write(json.dumps({**value, "time": at}, ensure_ascii=True) + "\n")
            self.stream.flush()
        except (OSError, ValueError):
            self.broken = True
            self.app.runtime.tell("events cannot be written any more; the apply goes on")

    def close(self) -> None:
        if self.ours:
            with suppress(OSError):
                self.stream.close()


@dataclass
class ProgressReporter:
    """Gives every event, redacted, to whoever shows or writes it."""

    app: App
    log: EventLog | None = None
    progress: Progress = field(default_factory=SilentProgress)

    @classmethod
    def of(cls, app: App, chosen: Mapping[str, object]) -> ProgressReporter:
        """By the options. Raises DiagnosticError where the file of events cannot be written.

        From now on no stream of the command fails any more.
        """
        raw = app.runtime.out
        app.runtime = replace(app.runtime, out=_lasting(app, raw))
        wanted = chosen.get("events")
        if not isinstance(wanted, str):
            return cls(app)
        if wanted == "-":
            if app.json:
                raise click.UsageError("--events - and --json both want standard output: give --events a FILE")
            log = EventLog(raw, app, ours=False)
            app.runtime = replace(app.runtime, out=app.runtime.err)  # what people read goes there
            return cls(app, log)
        with writing():
            return cls(app, EventLog(Path(wanted).open("w", encoding="utf-8"), app))

    def tell(self, event: Event) -> None:
        shown = self.app.redaction(event)
        self.progress.tell(shown)
        self._log(event_json(shown))

    def end(self, report: Report) -> None:
        """The last event. A log without it is of a process that did not live to its end."""
        self._log(end_json(report))
        if self.log is not None:
            self.log.close()

    def _log(self, value: dict[str, Json]) -> None:
        if self.log is not None:
            self.log.write(value)

    @asynccontextmanager
    async def watching(self, plan: Plan) -> AsyncIterator[None]:
        """While an apply runs. Needs its event loop, whose clock is that of the events."""
        self._log(begin_json(plan))
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.progress = self._made(plan, lambda: loop.time() - began)
        with self.progress:
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
            await asyncio.sleep(LOOK_SECONDS)
            self.progress.remind(loop.time() - began)

    def _made(self, plan: Plan, now: Callable[[], float]) -> Progress:
        if self.app.json:
            return SilentProgress()
        runtime = self.app.runtime
        screen = runtime.screen(runtime.err)
        if screen.columns is None or runtime.environ.get("TERM") == "dumb":
            return PlainProgress(runtime.tell, screen)
        from dbc_iac.views.live import LiveProgress

        machines = {c.address: c.node for c in plan.changes}
        return LiveProgress(runtime.err, screen, now, machines, len(plan.pending))


def _lasting(app: App, out: TextIO) -> ResilientStream:
    """Standard output of an apply: whoever started it wants it done, also where nobody reads on."""
    return ResilientStream(
        out, lambda: app.runtime.tell("standard output cannot be written any more; the apply goes on")
    )


def write_report(app: App, report: Report, chosen: Mapping[str, object]) -> ExitCode:
    """The end report in the file that was asked for, in the form that its name tells; OK where it was written."""
    from dbc_iac.cli.plan_output import write_output
    from dbc_iac.views.markdown.apply import report_markdown
    from dbc_iac.views.text.apply import report_json, report_text

    if not isinstance(file := chosen.get("report"), Path):
        return ExitCode.OK
    forms: dict[str, Callable[[Report], str]] = {
        ".md": report_markdown,
        ".json": lambda made: json.dumps(report_json(made), indent=2) + "\n",
    }
    try:
        write_output(file, forms.get(file.suffix, report_text)(report))
    except DiagnosticError as error:  # what became of the apply is more than where that is written
        app.report(error.diagnostics)
        return ExitCode.ERROR
    return ExitCode.OK
