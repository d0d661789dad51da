"""What helps a VM that the node will not start, and what it lacks: cards that others have taken meanwhile."""

from __future__ import annotations

from dbc_iac.kinds.framework.cached_reader import CachedReader, Known
from dbc_iac.kinds.framework.capacity import Capacity
from dbc_iac.kinds.framework.goal import Goal
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.values import GoalInput
from dbc_iac.kinds.virtual_machine.goals import VmColdModified

GPUS_TAKEN = "check gpu failed"
"""The node keeps the very cards of a VM that is off, lends them to others, and then wants those and no others."""


async def other_gpus(task: GoalInput, refused: str, reader: CachedReader) -> list[Goal]:
    """Another number of cards and then the wanted one, if so many are free: what is given is what is free then."""
    cards = task.desired.get("gpus") or task.applied.get("gpus")
    if GPUS_TAKEN not in refused or not isinstance(cards, int):
        return []
    reader.forget(target=task.route.target)
    hardware = await reader.hardware(task.route)
    if not isinstance(hardware, Known) or hardware.value.gpu_count - hardware.value.gpu_used < cards:
        return []
    return [
        VmColdModified(
            address=task.address, route=task.route, id=task.id, vm=task.id, fields={"gpus": number},
            change={"gpus": number}, public_ip=str(task.desired.get("publicIp") or ""),
        )
        for number in (0, cards)
    ]  # fmt: skip


async def gpus_in_use(route: Route, seen: dict[str, Capacity], reader: CachedReader) -> str:
    """Who has the machine's cards, as far as it is shown: other wallets' VMs are not. `seen`: what ours hold."""
    hardware = await reader.hardware(route)
    if not isinstance(hardware, Known):
        return ""
    held = [f"VM {identity} holds {h.gpus}" for identity, h in sorted(seen.items()) if h.gpus]
    told = f" ({', '.join(held)})" if held else ""
    return f"{hardware.value.gpu_used} of {hardware.value.gpu_count} GPUs are in use{told}"


def ports_in_use(wanted: Capacity, seen: dict[str, Capacity]) -> str:
    """Who has the ports of a VM, as far as it is shown: other wallets' VMs are not. `seen`: what the others hold."""
    held = ((identity, wanted.clashes(other)) for identity, other in sorted(seen.items()))
    return ", ".join(f"VM {identity} has {', '.join(words)}" for identity, words in held if words)
