"""A lost state, rebuilt from what a plan recovers: markers, derived ids, names, sizes and files.

What cannot be proved is asked for: an object is bound to a document without proof only by `--map ADDRESS=ID`. Of a
document for which there is nothing yet that can be said too: then a plan makes it, whatever else is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.adoption.binding import Others, adopt
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Observation, Resource, kind_of
from dbc_iac.kinds.marker import parse_marker
from dbc_iac.kinds.reader import Reader
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.candidates import Candidate, find_candidates, holder_address
from dbc_iac.plan.graph import dependencies
from dbc_iac.plan.ownership import Object
from dbc_iac.plan.planner import with_known
from dbc_iac.plan.rediscovery import rediscover
from dbc_iac.plan.refresh import observe
from dbc_iac.plan.session import Session
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
    session: Session, mapped: Mapping[str, str], new: frozenset[str], held: Mapping[Object, str]
) -> Rebuilt:
    """Bind what is not bound, until nothing more can be told. `held`: what other stacks manage.

    Raises DiagnosticError where an answer cannot be taken: it is not passed over.
    """
    _check(mapped, new, session)
    made = Rebuilt(_with_new(session.state, new), new=tuple(sorted(new)))
    reader, others = Reader(session.connect), Others(held)
    while await _bind_answers(made, session, mapped, reader, others) or await _bind_proved(
        made, session, mapped, reader, others
    ):
        pass
    for address in sorted(mapped.keys() - made.state.bindings.keys()):
        await adopt(
            _now(session, made), address, mapped[address], reader, others
        )  # raises: what it lives on is not bound
    return made


def _now(session: Session, made: Rebuilt) -> Session:
    return with_known(replace(session, state=made.state))


async def _bind_answers(
    made: Rebuilt, session: Session, mapped: Mapping[str, str], reader: Reader, others: Others
) -> bool:
    """Bind what the user said, as far as what it lives on is bound. Whether there was any."""
    bound = False
    for address, identity in mapped.items():
        holder = holder_address(session.inventory.resources[address])
        if address not in made.state.bindings and (not holder or holder in made.state.bindings):
            binding = await adopt(_now(session, made), address, identity, reader, others)
            _bind(made, binding, "you said so")
            bound = True
    return bound


async def _bind_proved(
    made: Rebuilt, session: Session, mapped: Mapping[str, str], reader: Reader, others: Others
) -> bool:
    """Bind what can be told by now; what is named after that can be told next. Whether there was any."""
    bound, made.open_questions = False, {}
    now = _now(session, made)
    recovered = await rediscover(now, reader, find_candidates(now), by_looks=True)
    asked = {p.address: f"{p.detail} {p.remedy}" for p in recovered.problems.errors}
    for address, candidate in recovered.candidates.items():
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
                binding = await adopt(_now(session, made), address, seen.id, reader, others)
            except DiagnosticError as error:
                made.open_questions[address] = error.diagnostics[0].summary
            else:
                _bind(made, binding, _proof(candidate, resource, seen, now))
                bound = True
    return bound


def _bind(made: Rebuilt, binding: Binding, proof: str) -> None:
    made.state = made.state.with_binding(binding)
    made.proofs[binding.address] = f"{binding.id}: {proof}"


def _needed(resource: Resource[Spec], session: Session) -> str:
    """The address of what it is made from, where that is not bound: what it is made of cannot be told."""
    values = kind_of(resource.kind).desired(resource, session.inventory).values()
    return next((d for d in dependencies(resource, session.inventory) if d in values), "")


def _proof(candidate: Candidate, resource: Resource[Spec], seen: Observation, session: Session) -> str:
    kind, marker = kind_of(candidate.kind), parse_marker(seen.marker)
    if kind.host and marker is not None:
        name = "" if marker.name == resource.name else f", made as {marker.name}"
        if kind.matches(marker, resource, session.inventory):
            return (
                f"its id and its marker are of generation {marker.generation}{name}, and its hidden fields as written"
            )
        return (
            f"its id is of generation {marker.generation}{name}; what the API never shows may differ from the document"
        )
    if kind.identity(resource, session.inventory, 1):
        return "its name is its identity"
    key = kind.natural_key(resource, session.inventory)
    return f"its uuid is {key}" if key else "it is the only disk of that size and folder"


def _with_new(state: State, new: frozenset[str]) -> State:
    """The state that knows of these addresses: as if they had been made once, and that first one was gone."""
    return state.model_copy(update={"generations": {**dict.fromkeys(sorted(new), 1), **state.generations}})


def _check(mapped: Mapping[str, str], new: frozenset[str], session: Session) -> None:
    """Raises DiagnosticError with every answer to a question that nobody asks."""
    known = [a for a, r in session.inventory.resources.items() if _bindable(r)]
    found = Diagnostics()
    said = {address: f"--map {address}={identity}" for address, identity in mapped.items()}
    for address, option in [*said.items(), *((a, f"--new {a}") for a in sorted(new))]:
        if address not in known:
            close = difflib.get_close_matches(address, known, 1)
            remedy = f"Did you mean {close[0]}?" if close else "Use Kind/name, as in the documents."
            found.add(_wrong(address, f"{option}: there is no such document", remedy))
        elif address in session.state.bindings:
            bound = session.state.bindings[address].id
            remedy = f"`dbc-iac state rm {address}` forgets that, without touching it."
            found.add(_wrong(address, f"{option}: it is bound to {bound} already", remedy))
    found.raise_errors()


def _wrong(address: str, summary: str, remedy: str) -> Diagnostic:
    return Diagnostic("cannot-map", Severity.ERROR, summary, remedy=remedy, address=address, exit_code=ExitCode.REFUSED)


def _bindable(resource: Resource[Spec]) -> bool:
    return not kind_of(resource.kind).looked_at and not getattr(resource.spec, "external", False)
