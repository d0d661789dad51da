"""Modify: synchronous, step by step, and not atomic: what was changed before a refusal stays changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbc_iac.sim.authority import Caller
from dbc_iac.sim.gpu import capacity
from dbc_iac.sim.gpu.create import check_public_ip
from dbc_iac.sim.gpu.record import Request, Vm
from dbc_iac.sim.gpu.sizes import gib, leading_int
from dbc_iac.sim.reply import ProcessDiedError, RefusedError, Reply, done

if TYPE_CHECKING:
    from dbc_iac.sim.gpu.node import GpuNode

NEXT_BOOT = '"some changes will take effect on the next boot"'


def modify(node: GpuNode, caller: Caller, vm: Vm, request: Request) -> Reply:
    """The node's answer. Raises RefusedError; changes made before it stay."""
    others = [o for o in node.vms.values() if o is not vm]
    _public_ip(node, vm, request)
    _remote(vm, request, others, "ssh")
    _remote(vm, request, others, "rdp")
    if request.text("new_ssh_port") and request.text("new_rdp_port") and vm.ssh_port == vm.rdp_port:
        raise RefusedError(1, "new_ssh_port and new_rdp_port are the same!")
    if isinstance(request.additional.get("new_custom_port"), list):
        if any(not isinstance(p, str) for p in request.additional["new_custom_port"]):
            raise ProcessDiedError("a forward that is no text")
        _needs_forwards(vm, "custom port")
        vm.forwards = request.texts("new_custom_port") or []
    filters = request.texts("new_network_filters")
    if filters is not None:
        vm.filters = filters
        if any(f.split(",")[1:3] in (["tcp", "all"], ["udp", "all"]) for f in filters):
            raise RefusedError(1, "modify network filter error")
    changed = [
        _vnc(vm, request, others),
        _gpus(node, caller, vm, request, others),
        _cores(node, caller, vm, request, others),
        _memory(node, caller, vm, request, others),
    ]
    return done(NEXT_BOOT) if any(changed) else done()


def _needs_forwards(vm: Vm, what: str) -> None:
    if vm.pxe or not vm.forwarded:
        raise RefusedError(1, f"can not find iptable info when modify {what}")


def _public_ip(node: GpuNode, vm: Vm, request: Request) -> None:
    """Absent means empty: every modify that does not repeat the public IP takes it away."""
    wanted = request.text("new_public_ip") or ""
    if wanted == vm.public_ip:
        return
    check_public_ip(node, wanted, vm)
    _needs_forwards(vm, "public ip")
    vm.public_ip = wanted


def _remote(vm: Vm, request: Request, others: list[Vm], which: str) -> None:
    text = request.text(f"new_{which}_port")
    if text is None or not text:
        return
    port = leading_int(text) % 65536
    if port <= 0:
        raise RefusedError(1, f"new_{which}_port {text} is invalid! (usage: > 0)")
    if port == (vm.ssh_port if which == "ssh" else vm.rdp_port):
        return
    if not vm.public_ip and capacity.port_conflict(port, others):
        raise RefusedError(1, f"new_{which}_port {port} has been used!")
    _needs_forwards(vm, f"{which} port")
    if which == "ssh":
        vm.ssh_port = port
    else:
        vm.rdp_port = port


def _vnc(vm: Vm, request: Request, others: list[Vm]) -> bool:
    text = request.text("new_vnc_port")
    if not text:
        return False
    port = leading_int(text)
    if not 5900 <= port <= 65535:
        raise RefusedError(1, f"new_vnc_port {text} is invalid! (usage: 5900 =< port <= 65535)")
    if port == vm.vnc_port:
        return False
    if capacity.port_conflict(port, others):
        raise RefusedError(1, f"new_vnc_port {port} has been used!")
    vm.vnc_port = port
    return True


def _gpus(node: GpuNode, caller: Caller, vm: Vm, request: Request, others: list[Vm]) -> bool:
    text = request.text("new_gpu_count")
    if not text or leading_int(text) == len(vm.gpus):
        return False
    if not capacity.whole(node.spec, caller.order):
        raise RefusedError(1, "can not modify gpu count")
    gpus = capacity.allocate_gpus(node.spec, caller.order, leading_int(text), others)
    if gpus is None:
        raise RefusedError(1, "allocate gpu failed")
    vm.gpus = gpus
    return True


def _cores(node: GpuNode, caller: Caller, vm: Vm, request: Request, others: list[Vm]) -> bool:
    text = request.text("new_cpu_cores")
    if not text or leading_int(text) == vm.cores:
        return False
    if not capacity.whole(node.spec, caller.order):
        raise RefusedError(1, "can not modify cpu cores")
    cores = leading_int(text)
    if not capacity.cores_fit(node.spec, caller.order, cores, others):
        raise RefusedError(1, "allocate cpu failed")
    vm.cores = cores  # it is spoilt in memory already when the rewrite refuses
    if cores <= 0:
        reason = "Invalid value for attribute 'cores' in element 'topology': Zero is not permitted"
        raise RefusedError(1, f"defineXML failed: XML error: {reason}")
    return True


def _memory(node: GpuNode, caller: Caller, vm: Vm, request: Request, others: list[Vm]) -> bool:
    text = request.text("new_mem_size")
    if not text or gib(leading_int(text)) == vm.memory:
        return False
    if not capacity.whole(node.spec, caller.order):
        raise RefusedError(1, "can not modify mem size")
    memory = gib(leading_int(text))
    if not capacity.memory_fits(node.spec, caller.order, memory, list(node.vms.values())):
        raise RefusedError(1, "allocate memory failed")
    vm.memory = memory
    return True
