"""Modify: synchronous, step by step, not atomic. A refused step leaves the earlier ones done.

Address, ports, forwards and filters are saved at once. Screen port, GPUs, cores and memory change only in memory until
the domain is rewritten at the end: after a refusal in between, details show the new value and a repeat has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from dbc_iac.emulator.gpu.capacity import (
    Neighbours,
    Topology,
    allocate_cpus,
    allocate_gpus,
    allocate_memory,
    check_public_ip,
    neighbours,
    share_of,
)
from dbc_iac.emulator.gpu.create import KIB_IN_GIB
from dbc_iac.emulator.gpu.ctext import atoi, port_number, text_of, texts_of
from dbc_iac.emulator.gpu.domain import LibvirtError
from dbc_iac.emulator.gpu.filters import apply_filters
from dbc_iac.emulator.gpu.logs import Place
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, quoted, spaced
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.rental import rented_indexes
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.reply import ProcessDied, Reply

_PLACE = Place("TaskManager.cpp", 2187, "modifyTask")


class _Rented(Struct, frozen=True):
    """GPUs of the VM's own order. `whole`: the order covers the machine."""

    indexes: list[int]
    whole: bool
    share: float


async def modify(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    record = machine.existing(request.task_id)
    await machine.settle()
    rented = _rented(machine, record, caller)
    requested = request.additional
    others = neighbours(machine, record.task_id)
    await _change_forwards(machine, others, record, requested)
    _change_filters(machine, record, requested)
    changes = [
        _change_vnc_port(machine, others, record, text_of(requested, "new_vnc_port")),
        _change_gpus(machine, others, record, text_of(requested, "new_gpu_count"), rented),
        _change_cpus(machine, others, record, text_of(requested, "new_cpu_cores"), rented),
        _change_memory(machine, others, record, text_of(requested, "new_mem_size"), rented),
    ]
    if any(changes):
        _rewrite(machine, record)
    machine.logs.info(record.task_id, _PLACE, "modify task successful")
    return spaced(quoted("some changes will take effect on the next boot") if any(changes) else OK)


def _rented(machine: Machine, record: Record, caller: Caller) -> _Rented:
    indexes = rented_indexes(machine.rentals, record.rent_order, caller.wallet)
    total = len(machine.gpus)
    if not record.rent_order or len(indexes) == total:
        return _Rented(indexes, True, 1.0)
    if not indexes:
        raise Refused("gpu rent order is empty")
    return _Rented(indexes, False, share_of(len(indexes), total))


# -- immediate ---------------------------------------------------------------------------------


async def _change_forwards(
    machine: Machine, others: Neighbours, record: Record, requested: Mapping[str, object]
) -> None:
    """Set public address, ports and custom ports, then recreate the forwards. An absent address counts as empty."""
    changes = [_change_public_ip(machine, record, text_of(requested, "new_public_ip"))]
    ssh, rdp = text_of(requested, "new_ssh_port"), text_of(requested, "new_rdp_port")
    if ssh:
        changes.append(_change_ssh_port(machine, others, record, ssh))
    if rdp:
        changes.append(_change_rdp_port(machine, others, record, rdp))
    if ssh and rdp and port_number(ssh) == port_number(rdp):
        raise Refused("new_ssh_port and new_rdp_port are the same!")  # both are saved already
    changes.append(_change_custom_ports(record, requested))
    if any(changes):
        await machine.clock.sleep(machine.spec.durations.forwards)
        machine.logs.info(record.task_id, _PLACE, "reset iptables successful")


def _change_public_ip(machine: Machine, record: Record, address: str) -> bool:
    check_public_ip(machine, address, record.task_id)
    if address == record.public_ip:
        return False
    _need_forwards(record, "public ip")
    machine.logs.info(
        record.task_id, _PLACE, f"modify task old public ip: {record.public_ip}, new public ip: {address}"
    )
    record.public_ip = address
    machine.add_address(address)
    record.save()
    return True


def _change_ssh_port(machine: Machine, others: Neighbours, record: Record, text: str) -> bool:
    port = _free_port(others, record, "new_ssh_port", text)
    if port == record.ssh_port:
        return False
    _need_forwards(record, "ssh port")
    machine.logs.info(record.task_id, _PLACE, f"modify task old ssh port: {record.ssh_port}, new ssh port: {port}")
    record.ssh_port = port
    record.save()
    return True


def _change_rdp_port(machine: Machine, others: Neighbours, record: Record, text: str) -> bool:
    port = _free_port(others, record, "new_rdp_port", text)
    if port == record.rdp_port:
        return False
    _need_forwards(record, "rdp port")
    machine.logs.info(record.task_id, _PLACE, f"modify task old rdp port: {record.rdp_port}, new rdp port: {port}")
    record.rdp_port = port
    record.save()
    return True


def _free_port(others: Neighbours, record: Record, key: str, text: str) -> int:
    port = port_number(text)
    if not port:
        raise Refused(f"{key} {text} is invalid! (usage: > 0)")
    if not record.public_ip and port in others.ports:
        raise Refused(f"{key} {text} has been used!")
    return port


def _change_custom_ports(record: Record, requested: Mapping[str, object]) -> bool:
    items = requested.get("new_custom_port")
    if not isinstance(items, list):
        return False
    if not all(isinstance(item, str) for item in items):
        raise ProcessDied("an item of new_custom_port is no text")
    ports = texts_of(requested, "new_custom_port") or []
    if ports == record.custom_ports:
        return False
    _need_forwards(record, "custom port")
    record.custom_ports = ports
    record.save()
    return True


def _need_forwards(record: Record, what: str) -> None:
    if record.forwards is None:
        raise Refused(f"can not find iptable info when modify {what}")


def _change_filters(machine: Machine, record: Record, requested: Mapping[str, object]) -> None:
    filters = texts_of(requested, "new_network_filters")
    if filters is None or filters == record.network_filters:
        return
    machine.logs.info(record.task_id, _PLACE, "modify task network filter")
    record.network_filters = filters  # saved before libvirt is called
    record.save()
    if not apply_filters(filters):
        raise Refused("modify network filter error")


# -- effective at the next boot ----------------------------------------------------------------


def _change_vnc_port(machine: Machine, others: Neighbours, record: Record, text: str) -> bool:
    if not text:
        return False
    port = port_number(text)
    if port < 5900:
        raise Refused(f"new_vnc_port {text} is invalid! (usage: 5900 =< port <= 65535)")
    if port in others.ports:
        raise Refused(f"new_vnc_port {text} has been used!")
    if port == record.vnc_port:
        return False
    machine.logs.info(record.task_id, _PLACE, f"modify task old vnc port: {record.vnc_port}, new vnc port: {port}")
    record.vnc_port = port
    return True


def _change_gpus(machine: Machine, others: Neighbours, record: Record, text: str, rented: _Rented) -> bool:
    if not text:
        return False
    if not rented.whole:
        raise Refused("can not modify gpu count")
    count = port_number(text)  # cut to 16 bits like a port: -1 is 65535
    if count == len(record.gpus):
        return False
    gpus = allocate_gpus(machine, others, count, rented.indexes)
    if gpus is None:
        raise Refused("allocate gpu failed")
    machine.logs.info(record.task_id, _PLACE, f"modify task new gpu count: {text}, old gpu count {len(record.gpus)}")
    record.gpus = gpus
    return True


def _change_cpus(machine: Machine, others: Neighbours, record: Record, text: str, rented: _Rented) -> bool:
    if not text:
        return False
    if not rented.whole:
        raise Refused("can not modify cpu cores")
    cpus = atoi(text)
    topology = Topology(1, cpus, 1) if cpus < 0 else allocate_cpus(machine, others, cpus, rented.share)
    if topology is None:
        raise Refused("allocate cpu failed")
    if topology == Topology(record.sockets, record.cores, record.threads):
        return False
    machine.logs.info(
        record.task_id,
        _PLACE,
        f"modify task new cpu cores: {text}, sockets: {topology.sockets}, "
        f"cores per socket: {topology.cores}, threads per core: {topology.threads}",
    )
    record.sockets, record.cores, record.threads = topology.sockets, topology.cores, topology.threads
    return True


def _change_memory(machine: Machine, others: Neighbours, record: Record, text: str, rented: _Rented) -> bool:
    if not text:
        return False
    if not rented.whole:
        raise Refused("can not modify mem size")
    kib = atoi(text) * KIB_IN_GIB
    if not allocate_memory(machine, others, kib, rented.share):
        raise Refused("allocate memory failed")
    if kib == record.memory:
        return False
    machine.logs.info(record.task_id, _PLACE, f"modify task old mem size: {record.memory}, new mem size: {text}")
    record.memory = kib
    return True


def _rewrite(machine: Machine, record: Record) -> None:
    """Rewrite the domain with all four values, including those left pending by an earlier refusal."""
    if record.cores < 0:
        machine.libvirt.lose()
        raise Refused("defineXML failed: End of file while reading data: Input/output error")
    domain = machine.libvirt.find(record.task_id)
    if domain is None:
        raise Refused(f"task:{record.task_id} not exist")
    try:
        machine.libvirt.define(record.task_id, record.definition(), domain.guest)
    except LibvirtError as error:
        machine.logs.error(record.task_id, _PLACE, f"modify task error: defineXML failed: {error}")
        raise Refused(f"defineXML failed: {error}") from None
    record.save()
    machine.logs.info(record.task_id, _PLACE, "redefine task sucessful")
