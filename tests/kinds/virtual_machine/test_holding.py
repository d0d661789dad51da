"""Constraints that keep two VMs of a machine from running at the same time."""

from __future__ import annotations

from typing import Any

import pytest

from dbc_iac.kinds import kind_of
from dbc_iac.kinds.framework.capabilities import capacity

HOST: dict[str, Any] = {"ports.ssh": 20000, "ports.vnc": 20001, "ports.forward": ["udp,8080-8081:80-81"]}
PUBLIC: dict[str, Any] = {**HOST, "publicIp": "203.0.113.50"}


@pytest.mark.parametrize(
    ("one", "other", "clashes"),
    [
        (HOST, {"ports.ssh": 20000, "ports.vnc": 20003}, ("tcp port 20000",)),
        (HOST, {"ports.ssh": 20002, "ports.vnc": 20000}, ("tcp port 20000",)),
        (HOST, {"ports.ssh": 20002, "ports.vnc": 20003, "ports.forward": ["tcp,8081"]}, ()),
        (HOST, {"ports.ssh": 20002, "ports.vnc": 20003, "ports.forward": ["udp,8081"]}, ("udp port 8081",)),
        (PUBLIC, {"ports.ssh": 20000, "ports.vnc": 20003}, ("tcp port 20000",)),
        (PUBLIC, {"ports.ssh": 20002, "ports.vnc": 20003, "ports.rdp": 20000}, ("tcp port 20000",)),
        (PUBLIC, {"ports.ssh": 20002, "ports.vnc": 20003, "ports.forward": ["udp,8081"]}, ()),
        (PUBLIC, {"ports.ssh": 20000, "ports.vnc": 20003, "publicIp": "203.0.113.51"}, ()),
        (PUBLIC, {"ports.ssh": 20002, "ports.vnc": 20000, "publicIp": "203.0.113.51"}, ("tcp port 20000",)),
        (PUBLIC, {"ports.ssh": 22, "ports.vnc": 20003, "publicIp": "203.0.113.50"}, ("public address 203.0.113.50",)),
        ({**PUBLIC, "os": "windows"}, {"ports.ssh": 20000, "ports.vnc": 20003}, ()),
        ({**PUBLIC, "os": "windows", "ports.rdp": 20004}, {"ports.ssh": 20004}, ("tcp port 20004",)),
    ],
)
def test_two_vms_clash_in_what_the_node_compares(
    one: dict[str, Any], other: dict[str, Any], clashes: tuple[str, ...]
) -> None:
    of_one, of_other = (capacity(kind_of("VirtualMachine"), fields) for fields in (one, other))
    assert of_one.clashes(of_other) == of_other.clashes(of_one) == clashes
