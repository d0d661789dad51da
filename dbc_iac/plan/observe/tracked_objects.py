"""Tracked objects of a plan: resources of the manifests, bindings and pending creations. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, convert
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.kinds import Resource, kind_of
from dbc_iac.kinds.current_route import current_route, route_for, route_to
from dbc_iac.kinds.framework.capabilities import Host
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan.context import PlanContext
from dbc_iac.plan.observe.pending_operations import deposed_address, mark_uncertain, matches_spec, pending_creation
from dbc_iac.state.document import Binding, PendingOperation


class TrackedObject(Struct, frozen=True):
    """An object that is observed: a resource with or without a binding, or a binding without a resource.

    `route` leads to the machine of the manifest, `place` to the present one.
    """

    address: str
    kind: str
    resource: Resource[Spec] | None
    binding: Binding | None
    operation: PendingOperation | None
    route: Route
    id: str
    generation: int
    place: Route
    parent_id: str = ""
    pending: Binding | None = None
    """The object that a pending creation may have made, where there is no binding."""

    @property
    def unbound(self) -> bool:
        """Whether the state has neither a binding nor a pending operation: it is new, or the state was lost."""
        return self.binding is None and self.operation is None


def find_tracked_objects(context: PlanContext) -> dict[str, TrackedObject]:
    """Tracked objects by address: those of the manifests first."""
    state, found = context.state, dict[str, TrackedObject]()
    pending: defaultdict[str, list[PendingOperation]] = defaultdict(list)
    for one in state.open:
        pending[one.address].append(one)
    operations = {a: known[-1] for a, ones in pending.items() if (known := [i for i in ones if i.id or i.detail])}
    for address, resource in context.inventory.resources.items():
        if not kind_of(resource.kind).read_only:
            found[address] = tracked_object(resource, context, pending.get(address, ()))
    for address, binding in state.bindings.items():
        if address not in found:
            route = route_to(binding, context.inventory)
            found[address] = TrackedObject(
                address,
                binding.kind,
                None,
                binding,
                operations.get(address),
                route,
                binding.id,
                binding.generation,
                route,
            )
    made = {a: with_parent(c, context, found) if kind_of(c.kind).parent_field else c for a, c in found.items()}
    for tracked in _deposed(context, made) if state.pending else ():
        made.setdefault(tracked.address, tracked)
    return made


def tracked_object(
    resource: Resource[Spec], context: PlanContext, pending: Sequence[PendingOperation] = ()
) -> TrackedObject:
    """The tracked object of a resource. `pending`: the pending operations of its address."""
    inventory, state, kind = context.inventory, context.state, kind_of(resource.kind)
    address, route = resource.address, kind.route(resource, inventory)
    binding = state.bindings.get(address)
    if binding is not None and pending:
        binding = mark_uncertain(binding, pending)
    operation = next((i for i in reversed(pending) if i.id or i.detail), None)
    if operation is not None:
        parent = state.bindings.get(parent_address(resource))
        if not matches_spec(operation, resource, inventory, route, parent.id if parent else ""):
            operation = None
    generation = binding.generation if binding else state.generations.get(address, 0) + 1
    bound = binding is not None and not resource.external  # an external one names its object
    identity = binding.id if binding and bound else kind.identity(resource, inventory, generation)
    if binding is None and operation is not None:
        generation, identity = operation.generation, operation.id
    creation = pending_creation(operation, state) if operation is not None and binding is None else None
    moved = binding is not None and binding.route and binding.route != route.to_json()
    place = route_to(binding, inventory) if binding is not None and moved else route
    return TrackedObject(
        address, resource.kind, resource, binding, operation, route, identity, generation, place, pending=creation
    )


def _deposed(context: PlanContext, found: Mapping[str, TrackedObject]) -> Iterator[TrackedObject]:
    """Objects of pending creations that are not in the manifests."""
    known = {(c.kind, c.id, c.parent_id or c.place.target) for c in found.values() if c.id}
    state = context.state
    taken_up = {c.operation.number for c in found.values() if c.pending is not None and c.operation is not None}
    for operation in state.pending:
        pending = pending_creation(operation, state)
        if (
            pending is None
            or operation.number in taken_up
            or (operation.late and not isinstance(kind_of(pending.kind), Host))
        ):
            continue  # only ids of hosts are never reused: this name may be that of another object
        route = current_route(convert(pending.route, Route), kind_of(pending.kind), context.inventory)
        vm = operation.vm if kind_of(pending.kind).parent_field else ""
        if (pending.kind, pending.id, vm or route.target) not in known:
            yield TrackedObject(
                deposed_address(operation),
                pending.kind,
                None,
                None,
                operation,
                route,
                pending.id,
                pending.generation,
                route,
                vm,
                pending,
            )


def with_parent(tracked: TrackedObject, context: PlanContext, found: Mapping[str, TrackedObject]) -> TrackedObject:
    """The tracked object with the id of its VM: that of the binding, else of the manifest."""
    address = tracked.binding.parent if tracked.binding else ""
    if not address and tracked.resource is not None:
        address = parent_address(tracked.resource)
    parent = found.get(address)
    if parent is None:
        return tracked
    if tracked.binding is None:
        return replace(tracked, parent_id=parent.id)
    kind, inventory = kind_of(tracked.kind), context.inventory
    route = route_for(parent.route, kind, inventory) if tracked.resource is None else tracked.route
    return replace(tracked, route=route, place=route_for(parent.place, kind, inventory), parent_id=parent.id)


def parent_address(resource: Resource[Spec]) -> str:
    """Address of the VM of a child; empty for other resources."""
    path = kind_of(resource.kind).parent_field
    field_ = next((f for f in kind_of(resource.kind).reference_fields if f.path == path), None) if path else None
    if field_ is None or field_.reference is None:
        return ""
    return Address.of(field_.reference.kind, field_.read(resource.spec))
