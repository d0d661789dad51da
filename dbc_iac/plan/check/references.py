"""References between resources: they exist, are of the right kind, and form no cycle. Pure."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import islice, pairwise

from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import Child
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.dependencies import closure, dependencies, field_references, references

MAX_SUGGESTIONS = 50
"""References to nothing for which a similar name is looked for: each is compared with all names."""
MAX_RELATED = 10
"""References of a cycle that are shown."""


def check_inventory(
    inventory: Inventory, identities: Mapping[str, str], broken: frozenset[str] = frozenset()
) -> Diagnostics:
    """Problems of the manifests alone: references, cycles, and each kind's own rules.

    `identities`: what each is made of, by name. `broken`: addresses of documents that have problems of their own; what
    refers to them is not judged.
    """
    found, unsound = Diagnostics(), set[str]()
    names: _Names | None = None
    for resource in inventory.resources.values():
        lifecycle, identity = resource.spec.lifecycle, getattr(resource.spec, "identity", None)
        if lifecycle.ignore_changes or lifecycle.replace_on:
            found.extend(_fields_of_lifecycle(resource))
        named = [*references(resource)]
        follows = [(f"lifecycle.replaceOn.{i}", a) for i, a in enumerate(lifecycle.replace_on) if "/" in a]
        problems = []
        for path, address in (*named, *follows):
            if address not in inventory.resources and not (broken and _is_broken(address, broken)):
                names = names or _Names(inventory)
                problems.append(_dangling(resource, path, address, names))
        if identity is not None and identities.get(identity) not in kind_of(resource.kind).identified_by:
            problems.append(_wrong_identity(resource, identity, identities))
        found.extend(problems)
        if problems or (broken and any(_is_broken(address, broken) for _, address in named)):
            unsound.add(resource.address)
    found.extend(_cycles(inventory))
    children = [(r, kind) for r in inventory.resources.values() if isinstance(kind := kind_of(r.kind), Child)]
    found.extend(_crowded(children) if children else ())
    passed_over = _with_dependents(unsound, inventory) if unsound else unsound
    for resource in inventory.resources.values():
        if resource.address not in passed_over:
            found.extend(kind_of(resource.kind).check(resource, inventory))
    return found


def check_fields(inventory: Inventory) -> Diagnostics:
    """Fields that refer to nothing. Such a resource has no route, so that it cannot be destroyed either."""
    found, names = Diagnostics(), _Names(inventory)
    for resource in inventory.resources.values():
        for path, address in field_references(resource):
            if address not in inventory.resources:
                found.add(_dangling(resource, path, address, names))
    return found


class _Names:
    """Names of the manifests, for the remedies of references to none of them."""

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self._left = MAX_SUGGESTIONS

    def close(self, kind: str, name: str) -> list[str]:
        """The most similar name of a kind, if there is one."""
        self._left -= 1
        if self._left < 0:
            return []
        return difflib.get_close_matches(name, [r.name for r in self.inventory.of(kind)], 1)

    @cached_property
    def addresses(self) -> Mapping[str, list[str]]:
        """Addresses of each name, of any kind."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for resource in self.inventory.resources.values():
            found[resource.name].append(resource.address)
        return found


def _fields_of_lifecycle(resource: Resource[Spec]) -> Iterator[Diagnostic]:
    """Check that `ignoreChanges` and `replaceOn` name fields."""
    lifecycle = resource.spec.lifecycle
    fields = {f.path for f in kind_of(resource.kind).fields}
    known = fields | {path.rpartition(".")[0] for path in fields if "." in path}
    named = [(f"lifecycle.ignoreChanges.{i}", path) for i, path in enumerate(lifecycle.ignore_changes)]
    named += [(f"lifecycle.replaceOn.{i}", path) for i, path in enumerate(lifecycle.replace_on) if "/" not in path]
    for place, path in named:
        if path not in known:
            close = difflib.get_close_matches(path, known, 1)
            yield resource.problem(
                "unknown-field",
                place,
                f"a {resource.kind} has no field {path}",
                remedy=f"Did you mean {close[0]}?" if close else f"Fields: {', '.join(sorted(fields))}.",
            )


