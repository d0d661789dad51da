"""Stacks, runs and events as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from dbc_iac.controller.records import EventRecord, RunRecord, StackStatus
from dbc_iac.plan.model import camel
from dbc_iac.views.text.tables import table
from dbc_iac.views.text.wording import duration

_COMMIT = 8


def to_json(record: Any) -> dict[str, Any]:
    """A record as a JSON value: times in ISO 8601."""
    values = {f.name: getattr(record, f.name) for f in fields(record)}
    return {camel(name): v.isoformat() if isinstance(v, datetime) else v for name, v in values.items()}


def stacks_text(stacks: Iterable[StackStatus], now: datetime) -> str:
    """A table of stacks."""
    columns = ("stack", "phase", "mode", "wanted", "applied", "last run", "next run", "message")
    return table(columns, [_stack(stack, now) for stack in stacks])


def _stack(stack: StackStatus, now: datetime) -> tuple[str, ...]:
    phase = f"{stack.phase}, running" if stack.running else stack.phase
    phase = f"{phase}, suspended" if stack.suspended else phase
    phase = f"{phase}, removed" if stack.removed else phase
    last = "-" if stack.last_run is None else f"{duration(_seconds(now, stack.last_run))} ago"
    due = "-" if stack.next_run is None or stack.suspended else f"in {duration(_seconds(stack.next_run, now))}"
    message = stack.message if stack.source_problem is None else f"{stack.source}: {stack.source_problem}"
    if stack.approval is not None:
        message = f"{message} Digest: {stack.approval}"
    commits = (stack.commit[:_COMMIT] or "-", stack.applied_commit[:_COMMIT] or "-")
    return (stack.name, phase, str(stack.spec.get("mode", "")), *commits, last, due, message)


def _seconds(later: datetime, earlier: datetime) -> int:
    return max(int((later - earlier).total_seconds()), 0)


def runs_text(runs: Iterable[RunRecord]) -> str:
    """A table of runs."""
    columns = ("run", "started", "seconds", "commit", "mode", "outcome", "worker", "message")
    return table(columns, [_run(run) for run in runs])


def _run(run: RunRecord) -> tuple[str, ...]:
    seconds = "-" if run.ended is None else str(_seconds(run.ended, run.started))
    started = run.started.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    outcome = run.outcome or "running"
    return (str(run.id), started, seconds, run.commit[:_COMMIT], run.mode, outcome, run.worker, run.message)


def event_text(event: EventRecord) -> str:
    """One event as a line."""
    content = event.content
    words = [str(content[key]) for key in ("address", "text") if content.get(key)]
    detail = content.get("detail")
    if isinstance(detail, Mapping) and detail.get("status"):
        words.append(f"({detail['status']})")
    at = event.at.astimezone().strftime("%H:%M:%S")
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
