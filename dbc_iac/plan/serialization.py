"""A plan as a file: read back from its canonical JSON form, whole, or refused. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import ValidationError, convert

from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.kinds import MODELS, kind_of
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.kinds.recorded import unfit_field, unusable_address, unusable_route
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.decide.deletions import FAILED, data_loss
from dbc_iac.plan.decide.diff import NOTHING, SECRET, initial
from dbc_iac.plan.model import FORMAT_VERSION, Action, Change, FieldChange, Plan, canonical_text


def read_plan(value: Any, name: str = "this") -> Plan:
    """A plan from `Plan.to_json()`; `name`: its file. Raises DiagnosticError on another format or digest."""
    if not isinstance(value, Mapping) or "formatVersion" not in value or "changes" not in value:
        remedy = "Write one with `dbc-iac plan -o FILE`. To apply manifests, leave out FILE."
        raise failure("not-a-plan", f"{name} is not a plan file", remedy=remedy)
    version = value["formatVersion"]
    if type(version) is not int:
        raise _damaged("formatVersion is not an integer")
    if version != FORMAT_VERSION:
        raise failure(
            "plan-format",
            f"the plan has format {version}, but this dbc-iac reads {FORMAT_VERSION}",
            remedy="Run `dbc-iac plan -o FILE` again with this version.",
        )
    try:
        json.dumps(value, ensure_ascii=False).encode()
        plan = convert({k: v for k, v in value.items() if k != "digest"}, Plan)
        fits = plan.digest == value.get("digest")
        _check(plan)
        if fits:
            for change in plan.changes:
                _check_shown(change)
    except ValidationError as error:
        raise _damaged(str(error)) from None
    except UnicodeEncodeError:
        raise _damaged("it holds half of a surrogate pair") from None
    except RecursionError:
        raise _damaged("its values are nested too deeply") from None
    if not fits:
        summary = "the plan file was altered: its digest does not match"
        raise failure("plan-altered", summary, remedy="Run `dbc-iac plan -o FILE` again.")
    return plan


def _check(plan: Plan) -> None:
    """Raise ValidationError for a program, secret reference or field of a wrong form, for two changes of one address,
    and for a step of no change."""
    for address, hook in plan.hooks.items():
        try:
            BeforeOffline.model_validate(hook)
        except ValueError:
            raise ValidationError(f"hooks.{address} is not a command with its timeout and force") from None
    addresses = set[str]()
    for change in plan.changes:
        _check_change(change)
        if change.address in addresses:
            raise ValidationError(f"{change.address} has two changes")
        addresses.add(change.address)
    if other := {step.address for step in plan.steps} - addresses:
        raise ValidationError(f"steps.{min(other)} has no change")
    try:
        convert(plan.options, PlanOptions)
    except ValidationError as error:
        raise ValidationError(f"options: {error}") from None


def _check_change(change: Change) -> None:
    if change.kind not in MODELS:
        raise ValidationError(f"{change.address}.kind is not a kind")
    if unusable_address(change.address, change.kind):
        raise ValidationError(f"{change.address} is not an address of its kind")
    sent = {f.path for f in change.fields} if change.action is Action.UPDATE else change.desired
    if path := unfit_field(change.kind, change.desired, sent):
        raise ValidationError(f"{change.address}.desired.{path} is not a valid value of its field")
    for path, reference in change.secrets.items():
        try:
            SecretRef.model_validate(reference)
        except ValueError:
            raise ValidationError(f"{change.address}.secrets.{path} is not a reference to a secret") from None
    for name, placement in (("placement", change.placement), ("oldPlacement", change.old_placement)):
        required = change.pending and placement is change.placement
        if (placement.route or required) and unusable_route(placement.route):
            raise ValidationError(f"{change.address}.{name}.route is not a route to a machine")


def _check_shown(change: Change) -> None:
    """Raise ValidationError for a change that shows other values, or other lost data, than its calls have."""
    if path := _misleading_field(change):
        raise ValidationError(f"{change.address}.fields: {path} is not as in desired or secrets")
    if change.losses != data_loss(change) and _loses_data(change):
        raise ValidationError(f"{change.address}.losses are not those of its data")


def _misleading_field(change: Change) -> str:
    """Path of the first field that is shown in another way than it is sent; empty if there is none."""
    kind = kind_of(change.kind)
    if change.action is Action.CREATE:
        shown, sent = change.fields, tuple(initial(kind, change.desired, change.secrets))
        differing = (f.path for f in (*sent, *shown) if (f in sent) != (f in shown))
        return "" if shown == sent else next(differing, "their order")
    if change.action not in {Action.UPDATE, Action.REPLACE}:
        return change.fields[0].path if change.fields and change.action is Action.ADOPT else ""
    for field in change.fields:
        if not field.path.startswith("lifecycle.") and not _fits(field, change):
            return field.path
    shown_paths = {field.path for field in change.fields}
    for path, value in change.desired.items():  # what is not shown is as before, or cannot be set, which a note says
        had = (change.applied.get(path), change.observed.get(path))
        noted = change.action is Action.UPDATE and any(note.startswith(f"{path} ") for note in change.notes)
        if not (path in shown_paths or noted or value in NOTHING or any(_equal(value, before) for before in had)):
            return path
    return ""


def _fits(field: FieldChange, change: Change) -> bool:
    """Whether a field is shown with the value that its change sends."""
    if field.secret:
        return field.after == SECRET and field.path in change.secrets and field.path not in change.desired
    return _equal(field.after, change.desired.get(field.path))


def _loses_data(change: Change) -> bool:
    """Whether a change deletes an object that may have data."""
    return change.action is Action.DELETE or (change.action is Action.REPLACE and FAILED not in change.reasons)


def _equal(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal. `1` is not `true`."""
    return canonical_text(one) == canonical_text(other)


def _damaged(detail: str) -> DiagnosticError:
    return failure("not-a-plan", "the plan file is damaged", f"{detail}.", "Run `dbc-iac plan -o FILE` again.")
