"""Dependencies of resources: by references, and by the image files that another resource provides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from dbc_iac.address import Address
from dbc_iac.kinds import Inventory, Resource, kind_of
from dbc_iac.kinds.framework.capabilities import build_files, provided_files
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.kinds.images.files import FileAt


def references(resource: Resource[Spec]) -> Iterator[tuple[str, str]]:
    """References of a resource, as (path in its spec, address), its `dependsOn` included."""
    yield from field_references(resource)
    for index, address in enumerate(resource.spec.depends_on):
        yield f"dependsOn.{index}", address


def field_references(resource: Resource[Spec]) -> Iterator[tuple[str, str]]:
    """References in the fields of a resource, as (path in its spec, address)."""
    for field in kind_of(resource.kind).reference_fields:
        reference, name = field.reference, field.read(resource.spec)
        if reference is not None and name is not None and not (reference.unless and name.endswith(reference.unless)):
            yield field.path, Address.of(reference.kind, name)


def dependencies(resource: Resource[Spec], inventory: Inventory) -> tuple[str, ...]:
    """Addresses that must exist before a resource, each once, in order."""
    return tuple(dict.fromkeys(a for _, a in references(resource) if a in inventory.resources))


@lru_cache(maxsize=4)
def implicit_dependencies(inventory: Inventory) -> Mapping[str, frozenset[str]]:
    """Resources that provide a file which another one is built from, by the address of that other one.

    A dependency that would close a cycle is left out: the references of the manifests count.
    """
    sound = [r for r in inventory.resources.values() if has_route(r, inventory)]
    fields = {r.address: kind_of(r.kind).desired(r, inventory) for r in sound if not kind_of(r.kind).read_only}
    brought: dict[FileAt, str] = {}
    for address, values in fields.items():
        for file in provided_files(kind_of(inventory.resources[address].kind), values):
            brought.setdefault(file, address)
    if not brought:
        return {}
    edges: dict[str, frozenset[str]] = {}
    for address, values in fields.items():
        needed = build_files(kind_of(inventory.resources[address].kind), values)
        edges[address] = frozenset(brought[f] for f in needed & brought.keys()) - {address}
    return _without_rings({a: e for a, e in edges.items() if e}, inventory)


def has_route(resource: Resource[Spec], inventory: Inventory) -> bool:
    """Whether its fields are known: all references on the route to its machine exist."""
    try:
        kind_of(resource.kind).route(resource, inventory)
    except KeyError:
        return False
    return True


def _without_rings(edges: dict[str, frozenset[str]], inventory: Inventory) -> dict[str, frozenset[str]]:
    named = {a: frozenset(dependencies(r, inventory)) for a, r in inventory.resources.items()}
    while True:
        try:
            TopologicalSorter({a: needed | edges.get(a, frozenset()) for a, needed in named.items()}).prepare()
        except CycleError as error:
            ring = frozenset(error.args[1])
            left = {a: needed - ring if a in ring else needed for a, needed in edges.items()}
            if left == edges:  # a cycle of references, which is reported elsewhere
                return {}
            edges = left
        else:
            return edges


def closure(names: Iterable[str], following: Mapping[str, Iterable[str]]) -> set[str]:
    """These names, and all that follow them, directly or not."""
    found = set(names)
    todo = [*found]
    while todo:
        more = [name for name in following.get(todo.pop(), ()) if name not in found]
        found.update(more)
        todo += more
    return found
