"""The objects that a plan looks at: every resource of the manifests, and what is bound or begun without one. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.begun import begun_by, left_address, same_wish, unsure
from dbc_iac.plan.session import Session
from dbc_iac.state.document import Binding, Intent, State


@dataclass(frozen=True, slots=True)
class Candidate:
    """One object that is looked at: a resource with or without a binding, or a binding without a resource.

    `reach` leads to the machine that its document names, `place` to the one on which it is now.
    """

    address: str
    kind: str
    resource: Resource[Spec] | None
    binding: Binding | None
    intent: Intent | None
    reach: Reach
    id: str
    generation: int
    place: Reach
    holder_id: str = ""
    begun: Binding | None = None
    """What a creation without a certain answer may have made, where there is no binding."""


def find_candidates(session: Session) -> dict[str, Candidate]:
    """The objects to look at, by address: those of the manifests first."""
    state, found = session.state, dict[str, Candidate]()
    intents = {i.address: i for i in state.open if i.id or i.detail}
    for address, resource in session.inventory.resources.items():
        if not kind_of(resource.kind).looked_at:
            found[address] = candidate_of(resource, session, intents.get(address))
    for address, binding in state.bindings.items():
        if address not in found:
            reach = Reach.from_json(binding.where)
            found[address] = Candidate(
                address, binding.kind, None, binding, intents.get(address), reach, binding.id, binding.generation, reach
            )
    made = {a: with_holder(c, session, found) for a, c in found.items()}
    for candidate in _left(state, made):
        made.setdefault(candidate.address, candidate)
    return made


def candidate_of(resource: Resource[Spec], session: Session, intent: Intent | None = None) -> Candidate:
    """The object of a document, as far as documents and state tell. `intent`: what is pending at its address."""
    inventory, state, kind = session.inventory, session.state, kind_of(resource.kind)
    address, reach = resource.address, kind.reach(resource, inventory)
    binding = state.bindings.get(address)
    if binding is not None:
        binding = unsure(binding, state.open)
    holder = state.bindings.get(holder_address(resource))
    if intent is not None and not same_wish(intent, resource, inventory, reach, holder.id if holder else ""):
        intent = None
    generation = binding.generation if binding else state.generations.get(address, 0) + 1
    bound = binding is not None and not getattr(resource.spec, "external", False)  # that names what it looks at
    identity = binding.id if binding and bound else kind.identity(resource, inventory, generation)
    if binding is None and intent is not None:
        generation, identity = intent.generation, intent.id
    begun = begun_by(intent, state) if intent is not None and binding is None else None
    place = _place(resource, reach, binding)
    return Candidate(address, resource.kind, resource, binding, intent, reach, identity, generation, place, begun=begun)


def _left(state: State, found: Mapping[str, Candidate]) -> Iterator[Candidate]:
    """What was begun, and nothing asks for any more."""
    known = {(c.kind, c.id, c.holder_id or c.place.target) for c in found.values() if c.id}
    taken_up = {c.intent.number for c in found.values() if c.begun is not None and c.intent is not None}
    for intent in state.pending:
        begun = begun_by(intent, state)
        if begun is None or intent.number in taken_up or (intent.late and not kind_of(begun.kind).host):
            continue  # only the id of a host is never used again: another may have made what has this name by now
        reach = Reach.from_json(begun.where)
        vm = str(intent.detail.get("vm") or "") if kind_of(begun.kind).holder else ""
        if (begun.kind, begun.id, vm or reach.target) not in known:
            yield Candidate(
                left_address(intent),
                begun.kind,
                None,
                None,
                intent,
                reach,
                begun.id,
                begun.generation,
                reach,
                vm,
                begun,
            )


def _place(resource: Resource[Spec], reach: Reach, binding: Binding | None) -> Reach:
    """Where an object is: on the machine on which it was made, whatever its document says by now."""
    if binding is None or not binding.where or kind_of(resource.kind).roams:
        return reach
    return reach if binding.where.get("target") == reach.target else Reach.from_json(binding.where)


def with_holder(candidate: Candidate, session: Session, found: Mapping[str, Candidate]) -> Candidate:
    """The id of the VM that an object lives on now: that of its binding's holder, else of its document's."""
    address = candidate.binding.holder if candidate.binding else ""
    if not address and candidate.resource is not None:
        address = holder_address(candidate.resource)
    holder = found.get(address)
    if holder is None:
        return candidate
    if candidate.binding is None:
        return replace(candidate, holder_id=holder.id)
    reach = holder.reach if candidate.resource is None else candidate.reach
    return replace(candidate, reach=reach, place=holder.place, holder_id=holder.id)


def holder_address(resource: Resource[Spec]) -> str:
    """The address of the VM that a resource lives and dies with, empty where there is none."""
    kind = kind_of(resource.kind)
    field_ = next((f for f in kind.fields if f.path == kind.holder and f.reference), None)
    if field_ is None or field_.reference is None:
        return ""
    return f"{field_.reference.kind}/{field_.read(resource.spec)}"
