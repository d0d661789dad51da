"""State recovery: VMs of this project and stack that the state does not know, and their children.

The marker of a VM has its address and generation, and its id proves both. A rename does not change the marker: a VM is
looked up under all names in `moved`, and so is an object that is called as its manifest was. A disk has no marker; size
and folder identify it if they fit one resource.
Ambiguous objects are refused, and nothing is created.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Child, Host, Recoverable
from dbc_iac.kinds.framework.ownership_marker import Marker
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import Lookup, Unmanaged
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.observe.tracked_objects import TrackedObject, parent_address, with_parent


class RecoveredState(Struct):
    """Tracked objects with recovered ids, and problems."""

    tracked_objects: dict[str, TrackedObject]
    problems: Diagnostics = field(default_factory=Diagnostics)


class _Host(Struct, frozen=True):
    """A VM with a marker of this project and stack that is bound to no address."""

    id: str
    route: Route
    address: str
    """Address in its marker."""
    marker: Marker
    derived: bool


async def recover_state(
    context: PlanContext,
    reader: CachedReader,
    tracked_objects: Mapping[str, TrackedObject],
    *,
    on_known_hosts: bool = False,
) -> RecoveredState:
    """Give tracked objects without a binding the ids of their objects.

    `on_known_hosts`: identify disks by size and folder also on VMs that the state knows, for a rebuild.
    """
    made = RecoveredState(dict(tracked_objects))
    hosts = await _recover_hosts(context, reader, made)
    if hosts:
        made.tracked_objects = {
            a: with_parent(c, context, made.tracked_objects) for a, c in made.tracked_objects.items()
        }
    waiting: dict[str, dict[str, TrackedObject]] = {}
    bound = frozenset(b.id for b in context.state.bindings.values())
    for address, tracked in made.tracked_objects.items():
        if tracked.unbound and tracked.resource is not None and (parent := parent_address(tracked.resource)):
            waiting.setdefault(parent, {})[address] = tracked
    for host in sorted(waiting.keys() & made.tracked_objects.keys()):
        if host in hosts or made.tracked_objects[host].binding is not None:
            known = host not in hosts and not on_known_hosts
            await _recover_children(waiting[host], bound, context, reader, made, known=known)
    await _recover_renamed(context, reader, made)
    if hosts and not context.state.generations and not made.problems.error_count:
        made.problems.add(_state_empty(sorted(hosts)))
    return made


async def _recover_hosts(context: PlanContext, reader: CachedReader, made: RecoveredState) -> set[str]:
    """Addresses of recovered hosts. Ambiguous ones are refused."""
    external = {a for a, r in context.inventory.resources.items() if r.external}
    new = {
        a: c
        for a, c in made.tracked_objects.items()
        if c.unbound and isinstance(kind_of(c.kind), Host) and a not in external
    }
    known = {c.id for c in made.tracked_objects.values() if c.pending is not None or c.binding is not None}
    hosts = [h for h in await _unmanaged_hosts(context, reader, new.values()) if h.id not in known]
    named: defaultdict[str, list[_Host]] = defaultdict(list)
    for host in hosts:
        named[host.address].append(host)
    claims = {a: _claims(a, named, context) for a in new}
    claimants = Counter(host for claimed in claims.values() for host in claimed)
    found, asked = set[str](), set[str]()
    for address, claimed in claims.items():
        if not claimed:
            continue
        newest = max(claimed, key=lambda h: h.marker.generation)
        alike = [h for h in claimed if h.marker.generation == newest.marker.generation]
        if len(alike) > 1 or claimants[newest] > 1 or newest.route.target != new[address].route.target:
            asked.add(address)
            _ask_hosts(new[address], claimed, context, made)
            continue
        found.add(address)
        made.tracked_objects[address] = replace(new[address], id=newest.id, generation=newest.marker.generation)
        made.problems.extend(_older(new[address], (h for h in claimed if h is not newest)))
    left: defaultdict[str, list[_Host]] = defaultdict(list)
    for host in hosts:
        if host not in claimants and not _is_handled(host.address, host.marker, context):
            left[host.route.target].append(host)
    for address, tracked in new.items():
        if address not in found and address not in asked:
            _ask_hosts(tracked, left.get(tracked.route.target, []), context, made)
    return found


async def outdated_bindings(
    context: PlanContext, reader: CachedReader, tracked_objects: Iterable[TrackedObject]
) -> frozenset[str]:
    """Addresses whose bindings are of an older state, with those of their children.

    The object of such a binding was replaced later, as the id and the marker of the new one prove. `tracked_objects`:
    those that do not exist.
    """
    wanted = (c for c in tracked_objects if c.resource is not None and c.operation is None)
    hosts = {
        c.address: (c, c.binding.generation)
        for c in wanted
        if c.binding is not None and isinstance(kind_of(c.kind), Host)
    }
    if not hosts:
        return frozenset()
    bindings = context.state.bindings
    bound = {b.id for b in bindings.values()}
    named: defaultdict[str, list[_Host]] = defaultdict(list)
    for host in await _unmanaged_hosts(context, reader, (c for c, _ in hosts.values())):
        if host.derived and host.id not in bound:
            named[host.address].append(host)
    newer = {
        address
        for address, (tracked, generation) in hosts.items()
        for name in context.inventory.names(address)
        for host in named.get(name, ())
        if host.marker.generation > generation and host.route.target == tracked.route.target
    }
    children = {a for a, b in bindings.items() if b.parent in newer and not kind_of(b.kind).survives_parent}
    return frozenset(newer | children)


async def _recover_renamed(context: PlanContext, reader: CachedReader, made: RecoveredState) -> None:
    """Find objects that have the name of their manifest before a rename: LANs without `name`."""
    for address, tracked in list(made.tracked_objects.items()):
        kind = kind_of(tracked.kind)
        if not tracked.unbound or isinstance(kind, Host | Child):
            continue
        former = _former_names(tracked, context, made)
        seen = {
            i: await kind.observe(Lookup(address, tracked.place, i, 1), reader) for i in (tracked.id, *former) if former
        }
        if not former or seen[tracked.id].present is not False:
            continue
        wallets = context.wallets(tracked.route.identity)
        there = [i for i in former if seen[i].present and (not wallets or seen[i].owner in wallets)]
        if len(there) == 1:
            made.tracked_objects[address] = replace(tracked, id=there[0])
        elif there:
            _ask({address: tracked}, dict.fromkeys(there, Unmanaged({})), made)


def _former_names(tracked: TrackedObject, context: PlanContext, made: RecoveredState) -> list[str]:
    """Ids that the object has if it is called as its manifest was, and that no other resource claims."""
    names = context.inventory.names(tracked.address)[1:]
    if tracked.resource is None or not names:
        return []
    renamed = [replace(tracked.resource, address=n, name=Address(n).label) for n in names]
    ids = (kind_of(tracked.kind).identity(resource, context.inventory, tracked.generation) for resource in renamed)
    taken = {c.id for c in made.tracked_objects.values() if c.kind == tracked.kind}
    return [i for i in dict.fromkeys(ids) if i and i not in taken]


async def _unmanaged_hosts(context: PlanContext, reader: CachedReader, new: Iterable[TrackedObject]) -> Iterable[_Host]:
    """Hosts of this project and stack, each once, on the machines of all manifests, not only those of `new`."""
    kinds = {name: kind for c in new if isinstance(kind := kind_of(name := c.kind), Recoverable)}
    ways = dict.fromkeys((c.kind, c.route) for c in new if c.kind in kinds)
    ways |= dict.fromkeys((name, route) for name, kind in kinds.items() for route in kind.places(context.inventory))
    seen = await asyncio.gather(
        *(kinds[name].unmanaged(Lookup("", route, "", 1), context.inventory, reader) for name, route in ways)
    )
    found: dict[tuple[str, str], _Host] = {}
    for (name, route), listed in zip(ways, seen, strict=True):
        for identity, one in listed.items():
            if one.marker is not None:
                host = _Host(identity, route, Address.of(name, one.marker.name), one.marker, one.derived)
                found.setdefault((route.target, identity), host)
    return found.values()


def _claims(address: str, named: Mapping[str, list[_Host]], context: PlanContext) -> list[_Host]:
    """Hosts that may be the object of an address: those of its name, and those of its names in `moved`.

    A host of another name belongs to the resource of that name, if there is one; but where no host has the name of the
    address, it may be the renamed one. An address with an earlier generation claims only hosts that the state knew.
    """
    own = [h for h in named.get(address, ()) if h.derived]
    others = [h for name in context.inventory.names(address)[1:] for h in named.get(name, ()) if h.derived]
    if own:
        others = [h for h in others if h.address not in context.inventory.resources]
    if address in context.state.generations:
        others = [h for h in others if _is_handled(h.address, h.marker, context)]
    return own + others


def _is_handled(address: str, marker: Marker, context: PlanContext) -> bool:
    """Whether an object is unmanaged on purpose: the state knew it once, or `removed` names it."""
    return context.state.generations.get(address, 0) >= marker.generation or context.forgets(address)


def state_outdated(found: list[str], *, destroy: bool) -> Diagnostic:
    """Warning of bindings of an older state. A destroy leaves the new objects."""
    who = f"{found[0]} is" if len(found) == 1 else f"{found[0]} and {len(found) - 1} more are"
    adopt = "Run `dbc-iac apply`, or `dbc-iac state rebuild`, to adopt the new objects."
    return Diagnostic(
        "state-outdated",
        Severity.WARNING,
        f"{who} newer than the state",
        "Replaced by an apply after this state was written: the state was restored from an older version.",
        "Run `dbc-iac state rebuild` first: this destroy leaves the new objects." if destroy else adopt,
    )


def _state_empty(found: list[str]) -> Diagnostic:
    who = f"{found[0]} exists" if len(found) == 1 else f"{found[0]} and {len(found) - 1} more exist"
    return Diagnostic(
        "state-empty",
        Severity.WARNING,
        f"{who}, but the state is empty",
        "The state was lost, or this is another backend or stack.",
        "Check `state` of the project file and --stack. If it was lost, run `dbc-iac state rebuild`.",
    )


def _older(tracked: TrackedObject, older: Iterable[_Host]) -> Iterator[Diagnostic]:
    assert tracked.resource is not None  # noqa: S101 - only documents are recovered
    for host in older:
        yield tracked.resource.problem(
            "older-generation",
            "",
            f"{host.id} is an earlier VM of {tracked.address}",
            detail="It is not in the state, which was lost during a replacement.",
            remedy="Run `dbc-iac orphans`.",
            severity=Severity.WARNING,
        )


def _ask_hosts(tracked: TrackedObject, hosts: list[_Host], context: PlanContext, made: RecoveredState) -> None:
    """Refuse to create a host that may be one of these, unless the state knows an earlier generation."""
    assert tracked.resource is not None  # noqa: S101 - only documents are recovered
    if not hosts or tracked.address in context.state.generations:
        return
    candidates = [
        f"{h.route.name} has {h.id}, created as {h.address} (generation {h.marker.generation})" for h in hosts
    ]
    here = [h for h in hosts if h.route.target == tracked.route.target]
    if any(
        before == tracked.address for before, _ in context.inventory.moves
    ):  # a VM of that name belongs to its target
        here.sort(key=lambda h: h.address == tracked.address)
    answer = f"dbc-iac state rebuild --map {tracked.address}={here[0].id}" if here else ""
    node = Address(hosts[0].route.name).name
    made.problems.add(
        tracked.resource.problem(
            "may-exist",
            "",
            f"{tracked.address} may exist already",
            detail=f"{'; '.join(candidates)}. The state does not know {'it' if len(hosts) == 1 else 'them'}.",
            remedy=(f"Bind it with `{answer}`" if answer else f"Set `node: {node}`")
            + f", or create a new one after `dbc-iac state rebuild --new {tracked.address}`.",
            exit_code=ExitCode.REFUSED,
        )
    )


async def _recover_children(
    waiting: Mapping[str, TrackedObject],
    bound: frozenset[str],
    context: PlanContext,
    reader: CachedReader,
    made: RecoveredState,
    *,
    known: bool,
) -> None:
    """Pair the children of VMs with unmanaged objects by their fields. `bound`: ids of the bindings.

    On a VM that the state knows (`known`) nothing is paired by fields. An address with an earlier generation is created
    again, with a warning if an object fits it; any other may exist already and is refused.
    """
    for name in sorted({c.kind for c in waiting.values()}):
        alike = {a: c for a, c in waiting.items() if c.kind == name}
        first = next(iter(alike.values()))
        lookup = Lookup(first.address, first.place, "", 1, None, "", first.parent_id)
        kind = kind_of(name)
        there = await kind.unmanaged(lookup, context.inventory, reader) if isinstance(kind, Recoverable) else {}
        for address, tracked in alike.items():
            former = there.keys() & _former_names(tracked, context, made)
            if tracked.id not in there and len(former) == 1:
                alike[address] = made.tracked_objects[address] = replace(tracked, id=min(former))
        named = {c.id for c in alike.values()} & there.keys()  # its name is its identity: it will be seen
        left = {
            i: u for i, u in there.items()
            if not (i in named or i in bound or _is_explained(name, i, u, first, context))
        }  # fmt: skip
        alike = {a: c for a, c in alike.items() if c.id not in named}
        if known:
            handled = {a: c for a, c in alike.items() if a in context.state.generations}
            _warn_fitting(handled, left, context, made)
            _ask({a: c for a, c in alike.items() if a not in handled}, left, made)
        else:
            _match(alike, left, context, made)


def _is_explained(kind: str, identity: str, one: Unmanaged, tracked: TrackedObject, context: PlanContext) -> bool:
    """Whether the state knows it: it was removed, or a pending creation on its VM may have made it."""
    if one.marker is not None and _is_handled(Address.of(kind, one.marker.name), one.marker, context):
        return True
    pending = (i.detail for i in context.state.pending if i.creates and i.vm == tracked.parent_id)
    before = [known for detail in pending if isinstance(known := detail.get("known"), list)]
    return any(identity not in b for b in before)


def _warn_fitting(
    waiting: Mapping[str, TrackedObject], there: Mapping[str, Unmanaged], context: PlanContext, made: RecoveredState
) -> None:
    for address, tracked in waiting.items():
        fitting = sorted(i for i, one in there.items() if _fits(tracked, one, context))
        if fitting and tracked.resource is not None:
            made.problems.add(
                tracked.resource.problem(
                    "unmanaged-match",
                    "",
                    f"an unmanaged object matches {address}",
                    detail=f"{fitting[0]} of {parent_address(tracked.resource)} is not in the state. "
                    "The plan creates a new object next to it.",
                    remedy=f"Use `dbc-iac import {address} {fitting[0]}` to import it instead.",
                    severity=Severity.WARNING,
                )
            )


def _match(
    waiting: Mapping[str, TrackedObject], there: Mapping[str, Unmanaged], context: PlanContext, made: RecoveredState
) -> None:
    """Pair a resource and an object that fit each other and no other."""
    fits = {a: {i for i, one in there.items() if _fits(c, one, context)} for a, c in waiting.items()}
    sure = {a: min(i) for a, i in fits.items() if len(i) == 1 and sum(i == other for other in fits.values()) == 1}
    for address, identity in sure.items():
        made.tracked_objects[address] = replace(waiting[address], id=identity)
    left = {i: one for i, one in there.items() if i not in sure.values()}
    _ask({a: c for a, c in waiting.items() if a not in sure}, left, made)


def _ask(waiting: Mapping[str, TrackedObject], left: Mapping[str, Unmanaged], made: RecoveredState) -> None:
    """Refuse to create a child that may be one of these. Its size proves nothing: the manifest may have changed."""
    candidates = [f"{i} (created as {one.marker.name})" if one.marker else i for i, one in sorted(left.items())]
    for address in sorted(waiting) if left else ():
        resource = waiting[address].resource
        assert resource is not None  # noqa: S101 - only documents wait
        made.problems.add(
            resource.problem(
                "may-exist",
                "",
                f"{address} may exist already",
                detail=f"{parent_address(resource)} has {', '.join(candidates)}, unknown to the state: the state was "
                "lost, or someone added it by hand.",
                remedy=f"Bind it with `dbc-iac state rebuild --map {address}={min(left)}`, or create a new one after "
                f"`dbc-iac state rebuild --new {address}`.",
                exit_code=ExitCode.REFUSED,
            )
        )


def _fits(tracked: TrackedObject, one: Unmanaged, context: PlanContext) -> bool:
    assert tracked.resource is not None  # noqa: S101 - only documents wait
    desired = kind_of(tracked.kind).desired(tracked.resource, context.inventory)
    return all(desired.get(path) == value for path, value in one.values.items())
