"""The objects that a plan looks at: every resource of the manifests, and what is bound or begun without one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.session import Session
from dbc_iac.state.document import LEFT, Binding, Intent


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


def find_candidates(session: Session) -> dict[str, Candidate]:
    """The objects to look at, by address: those of the manifests first."""
    inventory, state = session.inventory, session.state
    intents = {i.address: i for i in state.pending if i.id or i.detail}
    found: dict[str, Candidate] = {}
    for address, resource in inventory.resources.items():
        kind = kind_of(resource.kind)
        if kind.looked_at:
            continue
        reach = kind.reach(resource, inventory)
        binding, intent = state.bindings.get(address), intents.get(address)
        if intent is not None and not _same_wish(intent, resource, inventory, reach):
            intent = None
        generation = binding.generation if binding else state.generations.get(address, 0) + 1
        identity = binding.id if binding else kind.identity(resource, inventory, generation)
        if binding is None and intent is not None:
            generation, identity = intent.generation, intent.id
        found[address] = Candidate(
            address,
            resource.kind,
            resource,
            binding,
            intent,
            reach,
            identity,
            generation,
            _place(resource, reach, binding),
        )
    for address, binding in state.bindings.items():
        if address not in found:
            reach = Reach.from_json(binding.where)
            found[address] = Candidate(
                address, binding.kind, None, binding, intents.get(address), reach, binding.id, binding.generation, reach
            )
    known = {c.id for c in found.values()}
    for intent in state.pending:
        begun = tentative(intent)
        if begun is not None and begun.id not in known:
            address = f"{intent.address}{LEFT}{begun.generation}"
            reach = Reach.from_json(begun.where)
            found[address] = Candidate(
                address, begun.kind, None, None, intent, reach, begun.id, begun.generation, reach
            )
    return {a: with_holder(c, session, found) for a, c in found.items()}


def _place(resource: Resource[Spec], reach: Reach, binding: Binding | None) -> Reach:
    """Where an object is: on the machine on which it was made, whatever its document says by now."""
    if binding is None or not binding.where or kind_of(resource.kind).roams:
        return reach
    return reach if binding.where.get("target") == reach.target else Reach.from_json(binding.where)


def _same_wish(intent: Intent, resource: Resource[Spec], inventory: Inventory, reach: Reach) -> bool:
    """Whether a call that is pending was made for what the document says now: only then may it be repeated.

    A creation for another machine, or with other hidden fields, makes something that this document does not want.
    """
    where = intent.detail.get("where")
    if not intent.creates or not isinstance(where, dict):
        return True
    marker = kind_of(resource.kind).marker(resource, inventory, intent.generation)
    return where.get("target") == reach.target and intent.detail.get("marker", marker) == marker


def tentative(intent: Intent) -> Binding | None:
    """What a creation of unknown outcome may have made, where its id was chosen by us; else None."""
    where = intent.detail.get("where")
    if not intent.creates or not intent.id or not isinstance(where, dict) or not where:
        return None
    kind = str(intent.detail.get("kind") or intent.address.partition("/")[0])
    fields = intent.detail.get("fields")
    return Binding(
        address=intent.address, kind=kind, id=intent.id, generation=intent.generation, where=where,
        applied=fields if isinstance(fields, dict) else {},
    )  # fmt: skip


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
