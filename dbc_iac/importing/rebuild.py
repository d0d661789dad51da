"""Rebuilding of a lost state by the same recovery as in plans: markers, derived ids, names, sizes and files.

Without proof an object is bound to a resource only by `--map ADDRESS=ID`. `--new ADDRESS` states that a resource has no
object yet, so that a plan creates it.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.importing.bind import OtherStacks, adopt
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Host, Marked
from dbc_iac.kinds.framework.ownership_marker import parse_marker
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object, object_of
from dbc_iac.plan.dependencies import dependencies
from dbc_iac.plan.observe.refresh import observe
from dbc_iac.plan.observe.state_recovery import recover_state
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects, parent_address
from dbc_iac.plan.planner import refresh_current, with_resolved
from dbc_iac.state.document import Binding, State

_LOG = logging.getLogger("dbc_iac.importing")


class Rebuilt(Struct):
    """The rebuilt state, the proof of each new binding, and the resources that need an answer, with the reason."""

    state: State
    proofs: dict[str, str] = field(default_factory=dict)
    open_questions: dict[str, str] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    """Addresses that a plan is to create, by `--new`."""
    described: dict[Object, str] = field(default_factory=dict)
    """Addresses of unbound resources by the object that they describe."""
    ambiguous: frozenset[str] = frozenset()
    """Addresses of resources that may describe one of several objects."""

    @property
    def changed(self) -> bool:
        return bool(self.proofs or self.new)


async def rebuild(
    context: PlanContext, mapped: Mapping[str, str], new: frozenset[str], held: Mapping[Object, str]
) -> Rebuilt:
    """Bind unbound resources until there is no further proof. `held`: objects of other stacks.

    Raises DiagnosticError for an answer that cannot be used.
    """
    reader, others = CachedReader(context.connect, repeats=True), OtherStacks(held)
    context, _ = await refresh_current(with_resolved(context), reader)
    _check(mapped, new, context)
    rebuilt = Rebuilt(_with_new(context.state, new), new=tuple(sorted(new)))
    while await _bind_answers(rebuilt, context, mapped, reader, others) or await _bind_proved(
        rebuilt, context, mapped, reader, others
    ):
        pass
    for address in sorted(mapped.keys() - rebuilt.state.bindings.keys()):
        await adopt(
            _current(context, rebuilt), address, mapped[address], reader, others
        )  # raises: its parent is not bound
    return rebuilt


def _current(context: PlanContext, rebuilt: Rebuilt) -> PlanContext:
    return with_resolved(replace(context, state=rebuilt.state))


async def _bind_answers(
    rebuilt: Rebuilt, context: PlanContext, mapped: Mapping[str, str], reader: CachedReader, others: OtherStacks
) -> bool:
    """Bind the mapped resources whose parent is bound. Returns whether there were any."""
    bound = False
    for address, identity in mapped.items():
        parent = parent_address(context.inventory.resources[address])
        if address not in rebuilt.state.bindings and (not parent or parent in rebuilt.state.bindings):
            binding = await adopt(_current(context, rebuilt), address, identity, reader, others)
            _bind(rebuilt, binding, "given by --map")
            bound = True
    return bound


async def _bind_proved(
    rebuilt: Rebuilt, context: PlanContext, mapped: Mapping[str, str], reader: CachedReader, others: OtherStacks
) -> bool:
    """Bind the resources with proof, which may prove further ones. Returns whether there were any."""
    bound, rebuilt.open_questions = False, {}
    now = _current(context, rebuilt)
    recovered = await recover_state(now, reader, find_tracked_objects(now), on_known_hosts=True)
    asked = {p.address: f"{p.detail} {p.remedy}" for p in recovered.problems.errors if p.address}
    rebuilt.ambiguous = frozenset(asked)
    rebuilt.described = {
        object_of(c.kind, c.id, c.place.target, c.parent_id): address
        for address, c in recovered.tracked_objects.items()
        if c.resource is not None and c.binding is None and c.id
    }
    for address, candidate in recovered.tracked_objects.items():
        resource = candidate.resource
        if (
            resource is None
            or candidate.binding is not None
            or not _bindable(resource)
            or address in {*mapped, *rebuilt.new}
        ):
            continue
        seen = await observe(candidate, now, reader)
        if needed := _needed(resource, now):
            rebuilt.open_questions[address] = f"needs {needed}, which is not bound"
        elif seen.present is None:
            rebuilt.open_questions[address] = f"cannot be read: {seen.reason}"
        elif not seen.present or address in asked:
            rebuilt.open_questions[address] = asked.get(address, "not found")
        else:
            try:
                binding = await adopt(_current(context, rebuilt), address, seen.id, reader, others)
            except DiagnosticError as error:
                rebuilt.open_questions[address] = error.diagnostics[0].summary
            else:
                _bind(rebuilt, binding, _proof(candidate, resource, seen, now))
                bound = True
    return bound


def _bind(rebuilt: Rebuilt, binding: Binding, proof: str) -> None:
    rebuilt.state = rebuilt.state.with_binding(binding)
    rebuilt.proofs[binding.address] = f"{binding.id}: {proof}"
    _LOG.info("%s is %s: %s", binding.address, binding.id, proof)


def _needed(resource: Resource[Spec], context: PlanContext) -> str:
    """Address of the unbound resource that this one is made from; empty if there is none."""
    values = kind_of(resource.kind).desired(resource, context.inventory).values()
    return next((d for d in dependencies(resource, context.inventory) if d in values), "")


def _proof(candidate: TrackedObject, resource: Resource[Spec], seen: Observation, context: PlanContext) -> str:
    kind, marker = kind_of(candidate.kind), parse_marker(seen.marker)
    if isinstance(kind, Host) and isinstance(kind, Marked) and marker is not None:
        name = "" if marker.name == resource.name else f", created as {marker.name}"
        if kind.matches(marker, resource, context.inventory):
            return f"id and marker of generation {marker.generation}{name}; hidden fields match the manifest"
        return f"id of generation {marker.generation}{name}; hidden fields may differ from the manifest"
    if kind.identity(resource, context.inventory, 1):
        return "identified by its name"
    key = kind.natural_key(resource, context.inventory)
    return f"uuid {key}" if key else "the only disk of that size and directory"


def _with_new(state: State, new: frozenset[str]) -> State:
    """The state with a first, deleted generation of these addresses."""
    return state.model_copy(update={"generations": {**dict.fromkeys(sorted(new), 1), **state.generations}})


def _check(mapped: Mapping[str, str], new: frozenset[str], context: PlanContext) -> None:
    """Raises DiagnosticError with every answer about an unknown or bound address."""
    known = [a for a, r in context.inventory.resources.items() if _bindable(r)]
    found = Diagnostics()
    options = {address: f"--map {address}={identity}" for address, identity in mapped.items()}
    for address, option in [*options.items(), *((a, f"--new {a}") for a in sorted(new))]:
        if address not in known:
            close = difflib.get_close_matches(address, known, 1)
            remedy = f"Did you mean {close[0]}?" if close else "Use Kind/name as in the manifests."
            found.add(_wrong(address, f"{option}: {address} is not in the manifests", remedy))
        elif address in context.state.bindings:
            bound = context.state.bindings[address].id
            remedy = f"Use `dbc-iac state rm {address}` first to choose another object; the current one is untouched."
            found.add(_wrong(address, f"{option}: {address} is already in the state (id {bound})", remedy))
    found.raise_errors()


def _wrong(address: str, summary: str, remedy: str) -> Diagnostic:
    return Diagnostic("cannot-map", Severity.ERROR, summary, remedy=remedy, address=address, exit_code=ExitCode.REFUSED)


def _bindable(resource: Resource[Spec]) -> bool:
    return not kind_of(resource.kind).read_only and not resource.external
