"""Stacks, runs and events as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any

from msgspec.structs import asdict
from pydantic.alias_generators import to_camel

from dbc_iac.controller.records import EventRecord, RunRecord, StackStatus
from dbc_iac.controller.rows import SHORT_COMMIT, row, seconds
from dbc_iac.views.text.tables import table


def to_json(record: Any) -> dict[str, Any]:
    """A record as a JSON value: times in ISO 8601."""
    return {to_camel(name): v.isoformat() if isinstance(v, datetime) else v for name, v in asdict(record).items()}


def sentences(*texts: str) -> str:
    """The texts that are not empty as sentences in one line, without the last full stop."""
    return ". ".join(text.rstrip(".") for text in texts if text)


def stacks_text(stacks: Iterable[StackStatus], now: datetime) -> str:
    """A table of stacks."""
    columns = ("stack", "phase", "mode", "commit", "applied", "last run", "next run", "message")
    return table(columns, [_stack(stack, now) for stack in stacks])


def _stack(stack: StackStatus, now: datetime) -> tuple[str, ...]:
    shown = row(stack, now)
    phase = f"{stack.phase}, {shown.notes}" if shown.notes else stack.phase
    message = stack.message if stack.source_problem is None else f"{stack.source}: {stack.source_problem}"
    if stack.approval is not None and not stack.approved:
        message = f"{message} Digest: {stack.approval}"
    cells = (text or "-" for text in (shown.commit, shown.applied, shown.last, shown.next))
    return (stack.name, phase, stack.spec["mode"], *cells, message)


def runs_text(runs: Iterable[RunRecord]) -> str:
    """A table of runs."""
    columns = ("run", "started", "seconds", "commit", "mode", "outcome", "worker", "message")
    return table(columns, [_run(run) for run in runs])


def _run(run: RunRecord) -> tuple[str, ...]:
    took = "-" if run.ended is None else str(seconds(run.ended, run.started))
    started = run.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    outcome = run.outcome or "running"
    return (str(run.id), started, took, run.commit[:SHORT_COMMIT], run.mode, outcome, run.worker, run.message)


def event_text(event: EventRecord, zone: tzinfo | None = None) -> str:
    """One event as a line, with the time of a zone; None: that of this machine."""
    content = event.content
    words = [str(content[key]) for key in ("address", "text") if content.get(key)]
    detail = content.get("detail")
    if isinstance(detail, Mapping) and detail.get("status"):
        words.append(f"({detail['status']})")
    at = event.at.astimezone(zone).strftime("%H:%M:%S")
    return f"{at} {content.get('event', '')} {' '.join(words)}".rstrip()


def problem_lines(run: RunRecord) -> Iterator[str]:
    """Lines of the problems of a run."""
    for problem in json.loads(run.diagnostics or "[]"):
        yield f"{problem['severity']}[{problem['code']}]: {problem['summary']}"
        if source := problem.get("source"):
            yield f"  --> {source['file']}:{source['line']}:{source['column']}"
        if problem["detail"]:
            yield f"  {problem['detail']}"
        if problem["remedy"]:
            yield f"  help: {problem['remedy']}"


def run_end(run: RunRecord) -> str:
    """The last line of the events of a run."""
    return f"run {run.id} of {run.stack}: {run.outcome or 'running'}: {run.message}".rstrip(": ")
