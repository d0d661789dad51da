"""Nodes that read two addresses of their host as one, and so forward no ports to new VMs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.runs import applied, write
from tests.cli.trials import act
from tests.projects import NODE_ID, Emulated, vm

ADDRESS = "203.0.113.50"
FIRST = vm("public", publicIp=ADDRESS, ports={"ssh": 20100, "vnc": 20101})
PRIVATE = vm("public", ports={"ssh": 20100, "vnc": 20101})


def second(**changed: Any) -> str:
    return vm("second", gpus=0, **{"ports": {"ssh": 20200, "vnc": 20201}, **changed})


def after_a_restart(world: Callable[..., Emulated]) -> Emulated:
    """A node that has restarted after a VM had a public address, which stays on the host's interface."""
    emulated = world(FIRST)
    applied(emulated)
    write(emulated, PRIVATE)
    applied(emulated)
    restart(emulated)
    return emulated


def restart(emulated: Emulated) -> None:
    emulated.loop.run_until_complete(act(emulated, ("/node", {"id": NODE_ID, "do": "restart"})))
    emulated.settle(60)


def forwards(emulated: Emulated) -> dict[str, bool]:
    """Whether ports are forwarded, by the VM's ssh port."""
    truth = emulated.network.nodes[NODE_ID].truth()
    return {str(vm["ssh_port"]): bool(vm["forwards"]) for vm in truth["vms"].values()}


def test_a_new_vm_without_port_forwards_is_a_warning_that_names_the_address(world: Callable[..., Emulated]) -> None:
    emulated = after_a_restart(world)
    write(emulated, PRIVATE, second())
    result = emulated.run("apply", "--yes")
    assert result.code == 0, result.err
    assert "warning[no-port-forwards]: VirtualMachine/second has no port forwards, so ssh will not work" in result.err
    assert f"has several addresses, read as one by the node: 10.0.0.2, {ADDRESS}. " in result.err
    assert f"remove {ADDRESS} with `ip address del`" in result.err
    assert "--replace VirtualMachine/second" in result.err
    assert forwards(emulated) == {"20100": True, "20200": False}


def test_once_the_address_is_removed_the_replaced_vm_has_its_forwards(world: Callable[..., Emulated]) -> None:
    emulated = after_a_restart(world)
    write(emulated, PRIVATE, second())
    applied(emulated)
    emulated.admin.remove_address(ADDRESS)
    restart(emulated)
    result = emulated.run("apply", "--yes", "--replace", "VirtualMachine/second", "--allow-data-loss")
    assert (result.code, "no-port-forwards" in result.err) == (0, False)
    assert forwards(emulated) == {"20100": True, "20200": True}


@pytest.mark.parametrize("case", ["before the restart", "with a public address of its own"])
def test_a_vm_that_has_its_forwards_is_no_warning(world: Callable[..., Emulated], case: str) -> None:
    emulated = world(FIRST)
    applied(emulated)
    if case != "before the restart":
        restart(emulated)
    public = {} if case == "before the restart" else {"publicIp": "203.0.113.51"}
    write(emulated, FIRST, second(**public))
    result = emulated.run("apply", "--yes")
    assert (result.code, "no-port-forwards" in result.err) == (0, False)
    assert all(forwards(emulated).values())
