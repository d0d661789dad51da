"""LAN requests: list, create, delete; and joining of a LAN by a VM's create."""

from __future__ import annotations

import ipaddress

from dbc_iac.emulator.gpu.ctext import atoi, is_alphanumeric, is_ipv4, is_ipv6, split, text_of
from dbc_iac.emulator.gpu.lan import DEVICE, DHCP, Lan, LanTable
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import OK, Refused, array, quoted, spaced, texts
from dbc_iac.emulator.gpu.request import Caller, NodeRequest
from dbc_iac.emulator.reply import ProcessDied, Reply

_FAILED = -3
_VNI_MAX = 16_777_216
_TAP = "0123456789abcdefghijklmnopqrstuvwxyz"


async def show(machine: Machine, caller: Caller | None, request: NodeRequest) -> Reply:
    """LANs of every tenant, to anybody: an array, or one by name."""
    if not request.path:
        return spaced(array(lan_text(lan) for lan in machine.lan.sorted()[:31]))
    lan = machine.lan.networks.get(request.path[0])
    if lan is None:
        raise Refused("network name not exist", _FAILED)
    return spaced(lan_text(lan))


async def create(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    name, cidr = text_of(request.additional, "network_name"), text_of(request.additional, "ip_cidr")
    table = machine.lan
    if not name:
        raise Refused("network name can not be empty", _FAILED)
    if not 6 <= len(name) <= 10 or not is_alphanumeric(name):
        raise Refused("network name requires a combination of 6 to 10 letters or numbers", _FAILED)
    if name in table.networks:
        raise Refused("network name already existed", _FAILED)
    if not cidr:
        raise Refused("ip cidr can not be empty", _FAILED)
    first, last = address_range(cidr)
    await machine.clock.sleep(machine.spec.durations.network)
    if table.script_error is not None:
        raise Refused(table.script_error[1], _FAILED)
    table.host(
        Lan(
            name=name,
            vni=machine.random.randrange(_VNI_MAX),
            cidr=cidr,
            ip_start=first,
            ip_end=last,
            dhcp_interface="tap" + "".join(machine.random.choices(_TAP, k=10)),
            machine_id=table.node_id,
            wallet=caller.wallet,
            used=machine.clock.wall(),
            heard=machine.clock.now(),
            flags=DEVICE | DHCP,
        )
    )
    return spaced(OK)


async def delete(machine: Machine, caller: Caller, request: NodeRequest) -> Reply:
    name = request.path[0] if request.path else ""
    lan = machine.lan.networks.get(name)
    if lan is None:
        raise Refused("network name not exist", _FAILED)
    if lan.wallet != caller.wallet:
        raise Refused("wallet error, you are not the owner of the network", _FAILED)
    if lan.members:
        raise Refused("network is in used, please delete task in the network first", _FAILED)
    await machine.clock.sleep(machine.spec.durations.network)
    machine.lan.drop(name)
    return spaced(OK)


def attach(table: LanTable, name: str) -> None:
    """Before a VM joins, its node needs the bridge. Raises Refused.

    The flag is unreliable: an announcement of the host clears it, then creating the existing bridge again fails, and
    the clean-up removes the bridge that other VMs use.
    """
    lan = table.networks.get(name)
    if lan is None:
        raise Refused("can not find network info")
    if lan.flags & DEVICE or lan.machine_id == table.node_id:
        return
    if table.script_error is not None:
        raise Refused(table.script_error[1], table.script_error[0])
    if name in table.bridges:
        table.bridges.discard(name)
        raise Refused("create vxlan failed", -1)
    table.bridges.add(name)
    lan.flags |= DEVICE


def address_range(cidr: str) -> tuple[str, str]:
    """First and last address by the node's arithmetic, which takes the prefix modulo 32.

    Raises Refused; raises ProcessDied for an unparsable address, which crashes the real process.
    """
    if "192.168.122." in cidr:
        raise Refused("ip cidr already exist", _FAILED)
    parts = split(cidr, "/")
    if len(parts) != 2:
        raise Refused("invalid ip cidr", _FAILED)
    if not is_ipv4(parts[0]):
        if is_ipv6(parts[0]):
            raise Refused("invalid ip cidr", _FAILED)
        raise ProcessDied(f"not an address: {parts[0]}")
    mask = 0xFFFFFFFF << (32 - atoi(parts[1])) % 32 & 0xFFFFFFFF
    address = int(ipaddress.IPv4Address(parts[0]))
    first = (address & mask) + 1
    last = (address | ~mask & 0xFFFFFFFF) - 1
    return _dotted(first), _dotted(last)


def lan_text(lan: Lan) -> str:
    """A LAN in list format."""
    values = {
        "network_name": quoted(lan.name),
        "bridge_name": quoted(f"br{lan.name}"),
        "vxlan_name": quoted(f"vx{lan.name}"),
        "vxlan_vni": quoted(str(lan.vni)),
        "ip_cidr": quoted(lan.cidr),
        "ip_start": quoted(lan.ip_start),
        "ip_end": quoted(lan.ip_end),
        "dhcp_interface": quoted(lan.dhcp_interface),
        "machine_id": quoted(lan.machine_id),
        "rent_wallet": quoted(lan.wallet),
        "members": texts(lan.members),
        "lastUseTime": quoted(lan.used.strftime("%Y-%m-%d %H:%M:%S")),
        "native_flags": quoted(str(lan.flags)),
    }
    return "{" + ",".join(f"{quoted(key)}:{value}" for key, value in values.items()) + "}"


def own_view(table: LanTable) -> str:
    """Message of a node's own view: an object with up to 51 LANs."""
    return f'{{"networks":{array(lan_text(lan) for lan in table.sorted()[:51])}}}'


def _dotted(address: int) -> str:
    return str(ipaddress.IPv4Address(address & 0xFFFFFFFF))
