"""A lost state, built anew from what can be proved: markers, derived ids, names, sizes and files.

What cannot be proved is asked for: an object is bound to a document without proof only by `--map ADDRESS=ID`. Of a
document for which there is nothing yet that can be said too: then a plan makes it, whatever else is there.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.adoption.binding import Others, adopt
from dbc_iac.adoption.finding import Found, find_unbound
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.marker import parse_marker
from dbc_iac.kinds.reader import Reader
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.candidates import holder_address
from dbc_iac.plan.ownership import Object
from dbc_iac.plan.session import Session
from dbc_iac.state.document import State

GENERATIONS = 200
"""How far derived ids of a VM are looked for."""


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
    """Bind what is not bound. VMs come first, for disks and snapshots live on them, and then what was said.

    Raises DiagnosticError where what was said cannot be: an answer that is not taken is not passed over.
    """
    _check(mapped, new, session)
    reader = Reader(session.connect)
    made = Rebuilt(_with_new(session.state, new), new=tuple(sorted(new)))
    resources = [r for r in session.inventory.resources.values() if _bindable(r)]
    for resource in sorted(resources, key=lambda r: (bool(kind_of(r.kind).holder), r.address not in mapped)):
        if resource.address in made.state.bindings or resource.address in new:
            continue
        now = replace(session, state=made.state)
        found = [f for f in (await find_unbound(now, reader, held)).found if f.whose != "another stack's"]
        identity, proof = _match(resource, now, found, mapped)
        if not identity:
            made.open_questions[resource.address] = proof
            continue
        try:
            binding = await adopt(now, resource.address, identity, reader, Others(held))
        except DiagnosticError as error:
            if resource.address in mapped:
                raise
            made.open_questions[resource.address] = error.diagnostics[0].summary
            continue
        made.state = made.state.with_binding(binding)
        made.proofs[resource.address] = f"{identity}: {proof}"
    return made


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


def _match(
    resource: Resource[Spec], session: Session, found: list[Found], mapped: Mapping[str, str]
) -> tuple[str, str]:
    """The id and what proves it; without an id why there is none."""
    if resource.address in mapped:
        return mapped[resource.address], "you said so"
    kind = kind_of(resource.kind)
    mine = [f for f in found if f.kind == resource.kind]
    if kind.host:
        return _vm(resource, session, mine)
    if kind.holder and resource.kind == "Disk":
        return _disk(resource, session, mine)
    if identity := kind.identity(resource, session.inventory, 1):
        return identity, "its name is its identity"
    key = kind.natural_key(resource, session.inventory)
    named = [f for f in mine if key and key in {f.id, f.fields.get("uuid")}]
    return (named[0].id, f"its uuid is {key}") if len(named) == 1 else ("", "it is not there")


def _vm(resource: Resource[Spec], session: Session, found: list[Found]) -> tuple[str, str]:
    """By its derived id, and its marker."""
    kind, ids = kind_of(resource.kind), {f.id: f for f in found}
    for generation in range(GENERATIONS, 0, -1):
        identity = kind.identity(resource, session.inventory, generation)
        if identity not in ids:
            continue
        marker = parse_marker(ids[identity].marker)
        expected = kind.marker(resource, session.inventory, generation)
        if marker is not None and str(marker) == expected:
            return identity, f"its id and its marker are of generation {generation}, and its hidden fields as written"
        return identity, f"its id is of generation {generation}; what the API never shows may differ from the document"
    return "", "no VM has one of its ids: it is not there, or was imported"


def _disk(resource: Resource[Spec], session: Session, found: list[Found]) -> tuple[str, str]:
    """The only file of that size and folder on its VM, where it is the only Disk like that."""
    holder = session.state.bindings.get(holder_address(resource))
    if holder is None:
        return "", "its VM is not bound"
    wanted = kind_of("Disk").desired(resource, session.inventory)
    there = [f for f in found if f.holder_id == holder.id]
    fits = [f for f in there if (f.fields["size"], f.fields["hostDir"]) == (wanted["size"], wanted["hostDir"])]
    alike = [
        r
        for r in session.inventory.of("Disk")
        if holder_address(r) == holder.address
        and r.address not in session.state.bindings
        and all(kind_of("Disk").desired(r, session.inventory)[k] == wanted[k] for k in ("size", "hostDir"))
    ]
    if len(fits) == 1 and len(alike) == 1:
        return fits[0].id, "it is the only disk of that size and folder"
    if not there:
        return "", "it is not there"
    names = ", ".join(f.id for f in fits or there)
    question = f"one of {names}: say which with --map {resource.address}=FILE, or --new {resource.address}"
    return "", question if fits else f"none has its size and folder; it may be {question}"
