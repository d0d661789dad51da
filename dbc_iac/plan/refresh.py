"""Refresh: everything that a plan is decided from, read once. What cannot be read is unknown, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.diagnostics import Diagnostic
from dbc_iac.kinds import Inventory, Observation, Resource, kind_of
from dbc_iac.kinds.kind import Holding, Sought
from dbc_iac.kinds.node import auto_ports
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Known, Reader
from dbc_iac.kinds.spec import Spec
from dbc_iac.plan.auto import AUTO, kept
from dbc_iac.plan.candidates import Candidate, candidate_of, find_candidates
from dbc_iac.plan.graph import dependencies
from dbc_iac.plan.rediscovery import is_unbound, rediscover
from dbc_iac.plan.session import Session
from dbc_iac.values import Json

_NOBODY_RENTS = ("machine is not be rented", "machine has already expired")


@dataclass(frozen=True, slots=True)
class World:
    """What was seen: observations by address, and whether a way's rent order covers the whole machine.

    `found` is what was recovered of addresses that the state does not know: `id`, and what was resolved.
    `strangers` are what others of the same wallet take of a machine, by target and id: looked at only where something
    new may come; `problems` are what was noticed while looking.
    """

    candidates: Mapping[str, Candidate]
    observations: Mapping[str, Observation]
    reader: Reader
    whole: Mapping[Reach, bool | None] = field(default_factory=dict)
    strangers: Mapping[str, Mapping[str, Holding]] = field(default_factory=dict)
    problems: tuple[Diagnostic, ...] = ()
    found: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)


async def refresh(session: Session, reader: Reader) -> World:
    """Look at every candidate, and at the orders of every node that holds VMs."""
    rediscovered = await rediscover(session, reader, find_candidates(session))
    found, candidates = await _identified(rediscovered.candidates, session, reader)
    seen = await asyncio.gather(*(_seen(c, session, reader) for c in candidates.values()))
    observations = dict(zip(candidates, seen, strict=True))
    ways = {c.reach for c in candidates.values() if c.resource is not None and kind_of(c.kind).host}
    covered = await asyncio.gather(*(whole_machine(reader, way) for way in ways))
    whole = dict(zip(ways, covered, strict=True))
    strangers = await _strangers(session, reader, candidates, observations)
    return World(candidates, observations, reader, whole, strangers, tuple(rediscovered.problems), found)


async def _identified(
    candidates: dict[str, Candidate], session: Session, reader: Reader
) -> tuple[dict[str, dict[str, Json]], dict[str, Candidate]]:
    """Give an identity to what is named after objects that the state does not know: the Image of a Snapshot.

    Gives what was seen of those, too.
    """
    found: dict[str, dict[str, Json]] = {}
    while True:
        inventory = replace(session.inventory, known={**session.inventory.known, **found})
        session = replace(session, inventory=inventory)
        for address in [a for a, c in candidates.items() if found and _is_nameless(c)]:
            candidates[address] = candidate_of(inventory.resources[address], session)
        needed = (
            d for a, c in candidates.items() if _is_nameless(c) for d in dependencies(inventory.resources[a], inventory)
        )
        unknown = [d for d in dict.fromkeys(needed) if d in candidates and is_unbound(candidates[d]) and d not in found]
        seen = await asyncio.gather(*(observe(candidates[d], session, reader) for d in unknown))
        there = {d: {"id": o.id, **o.resolved} for d, o in zip(unknown, seen, strict=True) if o.present and o.id}
        if not there:
            return found, candidates
        found |= there


def _is_nameless(candidate: Candidate) -> bool:
    """Whether its identity, which the state does not know, may follow from that of others."""
    lives_on_a_vm = bool(kind_of(candidate.kind).holder)
    return is_unbound(candidate) and candidate.resource is not None and not candidate.id and not lives_on_a_vm


async def _strangers(
    session: Session,
    reader: Reader,
    candidates: Mapping[str, Candidate],
    observations: Mapping[str, Observation],
) -> dict[str, dict[str, Holding]]:
    """What others take of the machines on which something of ours is to be new, does not run, or takes a port that it
    had not."""
    ours = managed(candidates)
    found: dict[str, dict[str, Holding]] = {}
    for candidate in candidates.values():
        kind, target = kind_of(candidate.kind), candidate.reach.target
        if candidate.resource is None or not kind.host or external(candidate.resource):
            continue
        desired = kind.desired(candidate.resource, session.inventory)
        applied = candidate.binding.applied if candidate.binding is not None else {}
        ports = {p: v for p, v in desired.items() if p.startswith("ports.")}
        ranges = {p: auto_ports(candidate.reach.name, session.inventory, p) for p in ports}
        had = {p: kept(kind, applied, p, ranges[p]) if v == AUTO else applied.get(p) for p, v in ports.items()}
        power = observations[candidate.address].values.get("power")
        started = power == "off" and desired.get("power") != "off"
        if started or any(had[p] is None or v not in (AUTO, had[p]) for p, v in ports.items()):
            found.setdefault(target, {}).update(await kind.others(candidate.reach, ours, reader))
    return found


def managed(candidates: Mapping[str, Candidate]) -> frozenset[str]:
    """The ids of what is ours. What is only looked at takes of its machine what strangers do."""
    return frozenset(c.id for c in candidates.values() if c.resource is None or not external(c.resource))


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


async def observe(candidate: Candidate, session: Session, reader: Reader) -> Observation:
    """What the API shows of a candidate now."""
    kind, intent = kind_of(candidate.kind), candidate.intent
    key = "" if candidate.resource is None else kind.natural_key(candidate.resource, session.inventory)
    binding = candidate.binding if candidate.resource is not None else candidate.binding or candidate.begun
    sought = Sought(
        candidate.address, candidate.place, candidate.id, candidate.generation, binding, key, candidate.holder_id
    )
    if candidate.begun is not None and intent is not None and not candidate.id:
        taken = frozenset(b.id for b in session.state.bindings.values())
        return await kind.trace(sought, candidate.begun, intent.detail, taken, reader)
    return await kind.observe(sought, reader)


async def _seen(candidate: Candidate, session: Session, reader: Reader) -> Observation:
    """What is seen of it. That this wallet does not rent the machine is no proof that its rental ended, for it may be
    the wrong wallet: only the order itself tells, or that nobody rents the machine."""
    seen = await observe(candidate, session, reader)
    if not seen.not_rented or seen.reason.endswith(_NOBODY_RENTS):
        return seen
    reach, orders = candidate.place, await reader.orders(candidate.place)
    wallets = session.wallets(reach.identity)
    ended = isinstance(orders, Known) and any(
        o.id == reach.rent_order and not o.renting and (not wallets or o.renter in wallets) for o in orders.value
    )
    return replace(seen, not_rented=ended)


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
