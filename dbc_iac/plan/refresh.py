"""Refresh: everything that a plan is decided from, read once. What cannot be read is unknown, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.kinds import Inventory, Observation, Resource, kind_of
from dbc_iac.kinds.kind import Sought
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader
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


@dataclass(frozen=True, slots=True)
class World:
    """What was seen: observations by address, and whether a way's rent order covers the whole machine."""

    candidates: Mapping[str, Candidate]
    observations: Mapping[str, Observation]
    reader: Reader
    whole: Mapping[Reach, bool | None] = field(default_factory=dict)


async def refresh(session: Session, reader: Reader) -> World:
    """Look at every candidate, and at the orders of every node that holds VMs."""
    candidates = find_candidates(session)
    found = await asyncio.gather(*(_observe(c, session, reader) for c in candidates.values()))
    observations = dict(zip(candidates, found, strict=True))
    ways = {c.reach for c in candidates.values() if c.resource is not None and kind_of(c.kind).host}
    covered = await asyncio.gather(*(whole_machine(reader, way) for way in ways))
    return World(candidates, observations, reader, dict(zip(ways, covered, strict=True)))


def remembered(session: Session, reader: Reader) -> World:
    """What state keeps of every candidate, as if it was seen just now. Nothing is asked."""
    candidates = find_candidates(session)
    observations = {a: _as_applied(c) for a, c in candidates.items()}
    return World(candidates, observations, reader)


def _as_applied(candidate: Candidate) -> Observation:
    binding = candidate.binding
    if binding is None:
        return Observation(False, id=candidate.id)
    secrets = frozenset(f.path for f in kind_of(candidate.kind).secret_fields)
    values = {p: v for p, v in binding.applied.items() if p not in binding.uncertain}
    return Observation(True, id=binding.id, values=values, hidden=secrets)


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
    return {a: _with_holder(c, session, found) for a, c in found.items()}


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


def _with_holder(candidate: Candidate, session: Session, found: Mapping[str, Candidate]) -> Candidate:
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


async def _observe(candidate: Candidate, session: Session, reader: Reader) -> Observation:
    kind = kind_of(candidate.kind)
    key = "" if candidate.resource is None else kind.natural_key(candidate.resource, session.inventory)
    sought = Sought(
        candidate.address, candidate.place, candidate.id, candidate.generation, candidate.binding, key,
        candidate.holder_id,
    )  # fmt: skip
    return await kind.observe(sought, reader)


async def whole_machine(reader: Reader, reach: Reach) -> bool | None:
    """Whether the rent order covers every GPU of the machine; None where that cannot be read."""
    hardware = await reader.hardware(reach)
    if not reach.rent_order:
        return True  # a machine-level order covers all
    orders = await reader.orders(reach)
    if not isinstance(hardware, Known) or not isinstance(orders, Known):
        return None
    own = next((o for o in orders.value if o.id == reach.rent_order), None)
    if own is None:
        return None
    return max(len(own.gpu_index), own.gpu_count) >= hardware.value.gpu_count


def looked_at(inventory: Inventory) -> list[Resource[Spec]]:
    """The resources that are only looked at: by kind, or because they are external."""
    return [r for r in inventory.resources.values() if kind_of(r.kind).looked_at or external(r)]


def external(resource: Resource[Spec]) -> bool:
    return bool(getattr(resource.spec, "external", False))
