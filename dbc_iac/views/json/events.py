"""Events of an apply as JSON values, one per line.

    {"event": "begin", ...}     the plan that is applied
    {"event": "call", ...}      and the other kinds of `apply.report.Event`
    {"event": "end", ...}       the end report

`formatVersion` of the first line is the version of the format: within a version fields are added, never removed.
"""

from __future__ import annotations

from typing import Any

from dbc_iac.apply.report import Event, Report
from dbc_iac.json import Json
from dbc_iac.plan.model import Plan
from dbc_iac.views.json.schemas import DRAFT, report_schema
from dbc_iac.views.text.apply import report_json

FORMAT_VERSION = 2
KINDS = (
    "step-started", "step-done", "step-failed", "step-waiting", "step-skipped", "call", "waiting", "goal-met",
    "window-opened", "window-closed", "barrier", "note",
)  # fmt: skip


def begin_json(plan: Plan) -> dict[str, Json]:
    """The first line, with the digest of the plan."""
    return {
        "event": "begin",
        "formatVersion": FORMAT_VERSION,
        "project": plan.project,
        "stack": plan.stack,
        "environment": plan.environment,
        "plan": plan.digest,
        "changes": len(plan.pending),
        "steps": len(plan.steps),
    }


def event_json(event: Event) -> dict[str, Json]:
    """A line between the first and the last."""
    detail = {"detail": dict(event.detail)} if event.detail else {}
    return {"event": event.kind, "at": round(event.at, 3), "address": event.address, "text": event.text, **detail}


def end_json(report: Report) -> dict[str, Json]:
    """The last line, with the end report."""
    return {"event": "end", "at": round(report.seconds, 3), "report": report_json(report)}


def event_schema() -> dict[str, Json]:
    """Schema of a line. `time`: when it was written, in UTC."""
    text: Json = {"type": "string"}
    count: Json = {"type": "integer", "minimum": 0}
    at: Json = {"type": "number", "minimum": 0, "description": "seconds since the apply began"}
    end = {k: v for k, v in report_schema().items() if k != "$schema"}
    lines: list[Json] = [
        _line("begin", formatVersion={"const": FORMAT_VERSION}, project=text, stack=text, environment=text,
              plan={"type": "string", "pattern": "^[0-9a-f]{64}$"}, changes=count, steps=count),
        _line(*KINDS, at=at, address=text, text=text),
        _line("end", at=at, report=end),
    ]  # fmt: skip
    return {"$schema": DRAFT, "title": "A line of `apply --events`", "oneOf": lines}


def _line(*kinds: str, **properties: Any) -> Json:
    whole: dict[str, Json] = {
        "event": {"enum": [*kinds]},
        "time": {"type": "string", "format": "date-time"},
        **properties,
    }
    more: dict[str, Json] = {"detail": {"type": "object"}} if "address" in properties else {}
    return {"type": "object", "properties": {**whole, **more}, "required": [*whole], "additionalProperties": False}
