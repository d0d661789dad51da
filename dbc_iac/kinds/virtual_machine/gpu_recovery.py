"""Recovery of a VM whose GPUs were taken while it was off, and explanations of a refused start."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dbc_iac.json import Json, value_text
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.kinds.virtual_machine.goals import VmColdModified

GPUS_TAKEN = "check gpu failed"
"""Refusal of a start: a VM that is off keeps its very GPUs, but others may use them meanwhile."""


async def other_gpus(task: GoalInput, refused: str, reader: CachedReader) -> list[Goal]:
    """Goals that set another number of GPUs and then the desired one, if that many are free: free GPUs are assigned."""
    gpus = task.desired.get("gpus") or task.applied.get("gpus")
    if GPUS_TAKEN not in refused or not isinstance(gpus, int):
        return []
    reader.forget(target=task.route.target)
    hardware = await reader.hardware(task.route)
    if not isinstance(hardware, Known) or hardware.value.gpu_count - hardware.value.gpu_used < gpus:
        return []
    return [
        VmColdModified(
            address=task.address, route=task.route, id=task.id, vm=task.id, fields={"gpus": number},
            change={"gpus": number}, public_ip=str(task.desired.get("publicIp") or ""),
        )
        for number in (0, gpus)
    ]  # fmt: skip


async def gpus_in_use(route: Route, seen: dict[str, Capacity], reader: CachedReader) -> str:
    """Holders of the machine's GPUs; other wallets' VMs are not visible. `seen`: capacity of this wallet's VMs."""
    hardware = await reader.hardware(route)
    if not isinstance(hardware, Known):
        return ""
    held = [f"VM {identity} holds {h.gpus}" for identity, h in sorted(seen.items()) if h.gpus]
    holders = f" ({', '.join(held)})" if held else ""
    return f"{hardware.value.gpu_used} of {hardware.value.gpu_count} GPUs are in use{holders}"


def ports_in_use(wanted: Capacity, seen: dict[str, Capacity]) -> str:
    """Holders of the ports of a VM; other wallets' VMs are not visible. `seen`: capacity of the other VMs."""
    held = ((identity, wanted.clashes(other)) for identity, other in sorted(seen.items()))
    return ", ".join(f"VM {identity} has {', '.join(words)}" for identity, words in held if words)


def port_in_use_unseen(values: Mapping[str, Json], refused: str) -> str:
    """The port that a refused start names, which a VM of another wallet has; empty where it names none."""
    named = re.search(r"check (ssh|rdp|vnc)_port failed", refused)
    if named is None:
        return ""
    path = f"ports.{named[1]}"
    return f"a running VM of another wallet has {path} {value_text(values.get(path))}; set another"
