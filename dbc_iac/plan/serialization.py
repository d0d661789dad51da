"""A plan as a file: read back from its canonical JSON form, whole, or refused. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import ValidationError, convert
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import DiagnosticError, failure
from dbc_iac.json import Json
from dbc_iac.kinds import MODELS, kind_of
from dbc_iac.kinds.framework.rules import Behaviour, Rule
from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.kinds.recorded import unfit_field, unusable_address, unusable_route
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.context import PlanOptions
from dbc_iac.plan.decide.changes import PROTECTION
from dbc_iac.plan.decide.deletions import FAILED, data_loss
from dbc_iac.plan.decide.diff import NOTHING, SECRET, initial
from dbc_iac.plan.model import FORMAT_VERSION, Action, Change, FieldChange, Plan, equal

_WITHOUT_FIELDS = frozenset({Action.ADOPT, Action.DELETE, Action.FORGET})
_SENDS_ALL = frozenset({Action.CREATE, Action.REPLACE, Action.ADOPT})


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
        options = convert(plan.options, PlanOptions)
    except ValidationError as error:
        raise ValidationError(f"options: {error}") from None
    if (plan.destroy, plan.targets) != (options.destroy, tuple(sorted(options.targets))):
        raise ValidationError("destroy and targets are not those of options")


def _check_change(change: Change) -> None:
    if change.kind not in MODELS:
        raise ValidationError(f"{change.address}.kind is not a kind")
    if unusable_address(change.address, change.kind):
        raise ValidationError(f"{change.address} is not an address of its kind")
    sent = change.desired if change.action in _SENDS_ALL else {f.path for f in change.fields}
    if path := unfit_field(change.kind, change.desired, sent, change.dependencies):
        raise ValidationError(f"{change.address}.desired.{path} is not a valid value of its field")
    for path, reference in change.secrets.items():
        try:
            SecretRef.model_validate(reference)
        except ValueError:
            raise ValidationError(f"{change.address}.secrets.{path} is not a reference to a secret") from None
    for name, placement in (("placement", change.placement), ("oldPlacement", change.old_placement)):
        required = change.pending and placement is change.placement
        known = bool(placement.route) and (placement.route.get("target") != "" or change.action is not Action.UNKNOWN)
        if (known or required) and unusable_route(placement.route):
            raise ValidationError(f"{change.address}.{name}.route is not a route to a machine")


def _check_shown(change: Change) -> None:
    """Raise ValidationError for a change that shows other values, or other lost data, than its calls have."""
    if path := _misleading_field(change):
        raise ValidationError(f"{change.address}.fields: {path} is not as in desired, observed and secrets")
    if path := _misplaced(change):
        raise ValidationError(f"{change.address}.desired.{path} is not as in placement")
    if change.losses not in _possible_losses(change):
        raise ValidationError(f"{change.address}.losses are not those of its data")


def _misleading_field(change: Change) -> str:
    """Path of the first field that is shown in another way than it is sent; empty if there is none."""
    kind = kind_of(change.kind)
    if change.action is Action.CREATE:
        shown, sent = change.fields, tuple(initial(kind, change.desired, change.secrets))
        differing = (f.path for f in (*sent, *shown) if (f in sent) != (f in shown))
        return "" if shown == sent else next(differing, "their order")
    if change.action not in {Action.UPDATE, Action.REPLACE}:
        return change.fields[0].path if change.fields and change.action in _WITHOUT_FIELDS else ""
    rules = {field.path: field.rule for field in kind.fields}
    shown_paths = set[str]()
    for field in change.fields:
        protection = field == FieldChange(PROTECTION, not change.protected, change.protected, Behaviour.ACCESS.value)
        if field.path in shown_paths or not (
            protection or (field.path in rules and _fits(field, rules[field.path], change))
        ):
            return field.path
        shown_paths.add(field.path)
    for path, value in change.desired.items():  # what is not shown is as before
        if path not in rules:
            continue
        had = [side[path] for side in (change.applied, change.observed) if path in side]
        if not (path in shown_paths or all(v in NOTHING for v in (value, *had)) or any(equal(value, v) for v in had)):
            return path
    lost = change.applied.keys() - change.desired.keys() - shown_paths if change.action is Action.REPLACE else set()
    ignored = {path for path, rule in rules.items() if rule.no_effect_with_pxe}
    lost -= {kind.power_field, *(() if ignored & change.desired.keys() else ignored)}
    return next((p for p in sorted(lost) if p in rules and _is_lost(rules[p], change.applied[p])), "")


def _fits(field: FieldChange, rule: Rule, change: Change) -> bool:
    """Whether a field is shown with the value that its change sends and the value that its object has."""
    given = [dict(condition.modifiers) for condition in rule.given]
    behaviours = {rule.behaviour, *(modifiers.get("behaviour") for modifiers in given)}
    if change.action is Action.REPLACE:
        behaviours.add(Behaviour.REPLACE)  # by `replaceOn`
    if field.behaviour not in behaviours:
        return False
    path, applied = field.path, change.applied.get(field.path)
    if rule.secret:
        secret = FieldChange(path, SECRET, SECRET, field.behaviour, secret=True)
        drifted = field == replace(secret, drift=True) and equal(applied, change.secrets.get(path))
        return (field == secret or drifted) and path in change.secrets and path not in change.desired
    seen = path in change.observed and not rule.not_reported
    sides = [(change.observed.get(path), equal(field.after, applied))] if seen else []
    if not seen or any(modifiers.get("not_reported") for modifiers in given):
        sides.append((applied, False))
    had = any(equal(field.before, before) and field.drift == drift for before, drift in sides)
    return had and equal(field.after, change.desired.get(path)) and not field.secret


def _is_lost(rule: Rule, value: Json) -> bool:
    """Whether a new object without a field has another state than one with it."""
    return not (rule.secret or rule.behaviour is Behaviour.ONCE or value in NOTHING)


def _misplaced(change: Change) -> str:
    """Path of the first field that names another machine or VM than the calls go to; empty if there is none."""
    kind, place = kind_of(change.kind), change.placement
    for field in kind.reference_fields if change.pending else ():
        assert field.reference is not None  # noqa: S101 - a field with a reference
        address = place.parent if field.path == kind.parent_field else place.node
        names = (Address(address).name, place.route.get("target"))
        if Address(address).kind == field.reference.kind and change.desired.get(field.path, names[0]) not in names:
            return field.path
    return ""


def _possible_losses(change: Change) -> tuple[tuple[str, ...], ...]:
    """The losses that a change may show: those of its data if its object is deleted."""
    if change.action is Action.DELETE or (change.action is Action.REPLACE and FAILED not in change.reasons):
        return (data_loss(change),)
    return ((), data_loss(change)) if change.action is Action.CREATE and change.observed else ((),)


def _damaged(detail: str) -> DiagnosticError:
    return failure("not-a-plan", "the plan file is damaged", f"{detail}.", "Run `dbc-iac plan -o FILE` again.")
