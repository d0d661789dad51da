"""The three-way diff: desired, applied, observed, field by field, by the rule that the facts give. Pure.

A default that the server fills in is no change; a secret is compared in memory and never shown; what the API does not
report is compared with what was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, ExitCode
from dbc_iac.json import Json, value_text
from dbc_iac.kinds import Kind, Observation, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import power_of
from dbc_iac.kinds.framework.rules import Behaviour, Rule
from dbc_iac.kinds.framework.spec import Spec, SpecField, rules_under
from dbc_iac.kinds.framework.types import observed_gib
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.model import FieldChange
from dbc_iac.plan.observe.tracked_objects import TrackedObject
from dbc_iac.secret import SecretText
from dbc_iac.state.document import Binding

SECRET = "(secret)"  # noqa: S105 - what is shown in place of one
NOTHING: tuple[Json, ...] = (None, "", [])


class Difference(Struct):
    """Differences of one resource: changes, notes without an effect, refusals.

    `settled` is what does not differ: the values, and references of secrets, that the object has as they are wanted.

    `replacement_only` are values that only a replacement can have: subjects of notes and refusals. `ignored` is
    what `ignoreChanges` leaves alone as long as the object stays; a replacement gets the values of the manifest.
    """

    changes: list[FieldChange] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[Diagnostic] = field(default_factory=list)
    replacement_only: list[FieldChange] = field(default_factory=list)
    ignored: list[FieldChange] = field(default_factory=list)
    settled: dict[str, Json] = field(default_factory=dict)

    @property
    def of_a_new_one(self) -> tuple[FieldChange, ...]:
        """All fields that differ in a new object."""
        return (*self.changes, *self.replacement_only, *self.ignored)

    @property
    def replaces(self) -> bool:
        return any(c.behaviour == Behaviour.REPLACE for c in self.changes)


class _Sides(Struct, frozen=True):
    """The three sides of one resource. `secret` gives a desired secret, or None if it is not available."""

    resource: Resource[Spec]
    desired: Mapping[str, Json]
    binding: Binding
    observation: Observation
    secret: Callable[[str], SecretText | None]


def difference(
    context: PlanContext,
    tracked: TrackedObject,
    resource: Resource[Spec],
    observation: Observation,
    desired: Mapping[str, Json],
    whole_machine: bool | None,
) -> Difference:
    """Differences of a resource that is bound, in the order of the spec's fields.

    `whole_machine`: whether its rent order covers the machine; None if unknown.
    """
    assert tracked.binding is not None  # noqa: S101 - only bound resources are compared
    kind: Kind[Spec] = kind_of(resource.kind)
    ignored = resource.spec.lifecycle.ignore_changes
    sides = _Sides(resource, desired, tracked.binding, observation, partial(context.secret, resource.address))
    found = Difference()
    for field_, rule in rules_under(kind.spec, kind.facts(resource, whole_machine)):
        if rule.behaviour is Behaviour.ACCESS:
            continue
        left_alone = bool(ignored) and any(_within(field_.path, i) for i in ignored)
        own = Difference() if left_alone else found
        if rule.secret:
            _compare_secret(sides, field_, rule, own)
        else:
            _compare(sides, field_, rule, own)
        if left_alone:
            found.ignored += _as_ignored(field_, rule, own)
    paths = [p for p in resource.spec.lifecycle.replace_on if "/" not in p]
    return _by_lifecycle(found, paths) if paths else found


def _as_ignored(field_: SpecField, rule: Rule, found: Difference) -> list[FieldChange]:
    """Differences in fields of `ignoreChanges`. A secret that cannot be compared may differ."""
    if rule.secret and found.notes and not found.changes:
        return [FieldChange(field_.path, SECRET, SECRET, rule.behaviour.value, secret=True)]
    return [*found.changes, *found.replacement_only]


def _by_lifecycle(found: Difference, paths: list[str]) -> Difference:
    """Turn differences in fields of `replaceOn` into replacements."""

    def forces(change: FieldChange) -> bool:
        return any(_within(change.path, path) for path in paths)

    forced = [c for c in (*found.changes, *found.replacement_only) if forces(c)]
    if not forced:
        return found
    replacing = [replace(c, behaviour=Behaviour.REPLACE.value) for c in forced]
    return replace(
        found,
        changes=[c for c in found.changes if not forces(c)] + replacing,
        replacement_only=[c for c in found.replacement_only if not forces(c)],
    )


def _within(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")


def _compare(sides: _Sides, field_: SpecField, rule: Rule, found: Difference) -> None:
    path = field_.path
    want, applied = sides.desired.get(path), sides.binding.applied.get(path)
    shown = not rule.not_reported and path in sides.observation.values
    have = sides.observation.values[path] if shown else applied
    clears = (rule.inferred or rule.behaviour is Behaviour.REPLACE) and not rule.no_clear and have not in NOTHING
    if path not in sides.desired and not clears:  # absent from the manifest: not managed
        if rule.no_clear and applied not in NOTHING:
            found.replacement_only.append(FieldChange(path, have, None, rule.behaviour.value))
        return
    if rule.unreliable and want == applied:
        return
    uncertain = path in sides.binding.uncertain
    if want == have and not uncertain:
        found.settled[path] = want
        return
    drift = shown and want == applied
    change = FieldChange(path, have, want, rule.behaviour.value, drift)
    if rule.grow_only and (problem := _shrinks(sides, path, have, want)):
        found.refusals.append(problem)
    elif rule.behaviour is Behaviour.REFUSED:
        found.refusals.append(_refused(sides, change, rule))
    elif rule.behaviour is Behaviour.CREATE_ONLY:
        found.notes.append(
            f"{path} is set only at creation: it stays {_text(have)} (manifest: {_text(want)}); "
            f"--replace {sides.resource.address} replaces the resource"
        )
    elif rule.behaviour is Behaviour.RUNNING and not _will_run(sides):
        found.notes.append(f"{path} can be set only while the VM runs; it is powered off and stays so")
    elif reason := sides.observation.blocked.get(path):
        found.notes.append(f"{path} cannot be set: {reason}")
    else:
        found.changes.append(change)
        return
    found.replacement_only.append(change)


def _compare_secret(sides: _Sides, field_: SpecField, rule: Rule, found: Difference) -> None:
    path = field_.path
    if field_.read(sides.resource.spec) is None:
        return
    wanted = sides.secret(path)
    shown = sides.observation.secrets.get(path)
    if path in sides.observation.hidden:
        found.notes.append(f"{path}: (secret, not compared): it is not shown now")
    elif wanted is None:
        found.notes.append(f"{path}: (secret, not compared): its value is not available")
    elif shown is None and (reason := sides.observation.blocked.get(path)):
        found.notes.append(f"{path} cannot be set: {reason}")
    elif shown is None or shown.reveal() != wanted.reveal():
        if rule.behaviour is Behaviour.RUNNING and not _will_run(sides):
            found.notes.append(f"{path} differs and can be set only while the VM runs; it is powered off and stays so")
        else:
            drift = _same_reference(sides, path, field_.read(sides.resource.spec))
            found.changes.append(FieldChange(path, SECRET, SECRET, rule.behaviour.value, drift, secret=True))
    elif path not in sides.binding.uncertain:
        found.settled[path] = field_.read(sides.resource.spec).model_dump(mode="json", by_alias=True)


def _same_reference(sides: _Sides, path: str, reference: object) -> bool:
    """Whether the reference is that of the last apply. The state has neither value nor digest of a secret: which side
    changed is unknown then."""
    if not isinstance(reference, SecretRef) or path in sides.binding.uncertain:
        return False
    return bool(sides.binding.applied.get(path) == reference.model_dump(mode="json", by_alias=True))


def _will_run(sides: _Sides) -> bool:
    kind = kind_of(sides.resource.kind)
    return (power_of(kind, sides.desired) or power_of(kind, sides.observation.values)) == "on"


def _shrinks(sides: _Sides, path: str, have: Json, want: Json) -> Diagnostic | None:
    if not isinstance(have, str) or not isinstance(want, str):
        return None
    size = observed_gib(have)
    if size <= observed_gib(want):
        return None
    keep = f"Set {path}: {have}" if size.denominator == 1 else f"Add {path} to lifecycle.ignoreChanges"
    return sides.resource.problem(
        "cannot-shrink",
        path,
        f"cannot shrink {path if '.' in path else sides.resource.address} from {have} to {want}",
        detail="Disks can only grow.",
        remedy=f"{keep}, or use --replace {sides.resource.address} (its data is lost).",
        exit_code=ExitCode.REFUSED,
    )


def _refused(sides: _Sides, change: FieldChange, rule: Rule) -> Diagnostic:
    return sides.resource.problem(
        "cannot-change",
        change.path,
        f"cannot change {change.path} ({_text(change.before)} -> {_text(change.after)})",
        detail="It was changed outside dbc-iac." if change.drift else "",
        remedy=rule.remedy.replace("ADDRESS", sides.resource.address),
        exit_code=ExitCode.REFUSED,
    )


def _text(value: Json) -> str:
    return value_text(value, "none")


def initial(kind: Kind[Spec], desired: Mapping[str, Json], secrets: Mapping[str, Json]) -> Iterator[FieldChange]:
    """Fields of a resource that is created, for plans. `secrets`: references by path."""
    for field_ in kind.fields:
        if field_.path in desired and desired[field_.path] not in NOTHING:
            yield FieldChange(field_.path, None, desired[field_.path], field_.rule.behaviour.value)
        elif field_.path in secrets:
            yield FieldChange(field_.path, None, SECRET, field_.rule.behaviour.value, secret=True)
