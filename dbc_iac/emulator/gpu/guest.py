"""Queries to a guest: its DHCP address, and setting a password by its agent.

Waits are computed: sleep until an event is possible, rounded up to the node's polling interval.
"""

from __future__ import annotations

import math

from dbc_iac.emulator.gpu.domain import Domain
from dbc_iac.emulator.gpu.logs import Place
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu.timing import sleep_or

SET_PASSWORD = Place("vm_client.cpp", 1971, "SetDomainUserPassword")
_NO_AGENT = "Guest agent is not responding: QEMU guest agent is not connected"


async def wait_for_address(machine: Machine, task_id: str) -> str:
    """The guest's address; empty after about 50 minutes. The whole queue waits meanwhile.

    One poll every three seconds, a power cycle of the domain every 300 polls.
    """
    durations = machine.spec.durations
    looks = 0
    while looks < durations.address_polls:
        looks += 1
        domain = machine.libvirt.domains.get(task_id)
        if domain is not None and looks % durations.restart_polls == 0 and domain.is_active:
            machine.libvirt.set_state(domain, DomainState.SHUTOFF)
            machine.libvirt.set_state(domain, DomainState.RUNNING)
            await machine.clock.sleep(durations.poll)
        if domain is not None and machine.libvirt.has_address(domain):
            await machine.clock.sleep(durations.poll)
            return domain.address
        looks += await _pass(machine, domain, _idle_looks(machine, domain, looks)) - 1
    return ""


async def set_password(machine: Machine, task_id: str, user: str, password: str, tries: int) -> str:
    """Set a password by the agent: empty on success, else libvirt's text. Three seconds per attempt."""
    error = ""
    while tries > 0:
        error = _refusal(machine, task_id, user)
        domain = machine.libvirt.domains.get(task_id)
        hopeless = error and domain is not None and not _may_come_up(machine, domain)
        tries -= await _pass(machine, domain, tries if hopeless else 1)
        if not error:
            machine.logs.info(task_id, SET_PASSWORD, f"set vm user password successful, user:{user}, pwd:{password}")
            return ""
    machine.logs.error(
        task_id, SET_PASSWORD, f"set vm user password failed, user:{user}, pwd:{password}, error:{error}"
    )
    return error


def local_addresses(machine: Machine, domain: Domain, network_address: str) -> list[str]:
    """Addresses reported by the agent, without the host's own network."""
    answers = domain.state is DomainState.RUNNING and domain.guest.agent and machine.libvirt.has_address(domain)
    return [network_address] if answers and network_address else []


def _refusal(machine: Machine, task_id: str, user: str) -> str:
    if not machine.libvirt.connected:
        return "libvirt disconnect"
    domain = machine.libvirt.domains.get(task_id)
    if domain is None:
        return "task not existed"
    if domain.state is not DomainState.RUNNING:
        return "Requested operation is not valid: domain is not running"
    if not domain.guest.agent or not machine.libvirt.has_address(domain):
        return _NO_AGENT
    if not domain.guest.sets_password or (domain.guest.users is not None and user not in domain.guest.users):
        return domain.guest.agent_error
    return ""


def _may_come_up(machine: Machine, domain: Domain) -> bool:
    return domain.guest.agent and domain.state is DomainState.RUNNING and not machine.libvirt.has_address(domain)


def _idle_looks(machine: Machine, domain: Domain | None, looks: int) -> int:
    """Number of polls that cannot succeed."""
    durations = machine.spec.durations
    until_cycle = durations.restart_polls - looks % durations.restart_polls
    most = min(durations.address_polls - looks + 1, until_cycle)
    if domain is not None and domain.address_at is not None and domain.is_active:
        wait = domain.address_at - machine.clock.now()
        most = min(most, math.ceil(round(wait / durations.poll, 6)))
    return max(1, most)


async def _pass(machine: Machine, domain: Domain | None, looks: int) -> int:
    """Sleep for a number of polls, less if the domain changes: the number that passed."""
    poll = machine.spec.durations.poll
    if domain is None or looks == 1:
        await machine.clock.sleep(looks * poll)
        return looks
    before = machine.clock.now()
    await sleep_or(machine.clock, looks * poll, domain.changed)
    elapsed = machine.clock.now() - before
    passed = max(1, math.ceil(round(elapsed / poll, 6)))
    await machine.clock.sleep(passed * poll - elapsed)
    return passed
