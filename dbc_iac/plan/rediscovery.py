"""Recovery of what the state does not know: VMs made by this project and stack, and what lives on them.

A VM's marker tells the address and generation that it was made under, and its id proves both. Documents are renamed,
markers are not: a VM is looked for under every name that `moved` gives its document. A disk carries no name; its size
and folder tell it where that leaves one answer. Where two answers are left nothing is created: the user is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.kind import Sought, Unmanaged
from dbc_iac.kinds.marker import Marker
from dbc_iac.kinds.reach import Reach
from dbc_iac.kinds.reader import Reader
from dbc_iac.plan.candidates import Candidate, holder_address, with_holder
from dbc_iac.plan.session import Session


@dataclass(slots=True)
class Rediscovered:
    """The candidates with the ids that were found, and the problems found on the way."""

    candidates: dict[str, Candidate]
    problems: Diagnostics = field(default_factory=Diagnostics)


@dataclass(frozen=True, slots=True)
class _Host:
    """A VM that carries a marker of this project and stack, and is bound to nothing."""

    id: str
    reach: Reach
    address: str
    """That it was made under."""
    marker: Marker
    derived: bool


async def rediscover(
    session: Session, reader: Reader, candidates: Mapping[str, Candidate], *, by_looks: bool = False
) -> Rediscovered:
    """Give the candidates without a binding the ids of the objects that are theirs.

    `by_looks`: disks are told by size and folder also on VMs that the state knows, since the user asked for a rebuild.
    """
    made = Rediscovered(dict(candidates))
    hosts = await _recover_hosts(session, reader, made)
    if hosts:
        made.candidates = {a: with_holder(c, session, made.candidates) for a, c in made.candidates.items()}
    waiting: dict[str, dict[str, Candidate]] = {}
    for address, candidate in made.candidates.items():
        if is_unbound(candidate) and candidate.resource is not None and (holder := holder_address(candidate.resource)):
            waiting.setdefault(holder, {})[address] = candidate
    for host in sorted(waiting.keys() & made.candidates.keys()):
        if host in hosts or made.candidates[host].binding is not None:
            known = host not in hosts and not by_looks
            await _recover_children(waiting[host], session, reader, made, known=known)
    if hosts and not session.state.bindings and not made.problems.errors:
        made.problems.add(_state_empty(sorted(hosts)))
    return made


def is_unbound(candidate: Candidate) -> bool:
    """Whether state has neither a binding nor a pending call: it is new, or state was lost."""
    return candidate.binding is None and candidate.intent is None


async def _recover_hosts(session: Session, reader: Reader, made: Rediscovered) -> set[str]:
    """The addresses of hosts that were found. Of what cannot be told apart the user is asked."""
    external = {a for a, r in session.inventory.resources.items() if getattr(r.spec, "external", False)}
    new = {a: c for a, c in made.candidates.items() if is_unbound(c) and kind_of(c.kind).host and a not in external}
    known = {c.id for c in made.candidates.values() if c.begun is not None or c.binding is not None}
    hosts = [h for h in await _unmanaged_hosts(session, reader, new.values()) if h.id not in known]
    claims = {a: _claims(a, hosts, session) for a in new}
    found, asked = set[str](), set[str]()
    for address, claimed in claims.items():
        if not claimed:
            continue
        newest = max(claimed, key=lambda h: h.marker.generation)
        alike = [h for h in claimed if h.marker.generation == newest.marker.generation]
        contested = any(newest in other for a, other in claims.items() if a != address)
        if len(alike) > 1 or contested or newest.reach.target != new[address].reach.target:
            asked.add(address)
            _ask_hosts(new[address], claimed, session, made)
            continue
        found.add(address)
        made.candidates[address] = replace(new[address], id=newest.id, generation=newest.marker.generation)
        made.problems.extend(_older(new[address], (h for h in claimed if h is not newest)))
    claimed_by_any = [h for claimed in claims.values() for h in claimed]
    left = [h for h in hosts if h not in claimed_by_any and not _is_handled(h.address, h.marker, session)]
    for address in (a for a in new if a not in found | asked):
        _ask_hosts(new[address], [h for h in left if h.reach.target == new[address].reach.target], session, made)
    return found


async def _unmanaged_hosts(session: Session, reader: Reader, new: Iterable[Candidate]) -> Iterable[_Host]:
    """Every host of this project and stack, each once: on the machines of all documents, not only on those of `new`."""
    kinds = {c.kind for c in new}
    places = [(c.kind, c.reach) for c in new] + [(k, r) for k in kinds for r in kind_of(k).places(session.inventory)]
    ways = list(dict.fromkeys(places))
    seen = await asyncio.gather(
        *(kind_of(kind).unmanaged(Sought("", reach, "", 1), session.inventory, reader) for kind, reach in ways)
    )
    found: dict[tuple[str, str], _Host] = {}
    for (kind, reach), listed in zip(ways, seen, strict=True):
        for identity, one in listed.items():
            if one.marker is not None:
                host = _Host(identity, reach, f"{kind}/{one.marker.name}", one.marker, one.derived)
                found.setdefault((reach.target, identity), host)
    return found.values()


def _claims(address: str, hosts: list[_Host], session: Session) -> list[_Host]:
    """The hosts that may be the object of a document: those of its name, and those of names that `moved` gives it.

    One of another name is left to the document of that name, if it has one; but where nothing has the document's own
    name, it may be the one that was renamed. A document that this state has handled before claims only hosts that the
    state has handled, too: another is known not to be its.
    """
    derived = [h for h in hosts if h.derived]
    own = [h for h in derived if h.address == address]
    names = session.inventory.names(address)[1:]
    others = [h for h in derived if h.address in names]
    if own:
        others = [h for h in others if h.address not in session.inventory.resources]
    if address in session.state.generations:
        others = [h for h in others if _is_handled(h.address, h.marker, session)]
    return own + others


def _is_handled(address: str, marker: Marker, session: Session) -> bool:
    """Whether an object is unmanaged on purpose: this state knew it once, or `removed` names it."""
    return session.state.generations.get(address, 0) >= marker.generation or address in session.removed


def _state_empty(found: list[str]) -> Diagnostic:
    who = f"{found[0]} exists" if len(found) == 1 else f"{found[0]} and {len(found) - 1} more exist"
    return Diagnostic(
        "state-empty",
        Severity.WARNING,
        f"{who} already, and the state knows of nothing",
        "The state was lost, or this is not the one in which they are kept.",
        "Check `state` of the project file and --stack. Where it is lost, `dbc-iac state rebuild` binds what is proved "
        "to be ours, and does nothing else.",
    )


def _older(candidate: Candidate, older: Iterable[_Host]) -> Iterator[Diagnostic]:
    assert candidate.resource is not None  # noqa: S101 - only documents are recovered
    for host in older:
        yield candidate.resource.problem(
            "older-generation",
            "",
            f"{host.id} is an earlier VM of {candidate.address}, which no state knows",
            detail="State was lost while one took the place of the other.",
            remedy="See `dbc-iac orphans`.",
            severity=Severity.WARNING,
        )


def _ask_hosts(candidate: Candidate, hosts: list[_Host], session: Session, made: Rediscovered) -> None:
    """Refuse to create a host that may be one of these, unless this state has handled its document before."""
    assert candidate.resource is not None  # noqa: S101 - only documents are recovered
    if not hosts or candidate.address in session.state.generations:
        return
    told = [f"{h.reach.name} has {h.id}, made as {h.address} (generation {h.marker.generation})" for h in hosts]
    here = [h for h in hosts if h.reach.target == candidate.reach.target]
    answer = f"dbc-iac state rebuild --map {candidate.address}={here[0].id}" if here else ""
    node = hosts[0].reach.name.partition("/")[2]
    made.problems.add(
        candidate.resource.problem(
            "may-exist",
            "",
            f"{candidate.address} may exist already",
            detail=f"{'; '.join(told)}. No state knows {'it' if len(hosts) == 1 else 'them'}.",
            remedy=(f"Say which with `{answer}`" if answer else f"Set `node: {node}`")
            + f", or that it is none of them with `dbc-iac state rebuild --new {candidate.address}`.",
            exit_code=ExitCode.REFUSED,
        )
    )


async def _recover_children(
    waiting: Mapping[str, Candidate], session: Session, reader: Reader, made: Rediscovered, *, known: bool
) -> None:
    """Tell the documents of what lives on one VM from each other by what they ask for.

    On a VM that state knows (`known`) nothing is taken by its looks. A document that this state has handled before is
    made anew, and what fits it is told of; another one is new, or state was lost: only the user can tell.
    """
    for name in sorted({c.kind for c in waiting.values()}):
        alike = {a: c for a, c in waiting.items() if c.kind == name}
        first = next(iter(alike.values()))
        sought = Sought(first.address, first.place, "", 1, None, "", first.holder_id)
        there = await kind_of(name).unmanaged(sought, session.inventory, reader)
        named = {c.id for c in alike.values()} & there.keys()  # its name is its identity: it will be seen
        left = {i: u for i, u in there.items() if i not in named and not _is_explained(name, i, u, first, session)}
        alike = {a: c for a, c in alike.items() if c.id not in named}
        if known:
            handled = {a: c for a, c in alike.items() if a in session.state.generations}
            _tell_fitting(handled, left, session, made)
            _ask({a: c for a, c in alike.items() if a not in handled}, left, made)
        else:
            _match(alike, left, session, made)


def _is_explained(kind: str, identity: str, one: Unmanaged, candidate: Candidate, session: Session) -> bool:
    """Whether state knows it: it is bound, was let go, or a creation of unknown outcome on its VM may have made it."""
    if one.marker is not None and _is_handled(f"{kind}/{one.marker.name}", one.marker, session):
        return True
    begun = (i.detail for i in session.state.pending if i.creates and i.detail.get("vm") == candidate.holder_id)
    before = [known for detail in begun if isinstance(known := detail.get("known"), list)]
    return identity in {b.id for b in session.state.bindings.values()} or any(identity not in b for b in before)


def _tell_fitting(
    waiting: Mapping[str, Candidate], there: Mapping[str, Unmanaged], session: Session, made: Rediscovered
) -> None:
    for address, candidate in waiting.items():
        fitting = sorted(i for i, one in there.items() if _fits(candidate, one, session))
        if fitting and candidate.resource is not None:
            made.problems.add(
                candidate.resource.problem(
                    "fitting-stray",
                    "",
                    f"{fitting[0]} of {holder_address(candidate.resource)}, which no state knows, fits {address}",
                    detail="A new one is made beside it.",
                    remedy=f"To take it instead: `dbc-iac import {address} {fitting[0]}`.",
                    severity=Severity.WARNING,
                )
            )


def _match(
    waiting: Mapping[str, Candidate], there: Mapping[str, Unmanaged], session: Session, made: Rediscovered
) -> None:
    """One document and one object that fit each other and nothing else are taken for each other."""
    fits = {a: {i for i, one in there.items() if _fits(c, one, session)} for a, c in waiting.items()}
    sure = {a: min(i) for a, i in fits.items() if len(i) == 1 and sum(i == other for other in fits.values()) == 1}
    for address, identity in sure.items():
        made.candidates[address] = replace(waiting[address], id=identity)
    left = {i: one for i, one in there.items() if i not in sure.values()}
    _ask({a: c for a, c in waiting.items() if a not in sure}, left, made)


def _ask(waiting: Mapping[str, Candidate], left: Mapping[str, Unmanaged], made: Rediscovered) -> None:
    """Refuse to make what may be one of these already. Its size tells nothing: the document may have been edited."""
    told = [f"{i} (made as {one.marker.name})" if one.marker else i for i, one in sorted(left.items())]
    for address in sorted(waiting) if left else ():
        resource = waiting[address].resource
        assert resource is not None  # noqa: S101 - only documents wait
        made.problems.add(
            resource.problem(
                "may-exist",
                "",
                f"{address} may exist already",
                detail=f"{holder_address(resource)} has {', '.join(told)}, which no state knows: state was lost, or "
                "somebody added it by hand.",
                remedy=f"Say which with `dbc-iac state rebuild --map {address}={min(left)}`, or that it is none of "
                f"them with `dbc-iac state rebuild --new {address}`.",
                exit_code=ExitCode.REFUSED,
            )
        )


def _fits(candidate: Candidate, one: Unmanaged, session: Session) -> bool:
    assert candidate.resource is not None  # noqa: S101 - only documents wait
    desired = kind_of(candidate.kind).desired(candidate.resource, session.inventory)
    return all(desired.get(path) == value for path, value in one.values.items())
