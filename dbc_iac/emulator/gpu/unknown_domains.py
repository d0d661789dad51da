"""Search for running domains unknown to the node, and for ended rentals, before a create, start or restart.

Up to twenty seconds within the request; then *every* running domain of the host is destroyed.
"""

from __future__ import annotations

from dbc_iac.emulator.gpu.domain import Domain
from dbc_iac.emulator.gpu.jobs import close_task
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.rental import is_renting
from dbc_iac.emulator.gpu.states import DomainState

_ROUNDS = 10


async def destroy_unknown_domains(machine: Machine, operation: str) -> None:
    """Destroy unknown domains. Raises Refused if one survives."""
    for _ in range(_ROUNDS):
        if not _unknown_domains(machine):
            return
        await machine.clock.sleep(machine.spec.durations.foreign_round)
    if not _unknown_domains(machine):
        return
    for domain in list(machine.libvirt.domains.values()):
        if domain.state is DomainState.RUNNING and not domain.survives_destroy:
            await machine.libvirt.destroy(domain)
    if _unknown_domains(machine):
        raise Refused(f"{operation} task failed, please try again in a minute", -3)


async def stop_ended_rentals(machine: Machine) -> None:
    """Hard-stop every running VM whose order is not renting any more. Part of every create."""
    for record in list(machine.records.values()):
        runs = machine.libvirt.state(record.task_id) is DomainState.RUNNING
        if record.wallet in machine.exempt:
            continue
        if runs and not is_renting(machine.rentals, record.rent_order, record.wallet):
            await close_task(machine, record.task_id)


def _unknown_domains(machine: Machine) -> list[Domain]:
    return [
        domain
        for domain in machine.libvirt.domains.values()
        if domain.state is DomainState.RUNNING and domain.name not in machine.records
    ]
