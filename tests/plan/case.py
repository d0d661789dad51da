"""One case of the pure planner: manifests, state and observed world as data, and the plan that follows.

A case is one YAML file:

    situation     one sentence
    manifests     spec by address; what a Node, VirtualMachine, Network or Disk leaves out is in DEFAULTS
    formerly      spec by address of manifests that were applied and are gone
    state         the bindings: each has the fields of its manifest, but for `fields`; or those of another `manifest`;
                  other keys are of the binding
    pending       operations of an interrupted apply; a creation has the fields of its manifest, but for `fields`
    world         what is observed, where it is not what `state` says: `absent`, `unreadable`, or an observation,
                  of which `fields` are those of the state but for these
    machines      capacity of nodes, where the case checks it; `others` are VMs that are not managed
    freeSlots     how many more of a kind a VM can take, by the VM's address and kind
    options       of the plan; and of the project: `moved`, `removed`, `refuse`, `whole` (whether the order covers the machine)
    plan          pending changes by address (`fields` of updates and replacements; `known`: ids
                  before a blind creation), steps in order, codes of warnings, losses, recovery, moves, and numbers
                  of the pending operations that are settled; a key is left out where it is empty
    refused       the errors, each as its code and summary

An address that `state` and `world` do not name does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from msgspec import convert

from dbc_iac.api.responses import NodeDisk, NodeHardware, RentOrder, StoredImage
from dbc_iac.diagnostics import DiagnosticError, Diagnostics, Severity
from dbc_iac.kinds import Inventory, Observation, Resource, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Marked, UsesCapacity, capacity
from dbc_iac.kinds.framework.capacity import Capacity, Machine
from dbc_iac.kinds.framework.spec import Spec
from dbc_iac.plan import Plan, PlanContext, PlanOptions, check_inventory
from dbc_iac.plan.check.preflight import PreflightFacts
from dbc_iac.plan.decide.moved_blocks import expanded, renamed
from dbc_iac.plan.dependencies import dependencies
from dbc_iac.plan.model import Change, Step
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects, parent_address
from dbc_iac.plan.planner import complete, decide, with_resolved
from dbc_iac.state.document import Binding, PendingOperation, State
from tests.projects import NODE_ID, UID

_NODE = {"id": NODE_ID, "identity": "tenant", "rentOrder": "112", "portRange": "20000-29999"}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Node": _NODE,
    "Node/gpu-b": {**_NODE, "id": "b" * 64, "rentOrder": "113"},
    "VirtualMachine": {
        "node": "gpu-a",
        "image": "ubuntu.qcow2",
        "gpus": 1,
        "cpus": 4,
        "memory": "8Gi",
        "dataDisk": {"size": "20Gi"},
        "ports": {"ssh": 20000, "vnc": 20001},
    },
    "Network": {"via": "gpu-a", "cidr": "192.168.66.0/24"},
    "Disk": {"vm": "trainer", "size": "50Gi"},
    "Image": {"node": "gpu-a", "file": "base.qcow2", "imageServer": "ID_1"},
    "ImageExport": {"node": "gpu-a", "file": "base.qcow2", "imageServer": "ID_2"},
    "Snapshot": {"vm": "trainer", "imageServer": "ID_1"},
    "BareMetalManager": {"id": "d" * 64, "identity": "owner"},
    "BareMetalServer": {
        "manager": "rack",
        "uuid": "server-1",
        "ip": "10.0.0.5",
        "ipmi": {"host": "10.0.1.5", "username": "admin", "password": {"env": "BMC_PW"}},
    },
    "BareMetalInstance": {"nodeId": "e" * 64, "identity": "tenant"},
}
_OF_THE_PROJECT = {"moved", "removed", "refuse", "whole", "max_removals_of_project"}


class Case:
    """A case that has been read."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.written = written
        self.options: Mapping[str, Any] = written.get("options") or {}

    @classmethod
    def read(cls, file: Path) -> Case:
        return cls(yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))

    # -- the manifests and the state --------------------------------------------------------------

    @cached_property
    def inventory(self) -> Inventory:
        return _inventory(self.written.get("manifests") or {})

    @cached_property
    def applied(self) -> Inventory:
        """The manifests with those that are gone: what is bound was made from them."""
        return _inventory(self._manifests)

    @property
    def _manifests(self) -> dict[str, Any]:
        return {**(self.written.get("manifests") or {}), **(self.written.get("formerly") or {})}

    @cached_property
    def state(self) -> State:
        bindings = {a: self._binding(a, given or {}) for a, given in (self.written.get("state") or {}).items()}
        pending = tuple(self._pending(n, p, bindings) for n, p in enumerate(self.written.get("pending") or (), 1))
        generations = {a: b.generation for a, b in bindings.items()}
        generations |= {p.address: p.generation for p in pending if p.creates}
        return State(
            lineage="1",
            serial=1,
            project="lab",
            uid=UID,
            stack="default",
            bindings=bindings,
            pending=pending,
            generations=generations,
        )

    @property
    def renamed(self) -> tuple[State, tuple[tuple[str, str], ...]]:
        """The state after the renames of the project, and these."""
        moves = tuple((self.options.get("moved") or {}).items())
        return renamed(self.state, expanded(moves, self.inventory.resources), self.inventory.resources)

    def _resource(self, address: str) -> Resource[Spec]:
        return self.applied.resources[address.partition("~")[0]]

    def _binding(self, address: str, given: Mapping[str, Any]) -> Binding:
        resource, inventory = self._resource(address), self.applied
        if "manifest" in given:
            inventory = _inventory({**self._manifests, address: given["manifest"]})
            resource = inventory.resources[address]
        kind, generation = kind_of(resource.kind), given.get("generation", 1)
        plain = {
            "id": kind.identity(resource, inventory, generation) or f"id-of-{resource.name}",
            "generation": generation,
            "route": kind.route(resource, inventory).to_json(),
            "parent": parent_address(resource),
            "protected": kind.protected(resource),
            "dependencies": dependencies(resource, inventory),
            **{k: v for k, v in given.items() if k not in {"fields", "manifest"}},
        }
        fields = {**kind.desired(resource, inventory), **(given.get("fields") or {})}
        applied = {path: value for path, value in fields.items() if value is not None}
        return Binding(address=address, kind=resource.kind, applied=applied, **plain)

    def _pending(self, number: int, given: Mapping[str, Any], bindings: Mapping[str, Binding]) -> PendingOperation:
        resource = self._resource(given["address"])
        kind, generation = kind_of(resource.kind), given.get("generation", 1)
        detail: dict[str, Any] = {"route": kind.route(resource, self.applied).to_json(), "kind": resource.kind}
        detail["marker"] = kind.marker(resource, self.applied, generation) if isinstance(kind, Marked) else ""
        parent = bindings.get(parent_address(resource))
        detail["vm"] = parent.id if parent is not None else ""
        if given.get("creates"):
            detail["fields"] = {**kind.desired(resource, self.applied), **(given.get("fields") or {})}
        identity = kind.identity(resource, self.applied, generation)
        plain = {"number": number, "id": identity, "generation": generation, "callClass": "keyed", **given}
        plain["detail"] = {**detail, **plain.pop("detail", {})}
        plain.pop("fields", None)
        return PendingOperation.model_validate(plain)

    # -- the observed world -----------------------------------------------------------------------

    def refreshed(self, context: PlanContext) -> RefreshedState:
        tracked = find_tracked_objects(context)
        observations = {address: self._observation(address, one) for address, one in tracked.items()}
        whole = {one.route: self.options.get("whole", True) for one in tracked.values()}
        return RefreshedState(tracked, observations, CachedReader(_no_api), whole, dict(self._others))

    def _observation(self, address: str, tracked: TrackedObject) -> Observation:
        given = (self.written.get("world") or {}).get(address, {} if tracked.binding is not None else "absent")
        if given == "absent":
            return Observation(False, id=tracked.id)
        if given == "unreadable":
            return Observation(None, id=tracked.id, reason="client node default cannot be reached")
        bound = tracked.binding or tracked.pending
        kind = kind_of(tracked.kind)
        has = dict(bound.applied) if bound is not None else {}
        if tracked.resource is not None and bound is None:
            has = dict(kind.desired(tracked.resource, self.inventory))
        shown = {f.path for f in kind.fields if not f.rule.not_reported}
        values = {p: v for p, v in {**has, **(given.get("fields") or {})}.items() if p in shown and v is not None}
        more = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items() if k != "fields"}
        if more.get("present", True) is None:
            values = {}
        resource, generation = self._resource(address), tracked.generation
        marker = kind.marker(resource, self.applied, generation) if isinstance(kind, Marked) else ""
        seen: dict[str, Any] = {"present": True, "id": tracked.id, "values": values, "marker": marker, **more}
        return Observation(**seen)

    @property
    def _others(self) -> Mapping[str, Mapping[str, Capacity]]:
        """Capacity of unmanaged VMs, by target and VM id."""
        found: dict[str, dict[str, Capacity]] = {}
        for node, machine in (self.written.get("machines") or {}).items():
            target = _target(node, self.applied)
            others = machine.get("others") or {}
            found[target] = {name: capacity(kind_of("VirtualMachine"), fields) for name, fields in others.items()}
        return found

    @property
    def facts(self) -> PreflightFacts:
        """Readings of preflight from the machines of the case."""
        machines = {}
        for node, machine in (self.written.get("machines") or {}).items():
            target = _target(node, self.applied)
            for resource in self.inventory.resources.values():
                kind = kind_of(resource.kind)
                if isinstance(kind, UsesCapacity) and (route := kind.route(resource, self.inventory)).target == target:
                    hardware, whole = _hardware(machine), self.options.get("whole", True)
                    gpus = tuple(range(hardware.gpu_count if whole else 1))
                    order = RentOrder(route.rent_order, "", "renting", None, len(gpus), gpus)
                    known = tuple(machine.get("imageServers", ("ID_1",)))
                    machines[route] = Machine(route, hardware, (order,), whole, image_servers=known)
        slots = self.written.get("freeSlots") or {}
        free = {(kind, parent): number for parent, by_kind in slots.items() for kind, number in by_kind.items()}
        return PreflightFacts(machines, unmanaged=self._others, free_slots=free)

    @property
    def expected(self) -> dict[str, Any]:
        return {key: self.written[key] for key in ("plan", "refused") if key in self.written}

    # -- the plan ---------------------------------------------------------------------------------

    @property
    def context(self) -> PlanContext:
        state, moves = self.renamed
        return with_resolved(
            PlanContext(
                self.inventory,
                state,
                _no_api,
                lambda address, path: None,
                identities={"tenant": "wallet", "owner": "nodeKey"},
                max_removals=self.options.get("max_removals_of_project", 100),
                refused=frozenset(self.options.get("refuse", ())),
                removed=frozenset(self.options.get("removed", ())),
                moves=moves,
            )
        )

    def plan(self) -> Plan:
        """The plan of this case. Raises DiagnosticError if it is refused."""
        context = self.context
        given = {k: v for k, v in self.options.items() if k not in _OF_THE_PROJECT}
        options, problems = convert(given, PlanOptions), Diagnostics()
        if not options.destroy:
            problems.extend(check_inventory(context.inventory, context.identities))
            problems.raise_errors()
        refreshed = self.refreshed(context)
        decision = decide(context, refreshed, options, problems)
        return complete(decision, refreshed, options, None if options.offline else self.facts).plan

    def outcome(self) -> dict[str, Any]:
        """The plan or its refusal, in the words of a case."""
        try:
            plan = self.plan()
        except DiagnosticError as error:
            problems = [d for d in error.diagnostics if d.severity is Severity.ERROR]
            return {"refused": [{d.code: d.summary} for d in problems]}
        if problems := [d for d in plan.diagnostics if d.severity is Severity.ERROR]:
            return {"refused": [{d.code: d.summary} for d in problems]}
        found: dict[str, Any] = {}
        found["changes"] = {c.address: _change(c) for c in plan.changes if c.pending or c.action == "unknown"}
        found["steps"] = [_step(s) for s in plan.steps]
        found["warnings"] = [d.code for d in plan.diagnostics]
        found["losses"] = [loss for c in plan.changes for loss in c.losses]
        found["recovery"], found["settled"], found["moves"] = (
            list(plan.recovery),
            list(plan.closed_operations),
            list(plan.moves),
        )
        return {"plan": {key: value for key, value in found.items() if value}}


