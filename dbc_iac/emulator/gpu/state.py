"""Saving and loading of a node: contents of its disks and libvirt. Jobs, transfers and nonces are not saved."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any

from msgspec import Struct, convert, field, to_builtins

from dbc_iac.emulator.gpu.domain import Definition, Domain
from dbc_iac.emulator.gpu.files import HostFile
from dbc_iac.emulator.gpu.lan import Lan
from dbc_iac.emulator.gpu.logs import MAX_LINES, LogLine
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.snapshot_records import Snapshot
from dbc_iac.emulator.gpu.spec import GuestSpec
from dbc_iac.emulator.gpu.states import TRANSITIONAL, DomainState, rebuilt


class SavedDomain(Struct):
    name: str
    definition: Definition
    live: Definition | None
    mac: str
    guest: GuestSpec
    state: DomainState
    address: str
    survives_destroy: bool


class SavedNode(Struct):
    """Emulated seconds are not saved: a booting guest is loaded as booted."""

    records: list[Record]
    domains: list[SavedDomain]
    files: dict[str, HostFile]
    directories: list[str]
    bridges: list[str]
    lans: list[Lan]
    snapshots: dict[str, list[Snapshot]]
    rent_ends: dict[str, int]
    monitors: dict[str, list[str]]
    gpus: list[str]
    passthrough: bool
    exempt: list[str] = field(default_factory=list)
    logs: dict[str, list[LogLine]] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    at_work: list[str] = field(default_factory=list)
    """VMs with a job. A transitional status without a job remains, as on the real node."""


def save_state(machine: Machine) -> dict[str, Any]:
    saved = SavedNode(
        records=list(machine.records.values()),
        domains=[_saved(domain) for domain in machine.libvirt.domains.values()],
        files=machine.files.files,
        directories=sorted(machine.files.directories),
        bridges=sorted(machine.libvirt.bridges),
        lans=machine.lan.sorted(),
        snapshots=machine.snapshots.snapshots,
        rent_ends=machine.rent_ends,
        monitors=machine.monitors,
        gpus=machine.gpus,
        passthrough=machine.libvirt.passthrough,
        exempt=sorted(machine.exempt),
        logs={task_id: list(lines) for task_id, lines in machine.logs.lines.items() if task_id in machine.records},
        addresses=machine.addresses,
        at_work=sorted({job.task_id for job in machine.worker.jobs}),
    )
    dumped: dict[str, Any] = to_builtins(saved, enc_hook=GuestSpec.model_dump)
    return dumped


def load_state(machine: Machine, state: dict[str, Any]) -> None:
    """Load a state. Raises msgspec.ValidationError for data not written by `save_state`."""
    saved = convert(state, SavedNode, dec_hook=lambda _, value: GuestSpec.model_validate(value))
    machine.records = {record.task_id: record for record in saved.records}
    machine.libvirt.domains = {one.name: _loaded(machine, one) for one in saved.domains}
    machine.files.files = saved.files
    machine.files.directories = set(saved.directories)
    machine.libvirt.bridges.clear()
    machine.libvirt.bridges.update(saved.bridges)
    machine.lan.networks = {lan.name: lan for lan in saved.lans}
    machine.snapshots.snapshots = saved.snapshots
    machine.rent_ends = saved.rent_ends
    machine.monitors = saved.monitors
    machine.gpus = saved.gpus
    machine.libvirt.passthrough = saved.passthrough
    machine.exempt = set(saved.exempt)
    machine.addresses = saved.addresses or machine.addresses
    machine.read_addresses()
    for task_id, lines in saved.logs.items():
        machine.logs.lines[task_id] = deque(lines, maxlen=MAX_LINES)
    _forget_jobs(machine, saved.at_work)
    if machine.lan.networks:
        machine.lan.keep_ticking()
    machine.remember_running()


def _forget_jobs(machine: Machine, at_work: Collection[str]) -> None:
    """Resolve transitional statuses: a VM shows its domain's state; one without a domain is removed."""
    for record in [r for r in machine.records.values() if r.status in TRANSITIONAL and r.task_id in at_work]:
        if machine.libvirt.exists(record.task_id):
            record.status = rebuilt(machine.libvirt.state(record.task_id))
        else:
            del machine.records[record.task_id]


def _saved(domain: Domain) -> SavedDomain:
    return SavedDomain(
        name=domain.name,
        definition=domain.definition,
        live=domain.live,
        mac=domain.mac,
        guest=domain.guest,
        state=domain.state,
        address=domain.address,
        survives_destroy=domain.survives_destroy,
    )


def _loaded(machine: Machine, saved: SavedDomain) -> Domain:
    runs = saved.state is not DomainState.SHUTOFF
    return Domain(
        name=saved.name,
        definition=saved.definition,
        mac=saved.mac,
        guest=saved.guest,
        state=saved.state,
        live=saved.live,
        address=saved.address,
        address_at=machine.clock.now() if runs and saved.guest.dhcp else None,
        has_lease=bool(saved.address),
        survives_destroy=saved.survives_destroy,
    )
