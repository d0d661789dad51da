"""What the API shows of a state that was lost: our VMs, in which generation, and the disks that are on them.

A task id is derived from the project's `uid`, so a VM with one of our ids is ours. A disk carries no name of ours: it
is told by size and folder where that leaves one answer, and asked for otherwise; nothing is created in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dbc_iac.diagnostics import Diagnostic, Diagnostics, ExitCode, Severity
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.kind import Sought
from dbc_iac.kinds.reader import Reader
from dbc_iac.plan.candidates import Candidate, holder_address, with_holder
from dbc_iac.plan.session import Session
from dbc_iac.values import Json


@dataclass(slots=True)
class Rediscovered:
    """The candidates with the ids that were found, and what has to be told."""

    candidates: dict[str, Candidate]
    problems: Diagnostics = field(default_factory=Diagnostics)


async def rediscover(session: Session, reader: Reader, candidates: Mapping[str, Candidate]) -> Rediscovered:
    """Look for what state does not know and the ids of which can be told."""
    made = Rediscovered(dict(candidates))
    hosts: set[str] = set()
    known = {c.id for c in candidates.values() if c.begun is not None or c.binding is not None}
    for address, candidate in candidates.items():
        if not _forgotten(candidate) or candidate.resource is None or not kind_of(candidate.kind).host:
            continue
        existing = await kind_of(candidate.kind).generations(candidate.resource, session.inventory, reader)
        existing = {g: i for g, i in existing.items() if i not in known}
        if existing:
            newest = max(existing)
            made.candidates[address] = replace(candidate, id=existing[newest], generation=newest)
            hosts.add(address)
            _tell_older(made, candidate, {g: i for g, i in existing.items() if g != newest})
    if hosts:
        made.candidates = {a: with_holder(c, session, made.candidates) for a, c in made.candidates.items()}
    waiting: dict[str, dict[str, Candidate]] = {}
    for address, candidate in made.candidates.items():
        if _forgotten(candidate) and candidate.resource is not None and (holder := holder_address(candidate.resource)):
            waiting.setdefault(holder, {})[address] = candidate
    for host in sorted(waiting.keys() & made.candidates.keys()):
        if host in hosts or made.candidates[host].binding is not None:
            await _held(waiting[host], session, reader, made, known=host not in hosts)
    if hosts and not session.state.bindings and not made.problems.errors:
        made.problems.add(_lost(sorted(hosts)))
    return made


def _lost(found: list[str]) -> Diagnostic:
    who = f"{found[0]} exists" if len(found) == 1 else f"{found[0]} and {len(found) - 1} more exist"
    return Diagnostic(
        "state-empty",
        Severity.WARNING,
        f"{who} already, and the state knows of nothing",
        "The state was lost, or this is not the one in which they are kept.",
        "Check `state` of the project file and --stack. Where it is lost, `dbc-iac state rebuild` binds what is proved "
        "to be ours, and does nothing else.",
    )


def _forgotten(candidate: Candidate) -> bool:
    """Whether state has neither a binding nor a pending call: it is new, or state was lost."""
    return candidate.binding is None and candidate.intent is None


def _tell_older(made: Rediscovered, candidate: Candidate, older: Mapping[int, str]) -> None:
    assert candidate.resource is not None  # noqa: S101 - the caller looked
    for identity in older.values():
        made.problems.add(
            candidate.resource.problem(
                "older-generation",
                "",
                f"{identity} is an earlier VM of {candidate.address}, which no state knows",
                detail="State was lost while one took the place of the other.",
                remedy="See `dbc-iac orphans`.",
                severity=Severity.WARNING,
            )
        )


async def _held(
    waiting: Mapping[str, Candidate], session: Session, reader: Reader, made: Rediscovered, *, known: bool
) -> None:
    """Tell the documents of what lives on one VM from each other by what they ask for.

    On a VM that state knows (`known`) nothing is taken by its looks. A document that this state has begun or forgotten
    before is made anew, and what fits it is told of; another one is new, or state was lost: only the user can tell.
    """
    for name in sorted({c.kind for c in waiting.values()}):
        alike = {a: c for a, c in waiting.items() if c.kind == name}
        first = next(iter(alike.values()))
        sought = Sought(first.address, first.place, "", 1, None, "", first.holder_id)
        strays = await kind_of(name).strays(sought, reader)
        unclaimed = {i: v for i, v in strays.items() if not _explained(i, first.holder_id, session)}
        if known:
            handled = {a: c for a, c in alike.items() if a in session.state.generations}
            _tell_fitting(handled, unclaimed, session, made)
            _ask({a: c for a, c in alike.items() if a not in handled}, sorted(unclaimed), made)
        else:
            _match(alike, unclaimed, session, made)


def _explained(identity: str, holder_id: str, session: Session) -> bool:
    """Whether state knows it: it is bound, or a creation of unknown outcome on its VM may have made it."""
    begun = (i.detail for i in session.state.pending if i.creates and i.detail.get("vm") == holder_id)
    before = [known for detail in begun if isinstance(known := detail.get("known"), list)]
    return identity in {b.id for b in session.state.bindings.values()} or any(identity not in b for b in before)


def _tell_fitting(
    waiting: Mapping[str, Candidate], strays: Mapping[str, Mapping[str, Json]], session: Session, made: Rediscovered
) -> None:
    for address, candidate in waiting.items():
        fitting = sorted(i for i, values in strays.items() if _same(candidate, values, session))
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
    waiting: Mapping[str, Candidate], strays: Mapping[str, Mapping[str, Json]], session: Session, made: Rediscovered
) -> None:
    """One document and one object that fit each other and nothing else are taken for each other."""
    fits = {a: {i for i, values in strays.items() if _same(c, values, session)} for a, c in waiting.items()}
    sure = {a: min(i) for a, i in fits.items() if len(i) == 1 and sum(i == other for other in fits.values()) == 1}
    for address, identity in sure.items():
        made.candidates[address] = replace(waiting[address], id=identity)
    left = sorted(strays.keys() - set(sure.values()))
    _ask({a: c for a, c in waiting.items() if a not in sure}, left, made)


def _ask(waiting: Mapping[str, Candidate], left: list[str], made: Rediscovered) -> None:
    """Refuse to make what may be one of these already. Its size tells nothing: the document may have been edited."""
    for address in sorted(waiting) if left else ():
        resource = waiting[address].resource
        assert resource is not None  # noqa: S101 - only documents wait
        made.problems.add(
            resource.problem(
                "may-exist",
                "",
                f"{address} may exist already: {holder_address(resource)} has {', '.join(left)}, which no state knows",
                detail="State was lost, or somebody added it by hand, and a disk carries no name of ours.",
                remedy=f"Say which with `dbc-iac state rebuild --map {address}={left[0]}`, or that it is none of them "
                f"with `dbc-iac state rebuild --new {address}`.",
                exit_code=ExitCode.REFUSED,
            )
        )


def _same(candidate: Candidate, values: Mapping[str, Json], session: Session) -> bool:
    assert candidate.resource is not None  # noqa: S101 - only documents wait
    desired = kind_of(candidate.kind).desired(candidate.resource, session.inventory)
    return all(desired.get(path) == value for path, value in values.items())
