"""Plans for tests of the output formats: one with everything in it, and one of a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbc_iac.plan.model import Action, Change, FieldChange, GoalSummary, Identity, Placement, Plan, Step, StepKind
from dbc_iac.views.html.plan import plan_html
from dbc_iac.views.text.lines import PLAIN_TEXT
from dbc_iac.views.text.plan import plan_lines
from dbc_iac.views.wording import Detail

HOSTILE = "</details></script><img src=x onerror=alert(1)> ``` [click](https://evil) @everyone \x1b[31m\u202e {{ 7*7 }}"
"""Hostile text of a node or a manifest, for terminals, pages and pull requests."""


def plan_text(plan: Plan, detail: Detail = Detail.GROUPED) -> str:
    """The whole plan as plain text."""
    return PLAIN_TEXT.render(plan_lines(plan, detail))


def plan_page(plan: Plan, detail: Detail = Detail.GROUPED) -> str:
    """The whole page."""
    return "".join(plan_html(plan, detail))


def plan(*changes: Change, steps: tuple[Step, ...] = (), **more: Any) -> Plan:
    return Plan("lab", "main", "prod", "l" * 32, 3, "c" * 64, "o" * 64, changes, steps, **more)


def change(
    name: str,
    action: Action,
    *fields: FieldChange,
    kind: str = "VirtualMachine",
    node: str = "Node/gpu-a",
    route: Mapping[str, Any] | None = None,
    parent: str = "",
    old_id: str = "",
    **more: Any,
) -> Change:
    placement, identity = Placement(node, route or {}, parent), Identity(f"id-{name}", old_id)
    return Change(f"{kind}/{name}", kind, action, fields=fields, identity=identity, placement=placement, **more)


def window(name: str, *goals: GoalSummary, seconds: int = 60, **more: Any) -> Step:
    address = f"VirtualMachine/{name}"
    return Step(
        f"{address} window", StepKind.WINDOW, address, goals, node="Node/gpu-a", seconds=seconds, power="on", **more
    )


def goal(address: str, text: str) -> GoalSummary:
    return GoalSummary(address, "goal", text, "idempotent")


def step(address: str, text: str, **more: Any) -> Step:
    return Step(address, StepKind.CHANGE, address, (goal(address, text),), node="Node/gpu-a", **more)


MEMORY = FieldChange("memory", "32Gi", "64Gi", "cold-boot")
IMAGE = FieldChange("image", "ubuntu.qcow2", "debian.qcow2", "replace")
POWER = FieldChange("power", "off", "on", "online", drift=True)
PASSWORD = FieldChange("login.password", "(secret)", "(secret)", "running", secret=True)


def everything() -> Plan:
    """A plan with a change of every action, a loss, a window, drift, notes, secrets, and words that would do harm."""
    wall = FieldChange("firewall", [f"in,tcp,{n},0.0.0.0/0,accept" for n in range(30)], [], "online")
    return plan(
        change("new", Action.CREATE, FieldChange("gpus", None, 2, "cold-boot"),
               dependencies=("Network/lan",)),
        change("bigger", Action.UPDATE, MEMORY, PASSWORD, wall, reasons=("manifest changed",), power_off=True),
        change("other", Action.REPLACE, IMAGE, reasons=("image differs",), old_id="id-before",
               losses=("VirtualMachine/other: its 200Gi of data are lost",)),
        change(
            "old",
            Action.DELETE,
            reasons=("no longer in the manifests",),
            losses=("VirtualMachine/old: its disks are deleted (100Gi of data)",),
        ),
        change("stopped", Action.UPDATE, POWER, reasons=("drift",)),
        change("resting", Action.UPDATE, MEMORY, POWER, reasons=("manifest changed",), observed={"power": "off"}),
        change("taken", Action.ADOPT, reasons=("it is there",)),
        change("gone", Action.FORGET, reasons=("it is gone",)),
        change("unread", Action.UNKNOWN, reasons=(f"the node said: {HOSTILE}",)),
        change("same", Action.NO_OP, notes=(f"osName reads {HOSTILE}",)),
        change("lan", Action.CREATE, kind="Network"),
        change("scratch", Action.UPDATE, FieldChange("size", "100Gi", "200Gi", "offline"), kind="Disk",
               parent="VirtualMachine/bigger", dependencies=("VirtualMachine/bigger",)),
        steps=(
            window("bigger", goal("VirtualMachine/bigger", "setting memory to 64Gi"), goal("Disk/scratch", "resizing to 200 GiB")),
            window("resting", goal("VirtualMachine/resting", "setting memory to 64Gi")),
            step("Network/lan", "creating"),
            step("VirtualMachine/new", "creating", after=("Network/lan",)),
            step("VirtualMachine/old", "deleting"),
        ),
        recovery=("VirtualMachine/x was being created: it is looked at first",),
        moves=("VirtualMachine/a is VirtualMachine/b now",),
        calls=12,
    )  # fmt: skip


def fleet(count: int) -> Plan:
    """Many VMs on 20 nodes: most are new, every tenth gets more memory."""
    changes, steps = [], []
    for n in range(count):
        node, address = f"Node/gpu-{n % 20}", f"VirtualMachine/w-{n}"
        if n % 10:
            fields = (FieldChange("gpus", None, 1, "cold-boot"), FieldChange("ports.ssh", None, 20_000 + n, "online"))
            changes.append(change(f"w-{n}", Action.CREATE, *fields, node=node))
            steps.append(step(address, "creating"))
        else:
            changes.append(change(f"w-{n}", Action.UPDATE, MEMORY, reasons=("manifest changed",), node=node))
            steps.append(window(f"w-{n}", goal(address, "setting memory to 64Gi")))
    return plan(*changes, steps=tuple(steps))
