"""References between resources: they exist, are of the right kind, and form no cycle. Pure."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import max_per_parent, parent_field
from dbc_iac.kinds.framework.spec import Spec


def references(resource: Resource[Spec]) -> Iterator[tuple[str, str]]:
    """References of a resource, as (path in its spec, address), its `dependsOn` included."""
    for field in kind_of(resource.kind).fields:
        reference, name = field.reference, field.read(resource.spec)
        if reference is not None and name is not None and reference.names_document(name):
            yield field.path, f"{reference.kind}/{name}"
    for index, address in enumerate(resource.spec.depends_on):
        yield f"dependsOn.{index}", address


def dependencies(resource: Resource[Spec], inventory: Inventory) -> tuple[str, ...]:
    """Addresses that must exist before a resource, each once, in order."""
    return tuple(dict.fromkeys(a for _, a in references(resource) if a in inventory.resources))


def check_inventory(
    inventory: Inventory, identities: Mapping[str, str], broken: frozenset[str] = frozenset()
) -> Diagnostics:
    """Problems of the manifests alone: references, cycles, and each kind's own rules.

    `identities`: what each is made of, by name. `broken`: addresses of documents that have problems of their own; what
    refers to them is not judged.
    """
    found = Diagnostics()
    sound: set[str] = set()
    for resource in inventory.resources.values():
        found.extend(_fields_of_lifecycle(resource))
        problems = [*_dangling(resource, inventory, broken), *_identity(resource, identities)]
        found.extend(problems)
        if not problems and not any(_is_broken(address, broken) for _, address in references(resource)):
            sound.add(resource.address)
    found.extend(_cycles(inventory))
    found.extend(_crowded(inventory))
    reachable = {a for a in sound if all(r in sound for r in _closure(a, inventory))}
    for resource in inventory.resources.values():
        if resource.address in reachable:
            found.extend(kind_of(resource.kind).check(resource, inventory))
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
    return bool({address, Address(address).group} & broken)


def _dangling(resource: Resource[Spec], inventory: Inventory, broken: frozenset[str]) -> Iterator[Diagnostic]:
    follows = ((f"lifecycle.replaceOn.{i}", a) for i, a in enumerate(resource.spec.lifecycle.replace_on) if "/" in a)
    for path, address in (*references(resource), *follows):
        if address in inventory.resources or _is_broken(address, broken):
            continue
        kind, name = Address(address).kind, Address(address).label
        same_kind = [r.name for r in inventory.of(kind)]
        close = [Address.of(kind, n) for n in difflib.get_close_matches(name, same_kind, 1)]
        named = [r.address for r in inventory.resources.values() if r.name == name]
        remedy = f"Did you mean {close[0]}?" if close else f"Add {address} to the manifests."
        if name in inventory.resources:
            remedy = f"Write only the name: {Address(name).name}."
        detail = f"{named[0]} has that name, but is of another kind." if named else _or_a_file(resource, path)
        yield resource.problem("unknown-reference", path, f"there is no {address}", detail=detail, remedy=remedy)


def _or_a_file(resource: Resource[Spec], path: str) -> str:
    """Detail for a field that may also be a file name."""
    reference = next((f.reference for f in kind_of(resource.kind).fields if f.path == path), None)
    return f"A file name would end in {reference.unless}." if reference is not None and reference.unless else ""


def _identity(resource: Resource[Spec], identities: Mapping[str, str]) -> Iterator[Diagnostic]:
    name = getattr(resource.spec, "identity", None)
    if name is None:
        return
    fitting = kind_of(resource.kind).identified_by
    if name in identities and identities[name] not in fitting:
        yield resource.problem(
            "wrong-identity",
            "identity",
            f"identity {name} is a {identities[name]}, not a {' or '.join(fitting)}",
            remedy=f"Use an identity of the project file with a {' or '.join(fitting)}.",
        )
    if name not in identities:
        close = difflib.get_close_matches(name, identities, 1)
        known = ", ".join(sorted(identities)) or "none"
        yield resource.problem(
            "unknown-identity",
            "identity",
            f"identity {name} is not in the project file",
            remedy=f"Did you mean {close[0]}?"
            if close
            else f"Add it to identities of the project file (now: {known}).",
        )


def _cycles(inventory: Inventory) -> Iterator[Diagnostic]:
    edges = {a: dependencies(r, inventory) for a, r in inventory.resources.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        ring: list[str] = list(reversed(error.args[1]))
        first = inventory.resources[ring[0]]
        related = []
        for here, there in list(pairwise(ring))[1:]:  # the first is the place of the problem itself
            resource = inventory.resources[here]
            path = next(p for p, a in references(resource) if a == there)
            if source := resource.where(path):
                related.append(Related(f"{here} needs {there}", source))
        yield replace(
            first.problem(
                "reference-cycle",
                next(p for p, a in references(first) if a == ring[1]),
                "dependency cycle",
                detail=" -> ".join(ring),
                remedy="Remove one of the references.",
            ),
            related=tuple(related),
        )


def _crowded(inventory: Inventory) -> Iterator[Diagnostic]:
    """Check the number of children of each VM."""
    counts: Counter[tuple[str, str]] = Counter()
    for resource in inventory.resources.values():
        kind = kind_of(resource.kind)
        if limit := max_per_parent(kind):
            parent = str(getattr(resource.spec, parent_field(kind)))
            counts[resource.kind, parent] += 1
            if counts[resource.kind, parent] == limit + 1:
                yield resource.problem(
                    "too-many",
                    parent_field(kind),
                    f"{parent} has more than {limit} resources of kind {resource.kind}",
                    detail="The node accepts one more, but never creates it.",
                    remedy=f"Remove {resource.name}, or move it to another VM.",
                )


def _closure(address: str, inventory: Inventory) -> set[str]:
    seen: set[str] = set()
    todo = [address]
    while todo:
        here = todo.pop()
        for there in dependencies(inventory.resources[here], inventory):
            if there not in seen:
                seen.add(there)
                todo.append(there)
    return seen


def topological_order(edges: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Keys in an order in which each comes after its dependencies; ties as given."""
    return list(TopologicalSorter({k: [e for e in v if e in edges] for k, v in edges.items()}).static_order())
