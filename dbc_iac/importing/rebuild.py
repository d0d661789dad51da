"""A lost state, rebuilt from what a plan recovers: markers, derived ids, names, sizes and files.

What cannot be proved is asked for: an object is bound to a document without proof only by `--map ADDRESS=ID`. Of a
document for which there is nothing yet that can be said too: then a plan makes it, whatever else is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.importing.bind import OtherStacks, adopt
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.framework.ownership_marker import parse_marker
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.check.references import dependencies
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.decide.ownership import Object
from dbc_iac.plan.observe.refresh import observe
from dbc_iac.plan.observe.state_recovery import recover_state
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects, parent_address
from dbc_iac.plan.planner import with_resolved
from dbc_iac.state.document import Binding, State


@dataclass(slots=True)
class Rebuilt:
    """The state, what each binding was proved by, what needs an answer, and why some could not be bound."""

    state: State
    proofs: dict[str, str] = field(default_factory=dict)
    open_questions: dict[str, str] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    """What is to be made, by the user's word."""

    @property
    def changed(self) -> bool:
        return bool(self.proofs or self.new)


async def rebuild(
    context: PlanContext, mapped: Mapping[str, str], new: frozenset[str], held: Mapping[Object, str]
) -> Rebuilt:
    """Bind what is not bound, until nothing more can be told. `held`: what other stacks manage.

    Raises DiagnosticError where an answer cannot be taken: it is not passed over.
    """
    _check(mapped, new, context)
    made = Rebuilt(_with_new(context.state, new), new=tuple(sorted(new)))
    reader, others = CachedReader(context.connect), OtherStacks(held)
    while await _bind_answers(made, context, mapped, reader, others) or await _bind_proved(
        made, context, mapped, reader, others
    ):
        pass
    for address in sorted(mapped.keys() - made.state.bindings.keys()):
        await adopt(
            _now(context, made), address, mapped[address], reader, others
        )  # raises: what it lives on is not bound
    return made


def _now(context: PlanContext, made: Rebuilt) -> PlanContext:
    return with_resolved(replace(context, state=made.state))


async def _bind_answers(
    made: Rebuilt, context: PlanContext, mapped: Mapping[str, str], reader: CachedReader, others: OtherStacks
) -> bool:
    """Bind what the user said, as far as what it lives on is bound. Whether there was any."""
    bound = False
    for address, identity in mapped.items():
        parent = parent_address(context.inventory.resources[address])
        if address not in made.state.bindings and (not parent or parent in made.state.bindings):
            binding = await adopt(_now(context, made), address, identity, reader, others)
            _bind(made, binding, "you said so")
            bound = True
    return bound


async def _bind_proved(
    made: Rebuilt, context: PlanContext, mapped: Mapping[str, str], reader: CachedReader, others: OtherStacks
) -> bool:
    """Bind what can be told by now; what is named after that can be told next. Whether there was any."""
    bound, made.open_questions = False, {}
    now = _now(context, made)
    recovered = await recover_state(now, reader, find_tracked_objects(now), by_looks=True)
    asked = {p.address: f"{p.detail} {p.remedy}" for p in recovered.problems.errors}
    for address, candidate in recovered.tracked_objects.items():
        resource = candidate.resource
        if (
            resource is None
            or candidate.binding is not None
            or not _bindable(resource)
            or address in {*mapped, *made.new}
        ):
            continue
        seen = await observe(candidate, now, reader)
        if needed := _needed(resource, now):
            made.open_questions[address] = f"it needs {needed}, which is not bound"
        elif seen.present is None:
            made.open_questions[address] = f"cannot be read: {seen.reason}"
        elif not seen.present or address in asked:
            made.open_questions[address] = asked.get(address, "it is not there")
        else:
            try:
                binding = await adopt(_now(context, made), address, seen.id, reader, others)
            except DiagnosticError as error:
                made.open_questions[address] = error.diagnostics[0].summary
            else:
                _bind(made, binding, _proof(candidate, resource, seen, now))
                bound = True
    return bound


def _bind(made: Rebuilt, binding: Binding, proof: str) -> None:
    made.state = made.state.with_binding(binding)
    made.proofs[binding.address] = f"{binding.id}: {proof}"


def _needed(resource: Resource[Spec], context: PlanContext) -> str:
    """The address of what it is made from, where that is not bound: what it is made of cannot be told."""
    values = kind_of(resource.kind).desired(resource, context.inventory).values()
    return next((d for d in dependencies(resource, context.inventory) if d in values), "")


def _proof(candidate: TrackedObject, resource: Resource[Spec], seen: Observation, context: PlanContext) -> str:
    kind, marker = kind_of(candidate.kind), parse_marker(seen.marker)
    if isinstance(kind, Host) and marker is not None:
        name = "" if marker.name == resource.name else f", made as {marker.name}"
        if kind.matches(marker, resource, context.inventory):
            return (
                f"its id and its marker are of generation {marker.generation}{name}, and its hidden fields as written"
            )
        return (
            f"its id is of generation {marker.generation}{name}; what the API never shows may differ from the document"
        )
    if kind.identity(resource, context.inventory, 1):
        return "its name is its identity"
    key = kind.natural_key(resource, context.inventory)
    return f"its uuid is {key}" if key else "it is the only disk of that size and folder"


def _with_new(state: State, new: frozenset[str]) -> State:
    """The state that knows of these addresses: as if they had been made once, and that first one was gone."""
    return state.model_copy(update={"generations": {**dict.fromkeys(sorted(new), 1), **state.generations}})


def _check(mapped: Mapping[str, str], new: frozenset[str], context: PlanContext) -> None:
    """Raises DiagnosticError with every answer to a question that nobody asks."""
    known = [a for a, r in context.inventory.resources.items() if _bindable(r)]
    found = Diagnostics()
    said = {address: f"--map {address}={identity}" for address, identity in mapped.items()}
    for address, option in [*said.items(), *((a, f"--new {a}") for a in sorted(new))]:
        if address not in known:
            close = difflib.get_close_matches(address, known, 1)
            remedy = f"Did you mean {close[0]}?" if close else "Use Kind/name, as in the documents."
            found.add(_wrong(address, f"{option}: there is no such document", remedy))
        elif address in context.state.bindings:
            bound = context.state.bindings[address].id
            remedy = f"`dbc-iac state rm {address}` forgets that, without touching it."
            found.add(_wrong(address, f"{option}: it is bound to {bound} already", remedy))
    found.raise_errors()


def _wrong(address: str, summary: str, remedy: str) -> Diagnostic:
    return Diagnostic("cannot-map", Severity.ERROR, summary, remedy=remedy, address=address, exit_code=ExitCode.REFUSED)


def _bindable(resource: Resource[Spec]) -> bool:
    return not kind_of(resource.kind).read_only and not getattr(resource.spec, "external", False)