def _is_broken(address: str, broken: frozenset[str]) -> bool:
    return not broken.isdisjoint((address, Address(address).group))


def _dangling(resource: Resource[Spec], path: str, address: str, names: _Names) -> Diagnostic:
    """The problem of a reference to nothing."""
    kind, name = Address(address).kind, Address(address).label
    close = [Address.of(kind, n) for n in names.close(kind, name)]
    named = names.addresses.get(name, ())
    remedy = f"Did you mean {close[0]}?" if close else f"Add {address} to the manifests."
    if name in names.inventory.resources:
        remedy = f"Write only the name: {Address(name).name}."
    detail = f"{named[0]} has that name, but is of another kind." if named else _or_a_file(resource, path)
    return resource.problem("unknown-reference", path, f"there is no {address}", detail=detail, remedy=remedy)


def _or_a_file(resource: Resource[Spec], path: str) -> str:
    """Detail for a field that may also be a file name."""
    reference = next((f.reference for f in kind_of(resource.kind).fields if f.path == path), None)
    return f"A file name would end in {reference.unless}." if reference is not None and reference.unless else ""


def _wrong_identity(resource: Resource[Spec], name: str, identities: Mapping[str, str]) -> Diagnostic:
    """The problem of an identity that the project file does not have, or that is made of something unfit."""
    if name in identities:
        fitting = " or ".join(kind_of(resource.kind).identified_by)
        return resource.problem(
            "wrong-identity",
            "identity",
            f"identity {name} is a {identities[name]}, not a {fitting}",
            remedy=f"Use an identity of the project file with a {fitting}.",
        )
    close = difflib.get_close_matches(name, identities, 1)
    known = ", ".join(sorted(identities)) or "none"
    return resource.problem(
        "unknown-identity",
        "identity",
        f"identity {name} is not in the project file",
        remedy=f"Did you mean {close[0]}?" if close else f"Add it to identities of the project file (now: {known}).",
    )


def _cycles(inventory: Inventory) -> Iterator[Diagnostic]:
    edges = {a: dependencies(r, inventory) for a, r in inventory.resources.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        ring: list[str] = list(reversed(error.args[1]))
        first = inventory.resources[ring[0]]
        related = []
        for here, there in islice(pairwise(ring), 1, MAX_RELATED + 1):  # the first is the place of the problem itself
            resource = inventory.resources[here]
            path = next(p for p, a in references(resource) if a == there)
            if source := resource.where(path):
                related.append(Related(f"{here} needs {there}", source))
        yield replace(
            first.problem(
                "reference-cycle",
                next(p for p, a in references(first) if a == ring[1]),
                "dependency cycle",
                detail=" -> ".join(
                    ring if len(ring) <= MAX_RELATED + 2 else (*ring[: MAX_RELATED + 1], "...", ring[-1])
                ),
                remedy="Remove one of the references.",
            ),
            related=tuple(related),
        )


def _crowded(children: Iterable[tuple[Resource[Spec], Child]]) -> Iterator[Diagnostic]:
    """Check the number of children of each VM."""
    counts: Counter[tuple[str, str]] = Counter()
    for resource, kind in children:
        parent = str(getattr(resource.spec, kind.parent_field))
        counts[resource.kind, parent] += 1
        if kind.max_per_parent and counts[resource.kind, parent] == kind.max_per_parent + 1:
            yield resource.problem(
                "too-many",
                kind.parent_field,
                f"{parent} has more than {kind.max_per_parent} resources of kind {resource.kind}",
                detail="The node accepts one more, but never creates it.",
                remedy=f"Remove {resource.name}, or move it to another VM.",
            )


def _with_dependents(addresses: set[str], inventory: Inventory) -> set[str]:
    """These addresses, and those of all resources that depend on one of them, directly or not."""
    dependents: defaultdict[str, list[str]] = defaultdict(list)
    for address, resource in inventory.resources.items():
        for needed in dependencies(resource, inventory):
            dependents[needed].append(address)
    return closure(addresses, dependents)
