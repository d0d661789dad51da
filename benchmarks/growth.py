"""Growth of the cost of each phase of a plan with the number of resources, on made-up observations, without the API.

    python -m benchmarks.growth [--sizes 500,1000,2000] [SITUATION ...]

Fits seconds = c * n ** exponent to each phase; exits with 1 if an exponent is above LIMIT. Times are processor time.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import resource
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.fleet import NODES, VM, nodes
from dbc_iac.__main__ import COLLECT_AFTER
from dbc_iac.api.responses import RentOrder
from dbc_iac.diagnostics import DiagnosticError, Diagnostics
from dbc_iac.kinds import Inventory, Observation, kind_of
from dbc_iac.kinds.framework.cached_reader import CachedReader
from dbc_iac.kinds.framework.capabilities import Marked
from dbc_iac.kinds.framework.capacity import Machine
from dbc_iac.kinds.framework.route import Route
from dbc_iac.manifest import template_process
from dbc_iac.operations.plan_files import write_plan_file
from dbc_iac.operations.project import Project
from dbc_iac.operations.runtime import Runtime
from dbc_iac.plan import Plan, PlanContext, PlanOptions, check_inventory
from dbc_iac.plan.check.preflight import PreflightFacts
from dbc_iac.plan.decide.moved_blocks import check_lists, renamed
from dbc_iac.plan.dependencies import dependencies
from dbc_iac.plan.observe.refresh import RefreshedState
from dbc_iac.plan.observe.tracked_objects import TrackedObject, find_tracked_objects, parent_address
from dbc_iac.plan.planner import complete, decide, with_resolved
from dbc_iac.state.document import Binding, State
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.markdown.plan import plan_markdown
from dbc_iac.views.text.diagnostics import render
from dbc_iac.views.text.lines import json_pieces
from dbc_iac.views.text.plan import plan_lines
from tests.plan.case import _hardware
from tests.projects import PROJECT, SEED, UID, document
from tests.state.places import local_store, stored_state

LIMIT = 1.15
SIZES = (500, 2000, 8000, 16000)
REPEATED = 2000
"""VMs up to which a size is measured several times, at most four: the mean is its point."""
FILE = 5000
"""Instances of a `forEach` in a file."""
LEAST_SECONDS = 0.02
"""Phases that are shorter at the largest size are not fitted."""


@dataclass(frozen=True)
class Situation:
    """A project of `count` VMs and the state before it. Spec fields with a value of None are left out."""

    about: str
    applied: Mapping[str, Any] | None = field(default_factory=dict)
    """Fields of the VMs that differ in the state; None: nothing was applied."""
    renamed: bool = False
    """Whether the state has other names."""
    moved: bool = False
    """Whether `moved` has these names."""
    removed: bool = False
    """Whether the manifests have no VMs."""
    unreadable: bool = False
    absent: bool = False
    spec: Mapping[str, Any] = field(default_factory=dict)
    extra: str = ""
    """Kind of further resources, one for each VM."""
    refused: bool = False
    """Whether its problems prevent a plan."""
    documents: bool = False
    """Whether each VM is a document, and not an instance of a `forEach`."""
    options: PlanOptions = PlanOptions()  # noqa: RUF009 - frozen


_ALL = PlanOptions(max_removals=100, allow_empty=True)
SITUATIONS = {
    "new": Situation("all VMs are new", applied=None),
    "unchanged": Situation("all VMs match"),
    "documents": Situation("all VMs match, each in a document of its own", documents=True),
    "changed": Situation("a port of each VM changes while it runs", {"ports": {"ssh": "auto", "vnc": "auto"}},
                         spec={"firewall": ["in,tcp,22,0.0.0.0/0,accept"]}),
    "windows": Situation("each VM has a disk, and both change in a power-off window", {"cpus": 2}, extra="Disk"),
    "problems": Situation("the disk of each VM would shrink", {"dataDisk.size": "20Gi"}),
    "dangling": Situation("each VM names a network that does not exist", applied=None,
                          spec={"network": "lan-{{ each.key }}"}, refused=True),
    "unknown": Situation("no VM can be read, and each has a new disk", unreadable=True, extra="New disk"),
    "absent": Situation("all VMs were deleted outside", absent=True),
    "renamed": Situation("each VM has another name", renamed=True, options=_ALL),
    "removed": Situation("all VMs are removed from the manifests", removed=True, options=_ALL),
    "replaced": Situation("each VM is replaced", {"image": "old.qcow2"}, extra="Disk", options=_ALL),
    "network": Situation("all VMs are in one network, which is replaced with them", {"image": "old.qcow2"},
                         spec={"network": "lan"}, extra="One network", options=_ALL),
    "exports": Situation("each VM is new, and its node uploads an image for it", applied=None, extra="ImageExport"),
    "moved": Situation("each VM has another name, with an entry of `moved`", renamed=True, moved=True),
    "chain": Situation("each VM depends on another", applied=None, documents=True, extra="Chain"),
}  # fmt: skip


class Phases:
    """Processor time of named phases, in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        template_process._end()
        gc.collect()
        began = _used()
        try:
            yield
        finally:
            gc.collect(0)  # otherwise only a large size would pay for it
            template_process._end()  # its time counts once it has ended
            self.seconds[name] = self.seconds.get(name, 0.0) + _used() - began