async def _no_api(route: object) -> Any:
    raise AssertionError("a pure plan asks nothing")


def _inventory(manifests: Mapping[str, Any]) -> Inventory:
    resources: dict[str, Resource[Spec]] = {}
    for address, given in manifests.items():
        kind, _, name = address.partition("/")
        plain = {**DEFAULTS.get(address, DEFAULTS.get(kind, {})), **(given or {})}
        spec = kind_of(kind).spec.model_validate({k: v for k, v in plain.items() if v is not None})
        resources[address] = Resource(address, kind, name, spec)
    return Inventory("lab", UID, "default", resources, ("default",), "default")


def _target(node: str, inventory: Inventory) -> str:
    return str(getattr(inventory.resources[f"Node/{node}"].spec, "id"))  # noqa: B009 - of the Node's own spec


def _hardware(machine: Mapping[str, Any]) -> NodeHardware:
    """A machine with room for everything, but for what the case says."""
    disks = tuple(
        NodeDisk(path, Fraction(free) * 2, Fraction(free))
        for path, free in machine.get("disks", {"/data": 2000}).items()
    )
    return NodeHardware(
        version="0.4.1.8", ip="*.51.*.142", os="linux", cpu_type="", cpu_cores=machine.get("cpus", 64),
        physical_cpus=1, gpu_count=machine.get("gpus", 8), gpu_used=machine.get("gpusUsed", 0),
        mem_size_gib=Fraction(machine.get("memory", 512)), mem_free_gib=Fraction(machine.get("memory", 512)),
        disks=disks, images=tuple(StoredImage(name) for name in machine.get("images", ("ubuntu.qcow2",))),
    )  # fmt: skip


def _change(change: Change) -> dict[str, Any]:
    found: dict[str, Any] = {"action": change.action.value, "reasons": list(change.reasons)}
    fields = change.fields if change.action in {"update", "replace"} else ()
    found["fields"] = {f.path: f"{_text(f.before)} -> {_text(f.after)}{' (drift)' * f.drift}" for f in fields}
    found["powerOff"] = change.power_off
    found["unsettled"], found["known"] = change.unsettled, list(change.identity.known)
    return {key: value for key, value in found.items() if value}


def _text(value: Any) -> str:
    return "none" if value is None else str(value)


def _step(step: Step) -> dict[str, Any]:
    goals = [g.text if g.address == step.address else f"{g.address}: {g.text}" for g in step.goals]
    found = {"step": step.key, "after": list(step.after), "goals": goals}
    return {key: value for key, value in found.items() if value}
