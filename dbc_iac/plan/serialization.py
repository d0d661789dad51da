"""A plan as a file: read back from its canonical JSON form, whole, or refused. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import ValidationError, convert

from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.kinds import MODELS
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.kinds.recorded import unfit_field, unusable_address, unusable_route
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.model import FORMAT_VERSION, Change, Plan


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
    """Raise ValidationError for a program, secret reference or field of a wrong form, and for a step of no change."""
    for address, hook in plan.hooks.items():
        try:
            BeforeOffline.model_validate(hook)
        except ValueError:
            raise ValidationError(f"hooks.{address} is not a command with its timeout and force") from None
    for change in plan.changes:
        _check_change(change)
    if other := {step.address for step in plan.steps} - {change.address for change in plan.changes}:
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
    if path := unfit_field(change.kind, change.desired):
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


def _damaged(detail: str) -> DiagnosticError:
    return failure("not-a-plan", "the plan file is damaged", f"{detail}.", "Run `dbc-iac plan -o FILE` again.")
