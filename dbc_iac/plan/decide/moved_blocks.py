"""Renames and removals from the state: `moved` and `removed` of the project file, `state mv`. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import dropwhile
from typing import Any

from dbc_iac.address import Address, close_address
from dbc_iac.diagnostics import Diagnostic, DiagnosticError, ExitCode, Locator, Severity, SourceRange, failure
from dbc_iac.kinds import MODELS, Inventory, kind_of
from dbc_iac.plan.model import Action, Change
from dbc_iac.state.document import Binding, State

_PART = r"[a-z0-9](?:[a-z0-9-]{0,40}[a-z0-9])?"
_NAME = re.compile(rf"{_PART}(?:\.{_PART})?")


def renamed(
    state: State, moves: Iterable[tuple[str, str]], documents: Collection[str]
) -> tuple[State, tuple[tuple[str, str], ...]]:
    """The state under the names of the manifests, and the renames: (before, now).

    An address that is in the manifests is not moved, unless another one moves there. All links of a chain are followed,
    in any order. Where `check_lists` or `blocked` finds a problem, nothing is moved.
    """
    links, done = dict(moves), list[tuple[str, str]]()
    destinations = _destinations(links, documents)
    taken = set(state.bindings)
    for first in [a for a in links if a in taken and a not in documents]:
        waiting = [(first, destinations[first])]
        while (place := waiting[-1][1]) in taken and place != waiting[-1][0]:
            onward = destinations.get(place, place)
            if onward not in documents or onward == place:
                break
            waiting.append((place, onward))
        for address, now in reversed(waiting):
            if now not in taken and not _malformed(now) and Address(now).kind == Address(address).kind:
                taken.remove(address)
                taken.add(now)
                done.append((address, now))
    return _moved(state, done), tuple(done)


def expanded(moves: Sequence[tuple[str, str]], documents: Collection[str]) -> tuple[tuple[str, str], ...]:
    """The moves, with those of whole `forEach`s as moves of their instances, by the keys in the manifests and in the
    moves. A move of an instance wins over that of its `forEach`."""
    keys = _keys(documents) if moves else {}
    if not keys:
        return tuple(moves)
    links, taken = dict(moves), {now for _, now in moves}
    known = _keys(dict.fromkeys((*documents, *links)))
    found: list[tuple[str, str]] = []
    for before, now in moves:
        onward = dict.fromkeys(key for group in _downstream(now, links) for key in known.get(group, ()))
        if now not in keys or now in links:
            found.append((before, now))
        if not Address(before).key:
            pairs = [(f"{before}.{key}", f"{now}.{key}") for key in onward]
            found += [(one, other) for one, other in pairs if one not in links and other not in taken]
    return tuple(found)


def _keys(documents: Iterable[str]) -> dict[str, list[str]]:
    """Keys of the instances of each `forEach`, by its address."""
    found: dict[str, list[str]] = {}
    for address in map(Address, documents):
        if address.key:
            found.setdefault(address.group, []).append(address.key)
    return found


def _downstream(address: str, links: Mapping[str, str]) -> dict[str, None]:
    """An address without a key and those that it moves to, up to the first with a key."""
    found = dict[str, None]()
    while not Address(address).key and address not in found:
        found[address] = None
        address = links.get(address, address)
    return found


def blocked(
    state: State, moves: Sequence[tuple[str, str]], documents: Collection[str], where: Locator
) -> Iterator[Diagnostic]:
    """Entries of `moved` whose new address has another object already, or has instances where the old one has none,
    or the reverse. `state`: after the renames."""
    entries = {before: index for index, (before, _) in enumerate(moves)}
    links = dict(expanded(moves, documents))
    destinations = _destinations(links, documents)
    for address in links:
        now = destinations[address]
        if address in state.bindings and address not in documents and now in documents and now in state.bindings:
            index = entries.get(address, entries.get(Address(address).group, 0))
            at, bound = where(("spec", "moved", index)), state.bindings[now].id
            remedy = f"Use another address, or remove this one with `dbc-iac state rm {now}`."
            detail = f"{now} is already in the state, with id {bound}."
            yield _wrong("cannot-move", f"cannot move {address} to {now}", remedy, at, detail, ExitCode.REFUSED)
    keys, known = _keys(documents), _keys(a for a in state.bindings if a not in documents)
    whole = {before: now for before, now in moves if not Address(before).key}
    for before, now in _destinations(whole, {*documents, *keys}).items():
        if before in state.bindings and before not in documents and now in keys:
            detail, remedy = f"{now} has `forEach`.", f"Name an instance, such as `to: {now}.{keys[now][0]}`."
        elif before in known and now in documents and now not in state.bindings:
            detail, remedy = (
                f"{before} had `forEach`.",
                f"Name an instance, such as `from: {before}.{known[before][0]}`.",
            )
        else:
            continue
        at = where(("spec", "moved", entries[before]))
        yield _wrong("cannot-move", f"cannot move {before} to {now}", remedy, at, detail, ExitCode.REFUSED)


def _destinations(links: Mapping[str, str], documents: Collection[str]) -> dict[str, str]:
    """For each link, the next address on its chain that is in the manifests, else its end. On a cycle: itself."""
    found: dict[str, str] = {}
    for first in links:
        address, path = first, dict[str, None]()
        while address in links and address not in found and address not in path:
            path[address] = None
            address = links[address]
        if address in path:
            found |= {a: a for a in dropwhile(address.__ne__, path)}
        for before in reversed(path):
            now = links[before]
            found.setdefault(before, now if now in documents else found.get(now, now))
    return found


def check_lists(moves: Sequence[tuple[str, str]], removed: Sequence[str], where: Locator) -> Iterator[Diagnostic]:
    """Problems of `moved` and `removed` of the project file themselves."""
    for index, (before, now) in enumerate(moves):
        at = where(("spec", "moved", index))
        for name, address in (("from", before), ("to", now)):
            if wrong := _malformed(address):
                yield _wrong("invalid-address", f"moved.{index}.{name}: {wrong[0]}", wrong[1], at)
        if before == now:
            yield _wrong("cannot-move", f"moved.{index}: {before} moves to itself", "Remove the entry.", at)
        elif Address(before).kind != Address(now).kind:
            yield _wrong(
                "cannot-move", f"moved.{index}: cannot move {before} to {now}", "Use two addresses of one kind.", at
            )
    yield from _conflicting(moves, where)
    for index, address in enumerate(removed):
        if wrong := _malformed(address):
            yield _wrong("invalid-address", f"removed.{index}: {wrong[0]}", wrong[1], where(("spec", "removed", index)))


def _conflicting(moves: Sequence[tuple[str, str]], where: Locator) -> Iterator[Diagnostic]:
    """Conflicting entries: one address with two destinations, two with one, and cycles.

    Without them only chains are left: each address has at most one predecessor and one successor.
    """
    after, before = dict[str, str](), dict[str, str]()
    starts, ends = dict[str, str](), dict[str, str]()  # of each chain, by its end and by its start
    for index, (source, destination) in enumerate(moves):
        at = where(("spec", "moved", index))
        if source == destination:
            continue
        start, end = starts.get(source, source), ends.get(destination, destination)
        if source in after:
            summary = f"moved.{index}: {source} moves to {after[source]} already"
            yield _wrong("cannot-move", summary, "Remove one of the two entries.", at)
        elif destination in before:
            summary = f"moved.{index}: {before[destination]} moves to {destination} already"
            yield _wrong("cannot-move", summary, "Remove one of the two entries.", at)
        elif start == destination:
            ring = " -> ".join([*_chain(destination, after), destination])
            remedy = "Remove one entry. Use `dbc-iac state mv` with a third name to exchange two names."
            yield _wrong("cannot-move", f"moved.{index}: {source} cannot move back to {destination}", remedy, at, ring)
        else:
            after[source], before[destination] = destination, source
            starts[end], ends[start] = start, end


def _chain(address: str, links: Mapping[str, str]) -> Iterator[str]:
    """An address and its successors."""
    while True:
        yield address
        if address not in links:
            return
        address = links[address]


def moved_to_nothing(
    moves: Sequence[tuple[str, str]], documents: Collection[str], groups: Collection[str], where: Locator
) -> Iterator[Diagnostic]:
    """Entries of `moved` that end at an address that no manifest has. `groups`: addresses of `forEach`s.

    Warnings: the resource may have been removed since. An instance of a `forEach` may be missing: its keys can depend
    on the environment. A rename may be taken back.
    """
    links, backwards = dict(moves), {now: before for before, now in moves}
    for index, (before, now) in enumerate(moves):
        if now in links or any(a in documents or Address(a).group in groups for a in _chain(now, backwards)):
            continue
        alike = (a for a in {*documents, *groups} - {before} if Address(a).kind == Address(now).kind)
        close = close_address(Address(now).label, alike)
        remedy = f"Did you mean {close}?" if close else "Correct `to`, or remove the entry."
        at = where(("spec", "moved", index))
        summary = f"moved.{index}.to: {now} has no manifest"
        yield Diagnostic("unknown-resource", Severity.WARNING, summary, "", remedy, source=at, exit_code=ExitCode.OK)


def still_there(removed: Sequence[str], inventory: Inventory) -> Iterator[Diagnostic]:
    """Entries of `removed` that are in the manifests."""
    instances = {Address(a).group: r for a, r in inventory.resources.items()} if removed else {}
    for address in removed:
        if resource := inventory.resources.get(address) or instances.get(Address(address)):
            remedy = "Remove the manifest, or the entry of `removed`."
            summary = f"{address} is in `removed` and in the manifests"
            yield resource.problem("removed-in-manifests", "", summary, remedy=remedy)


def mistyped(removed: Sequence[str], state: State, changes: Iterable[Change], where: Locator) -> Iterator[Diagnostic]:
    """Entries of `removed` that the state does not know and that resemble an address that would be deleted."""
    going = {c.address for c in changes if c.action is Action.DELETE}
    known = {*state.bindings, *state.generations}
    known |= {Address(a).group for a in known}
    going |= {Address(a).group for a in going}
    for index, address in enumerate(removed):
        if address in known:
            continue
        if close := difflib.get_close_matches(address, sorted(going), 1, cutoff=0.8):
            at = where(("spec", "removed", index))
            summary = f"`removed` names {address}, which is not in the state"
            remedy = f"Did you mean {close[0]}? This plan would delete it. Otherwise remove the entry."
            yield _wrong("removed-mistyped", summary, remedy, at, exit_code=ExitCode.REFUSED)


def _malformed(address: str) -> tuple[str, str] | None:
    """Problem and remedy of a malformed address; None if it is well-formed."""
    kind, name = Address(address).kind, Address(address).label
    if kind not in MODELS:
        close = difflib.get_close_matches(kind, MODELS, 1)
        known = f"Did you mean {close[0]}?" if close else f"Kinds: {', '.join(sorted(MODELS))}."
        return f"there is no kind {kind}", known
    if not _NAME.fullmatch(name):
        return f"{name or 'an empty text'} is not a valid name", "Use Kind/name or Kind/name.key, in a-z, 0-9 and -."
    return None


def _wrong(
    code: str,
    summary: str,
    remedy: str,
    at: SourceRange | None,
    detail: str = "",
    exit_code: ExitCode = ExitCode.CONFIGURATION,
) -> Diagnostic:
    return Diagnostic(code, Severity.ERROR, summary, detail, remedy, source=at, exit_code=exit_code)


def move_binding(state: State, source: str, destination: str) -> State:
    """The state with one address renamed, and all that refers to it. Raises DiagnosticError."""
    if source not in state.bindings:
        close = difflib.get_close_matches(source, state.bindings, 1)
        remedy = f"Did you mean {close[0]}?" if close else "Run `dbc-iac state list` for the addresses."
        raise _problem(f"{source} is not in the state", remedy)
    if wrong := _malformed(destination):
        raise _problem(f"cannot move {source} to {destination}: {wrong[0]}", wrong[1])
    if destination in state.bindings:
        bound = state.bindings[destination].id
        remedy = f"Use another address, or remove this one with `dbc-iac state rm {destination}`."
        raise _problem(f"{destination} is already in the state (id {bound})", remedy)
    if Address(source).kind != Address(destination).kind:
        raise _problem(f"cannot move {source} to {destination}", "Use two addresses of one kind.")
    return _moved(state, [(source, destination)])


def _moved(state: State, moves: Iterable[tuple[str, str]]) -> State:
    """The state after renames of bound addresses, in order, each to an address that is free then.

    Ids are derived from addresses: an object keeps its id, and the next one gets an id of the new address,
    in a generation that neither has used.
    """
    now, before = dict[str, str](), dict[str, str]()
    generations = dict(state.generations)  # of the old names too: a later document of one takes a new id
    for source, destination in moves:
        first = before.pop(source, source)
        now[first], before[destination] = destination, first
        used = (generations.get(a, 0) for a in (source, destination))
        generations[destination] = max(*used, state.bindings[first].generation)
    if not now:
        return state
    renames = _Renames(now)
    bindings = {now.get(a, a): renames.of(b) for a, b in state.bindings.items()}
    pending = tuple(i.model_copy(update={"address": now[i.address]}) if i.address in now else i for i in state.pending)
    return state.model_copy(update={"bindings": bindings, "generations": generations, "pending": pending})


class _Renames:
    """New addresses in the bindings of a state, by old address."""

    def __init__(self, now: Mapping[str, str]) -> None:
        self._now = now
        self._names = {Address(a).resource: Address(b).name for a, b in now.items()}
        self._fields: dict[str, list[tuple[str, str]]] = {}

    def of(self, binding: Binding) -> Binding:
        """The binding, with the new name in all that refers to it."""
        if binding.kind not in self._fields:
            self._fields[binding.kind] = [*self._naming(binding.kind)]
        update: dict[str, Any] = {}
        used = {path: Address.of(kind, binding.applied.get(path, "")) for path, kind in self._fields[binding.kind]}
        if names := {path: self._names[a] for path, a in used.items() if a in self._names}:
            update["applied"] = {**binding.applied, **names}
        if not self._now.keys().isdisjoint((binding.address, binding.parent, *binding.dependencies)):
            update |= {"address": self._address(binding.address), "parent": self._address(binding.parent)}
            update["dependencies"] = tuple(map(self._address, binding.dependencies))
        return binding.model_copy(update=update) if update else binding

    @staticmethod
    def _naming(kind: str) -> Iterator[tuple[str, str]]:
        """Fields of a kind that are applied as the name of a resource, and the kind of that resource."""
        for field in kind_of(kind).reference_fields:
            if (reference := field.reference) is not None and not reference.by_id:
                yield field.path, reference.kind

    def _address(self, address: str) -> str:
        return self._now.get(address, address)


def _problem(summary: str, remedy: str) -> DiagnosticError:
    return failure("cannot-move", summary, remedy=remedy, exit_code=ExitCode.REFUSED)
