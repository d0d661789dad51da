"""Power and passing away: what is accepted in which state of the domain, and the jobs that follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbc_iac.sim.authority import Caller
from dbc_iac.sim.gpu import capacity
from dbc_iac.sim.gpu.record import WORDS, Request, Vm
from dbc_iac.sim.reply import RefusedError, Reply, done

if TYPE_CHECKING:
    from dbc_iac.sim.gpu.node import GpuNode

DHCP_SECONDS = 3000.0
"""How long a create waits for an address before it gives up."""
DEFINE_SECONDS = 0.5
"""From the worker's start until the hypervisor has the domain."""
PASSWORD_SECONDS = 300.0
"""100 tries of 3 s to set a password in a guest without an agent."""


def existing(node: GpuNode, request: Request) -> Vm:
    """The VM of an operation: its domain must exist."""
    vm = node.vms.get(request.path[0])
    if vm is None or vm.domain == "none":
        raise RefusedError(1, "task not exist")
    return vm


def create_job(node: GpuNode, vm: Vm) -> None:
    async def job() -> None:
        times, guest = node.spec.durations, node.spec.guest
        vm.log.append("create task begin")
        await node.clock.sleep(DEFINE_SECONDS)
        if any(f.split(",")[1:3] in (["tcp", "all"], ["udp", "all"]) for f in vm.filters):
            vm.status = "create error"
            vm.log.append("create network filter failed")
            return
        vm.mac = "52:54:00:" + ":".join(f"{node.random.randrange(256):02x}" for _ in range(3))
        if vm.gpus and not node.spec.passthrough:
            vm.domain = "off"
            vm.status = "create error"
            vm.log.append("create domain failed")
            return
        vm.domain = "running"
        vm.log.append(f"vnc port: {vm.vnc_port}, password: {vm.password[:8]}")
        await node.clock.sleep(times.create if guest.dhcp or vm.pxe else DHCP_SECONDS)
        if not guest.dhcp and not vm.pxe:
            vm.domain = "off"
            vm.status = "create error"
            vm.log.append("get domain local ip failed")
            return
        vm.forwarded = not vm.pxe
        if not vm.pxe and not (guest.agent and guest.sets_password):
            await node.clock.sleep(PASSWORD_SECONDS)
            vm.user = vm.password = "N/A"  # noqa: S105 - what the node shows
        _finish(vm, "creating", "running")

    node.worker.put(job)


def _finish(vm: Vm, transitional: str, status: str) -> None:
    """A job sets its result only where no later operation has set another status."""
    if vm.status == transitional:
        vm.status = status


def _check_resources(node: GpuNode, caller: Caller, vm: Vm) -> None:
    """What start checks, before it looks whether the VM runs already."""
    others = [o for o in node.vms.values() if o is not vm]
    if not capacity.topology_fits(node.spec, vm.cores):
        raise RefusedError(1, "check cpu failed")
    if vm.cores + sum(o.cores for o in others if o.runs) > node.spec.cpus:
        raise RefusedError(1, "cpu count exceeds the maximum")
    held = {g for o in others if o.holds_gpus for g in o.gpus}
    if held & set(vm.gpus) or node.taken_gpus & set(vm.gpus):
        raise RefusedError(1, "check gpu failed")
    if not vm.runs and not capacity.memory_fits(node.spec, caller.order, vm.memory, others):
        raise RefusedError(1, "check memory failed")
    port, name = (vm.rdp_port, "rdp_port") if vm.windows else (vm.ssh_port, "ssh_port")
    if capacity.port_conflict(port, others):
        raise RefusedError(1, f"check {name} failed")
    if capacity.port_conflict(vm.vnc_port, others):
        raise RefusedError(1, "check vnc_port failed")


def start(node: GpuNode, caller: Caller, request: Request) -> Reply:
    vm = existing(node, request)
    order = caller.order
    if not order.whole and order.key != vm.rent_order and not node.renting(vm.rent_order):
        vm.rent_order, vm.gpus = order.key, list(order.gpus[: len(vm.gpus)])
    _check_resources(node, caller, vm)
    if vm.domain not in {"off", "suspended"}:
        raise RefusedError(1, f"task is {WORDS[vm.domain]}")
    vm.status = "starting"

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.start)
        if vm.gpus and not node.spec.passthrough:
            _finish(vm, "starting", "start error")
            return
        vm.domain = "running"
        vm.forwarded = not vm.pxe
        _finish(vm, "starting", "running")

    node.worker.put(job)
    return done()


def stop(node: GpuNode, request: Request, status: str) -> Reply:
    """shutdown, poweroff and stop: all of them pull the plug."""
    vm = existing(node, request)
    if vm.domain == "off":
        raise RefusedError(1, "task is shut_off")
    vm.status = status

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.stop)
        vm.domain = "off"
        _finish(vm, status, "closed")

    node.worker.put(job)
    return done()


def restart(node: GpuNode, caller: Caller, request: Request) -> Reply:
    value = request.query.get("force_reboot", "")
    forced = value == "true" or (value.isdigit() and int(value) != 0)
    vm = existing(node, request)
    if vm.domain == "off":
        return start(node, caller, request)
    _check_resources(node, caller, vm)
    if vm.domain != "running":
        raise RefusedError(1, f"task is {WORDS[vm.domain]}")
    vm.status = "restarting"

    async def job() -> None:
        times = node.spec.durations
        await node.clock.sleep(times.forced_restart if forced else times.restart)
        _finish(vm, "restarting", "running")

    node.worker.put(job)
    return done()


def reset(node: GpuNode, request: Request) -> Reply:
    vm = existing(node, request)
    if vm.domain != "running":
        raise RefusedError(1, f"task is {WORDS[vm.domain]}")
    vm.status = "resetting"

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.reset)
        _finish(vm, "resetting", "running")

    node.worker.put(job)
    return done()


def delete(node: GpuNode, request: Request) -> Reply:
    vm = existing(node, request)
    vm.status = "deleting"

    async def job() -> None:
        await node.clock.sleep(node.spec.durations.delete)
        if node.vms.pop(vm.id, None) is not None:
            node.files.discard(vm.data_file)
            node.room.leave(vm.network, vm.id)

    node.worker.put(job)
    return done()


async def passwd(node: GpuNode, request: Request) -> Reply:
    vm = existing(node, request)
    if vm.domain != "running":
        raise RefusedError(1, "Only the running task can change the password")
    username, password = request.text("username") or "", request.text("password") or ""
    if not password:
        raise RefusedError(1, "password can not be empty")
    if not username:
        raise RefusedError(1, "user name can not be empty")
    await node.clock.sleep(node.spec.durations.passwd)
    if not node.spec.guest.agent:
        raise RefusedError(1, "Guest agent is not responding: QEMU guest agent is not connected")
    if not node.spec.guest.sets_password:
        raise RefusedError(
            1,
            "internal error: unable to execute QEMU agent command 'guest-set-user-password': "
            "child process has failed to set user password",
        )
    vm.password = password
    if vm.user in {"", "N/A"}:
        vm.user = username
    return done()