def _used() -> float:
    """Processor time of this process and of its ended children, in seconds."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(r.ru_utime + r.ru_stime for r in both)


@dataclass
class Planned:
    """A situation at one size."""

    situation: Situation
    count: int
    folder: Path

    def write(self) -> None:
        one = self.situation
        found = nodes()
        spec = {**VM, **one.spec}
        names = [f"vm-{n}" for n in range(0 if one.removed else self.count)]
        if one.extra == "One network":
            found.append(document("Network", "lan", {"via": "node-0", "name": "growth", "cidr": "192.168.66.0/24"}))
        if one.documents:
            for n, name in enumerate(names):
                after = {"dependsOn": [f"VirtualMachine/{names[n - 1]}"]} if n and one.extra == "Chain" else {}
                found.append(document("VirtualMachine", name, {**spec, "node": f"node-{n % NODES}", **after}))
        else:
            for n in range(0, len(names), FILE):
                keys = {name: f"node-{i % NODES}" for i, name in enumerate(names[n : n + FILE])}
                found.append(document("VirtualMachine", f"fleet{n}", spec, forEach=keys))
                if "isk" in one.extra:
                    disk = {"vm": f"fleet{n}.{{{{ each.key }}}}", "size": "5Gi"}
                    found.append(document("Disk", f"disks{n}", disk, forEach=keys))
                if one.extra == "ImageExport":
                    export = {"node": "{{ each.value }}", "file": "{{ each.key }}.qcow2", "imageServer": "ID_1"}
                    found.append(document("ImageExport", f"exports{n}", export, forEach=keys))
        (self.folder / "manifests").mkdir()
        vms = [f"VirtualMachine/fleet{n - n % FILE}.{name}" for n, name in enumerate(names)] if one.moved else []
        moved = [{"from": vm.replace("vm-", "old-"), "to": vm} for vm in vms]
        (self.folder / "dbc-iac.yaml").write_text(f"{PROJECT}  moved: {json.dumps(moved)}\n" if moved else PROJECT)
        size = FILE // 5 if one.documents else 1  # a file has at most 100,000 values
        for n in range(0, len(found), size):
            (self.folder / f"manifests/{n:06}.yaml").write_text("---\n".join(found[n : n + size]))

    def load(self) -> Project:
        return Project.load(self.folder, runtime=Runtime(environ={"SEED": SEED}))

    def state(self, inventory: Inventory) -> State:
        """The state of the last apply: of the same manifests, but for what the situation says."""
        one, ports = self.situation, dict.fromkeys(range(NODES), 20000)
        bindings: dict[str, Binding] = {}
        source = inventory
        if one.removed:
            with tempfile.TemporaryDirectory() as folder:
                before = Planned(Situation("", spec=one.spec), self.count, Path(folder))
                before.write()
                source = before.load().inventory
        for number, made in enumerate(source.resources.values()):
            kind = kind_of(made.kind)
            if kind.read_only or one.applied is None or (one.extra == "New disk" and made.kind == "Disk"):
                continue
            fields = dict(kind.desired(made, source))
            route = kind.route(made, source)
            if made.kind == "VirtualMachine":
                fields |= {k: v for k, v in one.applied.items() if k != "ports"}
            if "firewall" in fields and "ports" in one.applied:
                del fields["firewall"]
            for path in [p for p, v in fields.items() if v == "auto"]:
                node = int(route.name.rpartition("-")[2])
                fields[path] = ports[node] = ports[node] + 1
            address = made.address.replace("vm-", "old-") if one.renamed else made.address
            bindings[address] = Binding(
                address=address, kind=made.kind, generation=1,
                id=kind.identity(made, source, 1) or f"id-{number}",
                route=route.to_json(), applied=fields, parent=parent_address(made),
                dependencies=dependencies(made, source), protected=kind.protected(made),
            )  # fmt: skip
        return State(
            lineage="1", serial=1, project="lab", uid=inventory.uid, stack="main", environment="", bindings=bindings,
            generations=dict.fromkeys(bindings, 1),
        )  # fmt: skip

    def refreshed(self, context: PlanContext) -> RefreshedState:
        tracked = find_tracked_objects(context)
        observations = {a: self._observation(t, context) for a, t in tracked.items()}
        return RefreshedState(tracked, observations, CachedReader(_no_api), {t.route: True for t in tracked.values()})

    def _observation(self, tracked: TrackedObject, context: PlanContext) -> Observation:
        if self.situation.unreadable and tracked.binding is not None:
            return Observation(None, id=tracked.id, reason="client node default cannot be reached")
        if tracked.binding is None or self.situation.absent:
            return Observation(False, id=tracked.id)
        shown = {f.path for f in kind_of(tracked.kind).fields if not f.rule.not_reported}
        values = {p: v for p, v in tracked.binding.applied.items() if p in shown}
        kind, marker = kind_of(tracked.kind), ""
        if tracked.resource is not None and isinstance(kind, Marked):
            marker = kind.marker(tracked.resource, context.inventory, tracked.generation)
        return Observation(True, id=tracked.id, values=values, marker=marker)

    def facts(self, inventory: Inventory, refreshed: RefreshedState) -> PreflightFacts:
        room = {"cpus": 10**6, "memory": 10**7, "gpus": 8, "disks": {"/data": 10**8}, "images": ("ubuntu.qcow2",)}
        machines: dict[Route, Machine] = {}
        for route in {t.route: t for t in refreshed.tracked_objects.values()}:
            order = RentOrder(route.rent_order, "", "renting", None, 8, tuple(range(8)))
            machines[route] = Machine(route, _hardware(room), (order,), True)
        return PreflightFacts(machines)

    def measure(self) -> dict[str, float]:
        phases = Phases()
        project, state = self.prepare(phases)
        try:
            plan = self.plan(phases, project, state)
        except DiagnosticError as error:
            if not self.situation.refused:
                raise
            with phases.phase("report"):
                render(error.diagnostics, project.sources)
        else:
            self._show(phases, plan)
        return phases.seconds

    def prepare(self, phases: Phases) -> tuple[Project, State]:
        """The project and its state, written and read."""
        self.write()
        with phases.phase("load"):
            project = self.load()
            inventory = project.inventory
        state = self.state(inventory)
        with phases.phase("state"):
            local_store(self.folder / "state").begin(state)
            state = stored_state(local_store(self.folder / "state"), uid=UID)
        return project, state

    def plan(self, phases: Phases, project: Project, state: State) -> Plan:
        """The plan. Raises DiagnosticError if there is none."""
        options, problems = self.situation.options, Diagnostics()
        with phases.phase("check"):
            problems.extend(check_lists(project.inventory.moves, (), project.loaded.where))
            state, _ = renamed(state, project.inventory.moves, project.inventory.resources)
            context = with_resolved(
                PlanContext(
                    project.inventory, state, _no_api, lambda address, path: None, identities={"tenant": "wallet"}
                )
            )
            problems.extend(check_inventory(context.inventory, context.identities))
            problems.raise_errors()
        with phases.phase("track"):
            refreshed = self.refreshed(context)
        facts = self.facts(context.inventory, refreshed)
        with phases.phase("decide"):
            decision = decide(context, refreshed, options, problems)
        with phases.phase("complete"):
            return complete(decision, refreshed, options, facts).plan

    def _show(self, phases: Phases, plan: Plan) -> None:
        with phases.phase("digest"):
            len(plan.digest)
        with phases.phase("text"):
            for line in plan_lines(plan):
                str(line)
        with phases.phase("markdown"):
            for part in plan_markdown(plan):
                len(part)
        with phases.phase("html"):
            for part in plan_html(plan):
                len(part)
        with phases.phase("json"):
            for part in json_pieces(dict(plan.members())):
                len(part)
        with phases.phase("file"):
            write_plan_file(plan, self.folder / "plan", None, None)


async def _no_api(route: object) -> Any:
    raise AssertionError("a plan on made-up observations asks nothing")


def exponent(points: Mapping[int, float]) -> float:
    """Slope of log seconds over log n, by least squares."""
    logs = [(math.log(n), math.log(max(s, 1e-4))) for n, s in points.items()]
    x, y = (sum(values) / len(logs) for values in zip(*logs, strict=True))
    slope: float = sum((a - x) * (b - y) for a, b in logs) / sum((a - x) ** 2 for a, _ in logs)
    return slope


Points = Mapping[int, float]
"""Seconds by number of VMs."""


def measured(names: Iterable[str], sizes: Sequence[int]) -> Iterator[tuple[str, dict[str, Points]]]:
    """The points of each phase of each situation."""
    gc.set_threshold(COLLECT_AFTER, 20, 20)  # as in the command
    for name in names:
        _measure(name, 1)  # imports and templates: a constant would make the exponent smaller
        found: dict[str, dict[int, float]] = {}
        for count in sizes:
            runs = [_measure(name, count) for _ in range(max(1, min(4, REPEATED // count)))]
            for phase in runs[0]:
                found.setdefault(phase, {})[count] = sum(run[phase] for run in runs) / len(runs)
        yield name, dict(found)


def _measure(name: str, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return Planned(SITUATIONS[name], count, Path(folder)).measure()


def fitted(points: Points) -> float:
    """The exponent of a phase; 0 if it is too short to be fitted."""
    return exponent(points) if len(points) > 1 and points[max(points)] >= LEAST_SECONDS else 0.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("situations", nargs="*", default=list(SITUATIONS), metavar="SITUATION")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    given = parser.parse_args()
    sizes, worst = [int(s) for s in given.sizes.split(",")], 0.0
    for name, found in measured(given.situations, sizes):
        print(f"{name}: {SITUATIONS[name].about}")
        for phase, points in found.items():
            slope = fitted(points)
            worst = max(worst, slope)
            row = "".join(f"{seconds:9.3f}" for seconds in points.values())
            print(f"  {phase:<9}{row}  n^{slope:.2f}{'  above the limit' if slope > LIMIT else ''}", flush=True)
    print(f"largest exponent {worst:.2f}, limit {LIMIT}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
