"""A GPU node: what it is asked by name of an operation, and what it tells of itself."""

from __future__ import annotations

import random
from typing import Any

from dbc_iac.sim.authority import Authority, Caller
from dbc_iac.sim.chain import RENTING, Chain
from dbc_iac.sim.clock import Clock
from dbc_iac.sim.gpu import disks, power
from dbc_iac.sim.gpu.create import new_vm
from dbc_iac.sim.gpu.lan import Room
from dbc_iac.sim.gpu.modify import modify
from dbc_iac.sim.gpu.record import Request, Vm
from dbc_iac.sim.gpu.sizes import gib, size_text
from dbc_iac.sim.gpu.worker import Worker
from dbc_iac.sim.reply import RefusedError, Reply, done, pasted
from dbc_iac.sim.world import VERSION, GpuNodeSpec, ImageSpec

_SETTLED = frozenset({"closed", "running", "pmsuspend"})
_REAL = {"off": "closed", "running": "running", "paused": "running", "suspended": "pmsuspend"}


class GpuNode:
    """One machine. `vms` by task id; `taken_gpus` are held by somebody who is not ours."""

    def __init__(self, spec: GpuNodeSpec, clock: Clock, source: random.Random, chain: Chain, room: Room) -> None:
        self.spec = spec
        self.id = spec.id
        self.clock = clock
        self.random = source
        self.chain = chain
        self.room = room
        self.authority = Authority(chain, source)
        self.worker = Worker()
        self.vms: dict[str, Vm] = {}
        self.files: set[str] = set(spec.files)
        self.images: dict[str, ImageSpec] = {i.name: i for i in spec.images}
        self.taken_gpus: set[int] = set()

    def new_file(self, directory: str, prefix: str) -> str:
        stamp = self.clock.wall().strftime("%Y%m%d%H%M%S")
        return f"{directory}/{prefix}_{self.random.randrange(100_000)}_{stamp}.qcow2"

    def has_directory(self, path: str) -> bool:
        return path.rstrip("/") in self.spec.directories

    def renting(self, rent_order: str) -> bool:
        order = self.chain.orders.get(rent_order)
        return order is not None and order.status in RENTING

    async def handle(self, op: str, caller: Caller | None, request: Request) -> Reply:
        """Carry out one operation. Raises RefusedError and ProcessDiedError."""
        if op == "mining_nodes":
            return done(self._hardware())
        if op == "rent_orders":
            return done(self._orders())
        if op == "lan.list":
            return self.room.show(self.id, request)
        assert caller is not None  # noqa: S101 - the target authorised the rest
        return await self._authorised(op, caller, request)

    async def _authorised(self, op: str, caller: Caller, request: Request) -> Reply:  # noqa: PLR0912 - a table
        match op:
            case "tasks.list":
                return self._list(caller)
            case "tasks.details":
                return self._details(caller, request)
            case "tasks.create":
                return self._create(caller, request)
            case "tasks.start":
                return power.start(self, caller, request)
            case "tasks.shutdown":
                return power.stop(self, request, "being shutdown")
            case "tasks.poweroff" | "tasks.stop":
                return power.stop(self, request, "being poweroff")
            case "tasks.restart":
                return power.restart(self, caller, request)
            case "tasks.reset":
                return power.reset(self, request)
            case "tasks.delete":
                return power.delete(self, request)
            case "tasks.modify":
                return modify(self, caller, power.existing(self, request), request)
            case "tasks.passwd":
                return await power.passwd(self, request)
            case "disk.list":
                return disks.listed(disks.disk_vm(self, request))
            case "disk.resize":
                return disks.resize(self, request)
            case "disk.add":
                return disks.add(self, request)
            case "disk.delete":
                return disks.delete(self, request)
            case "lan.create":
                return self.room.create(self.id, caller.wallet, request)
            case "lan.delete":
                return self.room.delete(caller.wallet, request)
            case "mining_nodes.free_memory":
                return done()
        raise RefusedError(-3, "Not supported")

    def _create(self, caller: Caller, request: Request) -> Reply:
        vm = new_vm(self, caller, request)
        self.vms[vm.id] = vm
        if vm.network:
            self.room.join(vm.network, vm.id, heard=self.spec.hears_lan)
        power.create_job(self, vm)
        return done(pasted(task_id=vm.id, create_time=vm.created, desc=vm.desc, status="creating"))

    def status(self, vm: Vm) -> str:
        """The status that is told: a settled one is corrected by what the hypervisor says, the others stay."""
        if vm.status in _SETTLED and vm.domain in _REAL:
            vm.status = _REAL[vm.domain]
        return vm.status

    def _list(self, caller: Caller) -> Reply:
        own = [vm for vm in self.vms.values() if vm.wallet == caller.wallet]
        rows = (pasted(task_id=v.id, create_time=v.created, desc=v.desc, status=self.status(v)) for v in own)
        return done("[" + ", ".join(rows) + "]")

    def _details(self, caller: Caller, request: Request) -> Reply:
        vm = self.vms.get(request.path[0])
        if vm is None or vm.wallet != caller.wallet:
            raise RefusedError(-3, "task_id not exist")
        status = self.status(vm)
        head = pasted(
            task_id=vm.id, os=vm.os, ssh_ip=vm.public_ip or self.spec.ip,
            ssh_port=None if vm.windows else str(vm.ssh_port), rdp_port=str(vm.rdp_port) if vm.windows else None,
            user_name=vm.user, login_password=vm.password, cpu_cores=vm.cores, gpu_count=len(vm.gpus),
            mem_size=size_text(vm.memory), disk_system="350G", vnc_port=str(vm.vnc_port),
            vnc_password=vm.password[:8], network_name=vm.network or None, create_time=vm.created, desc=vm.desc,
            status=status, rent_order=vm.rent_order or None,
        )  # fmt: skip
        parts = [head[1:-1]]
        if vm.disks:
            ordered = sorted(vm.disks, key=lambda d: d.name)
            rows = (pasted(name=d.name, size=size_text(d.shown or d.kib), source_file=d.file) for d in ordered)
            parts.append('"disks":[' + ", ".join(rows) + "]")
        if vm.filters:
            parts.append('"network_filters":[' + ", ".join(f'"{f}"' for f in vm.filters) + "]")
        parts.append(f'"interface":[{self._interface(vm)}]')
        return done("{" + ", ".join(parts) + "}")

    def _interface(self, vm: Vm) -> str:
        if vm.domain == "none" or vm.pxe or (vm.multicast and not vm.network):
            return ""
        name = f"br{vm.network}" if vm.network else "default"
        return pasted(name=name, type=vm.nic, mac_address=vm.mac)

    def _hardware(self) -> str:
        spec = self.spec
        used = sum(len(v.gpus) for v in self.vms.values() if v.holds_gpus and not v.status.endswith("error"))
        free = gib(spec.memory) - sum(v.memory for v in self.vms.values() if v.runs)
        octets = spec.ip.split(".")
        masked = f"*.{octets[1]}.*.{octets[3]}" if len(octets) == 4 else "*"
        images = ", ".join(
            pasted(image_name=i.name, image_size=size_text(i.size // 1024))
            for i in spec.images
            if "data" not in i.name and not i.base
        )
        data = ", ".join(
            pasted(
                path=d, type="SSD", size=size_text(gib(spec.disk)), free=size_text(gib(spec.disk - 350)),
                used_usage="9%",
            )
            for d in spec.directories
        )  # fmt: skip
        cpu = pasted(
            type=spec.cpu_type, hz=spec.cpu_hz, cores=str(spec.cpus), used_usage="1.5%", physical_cpus=str(spec.sockets)
        )
        gpu = pasted(gpu_count=str(spec.gpus), gpu_used=str(used + len(self.taken_gpus)))
        mem = pasted(size=size_text(gib(spec.memory)), free=size_text(free), used_usage="10%")
        return (
            f'{{"version":"{VERSION}", "node_type":"1", "ip":"{masked}", "os":"{spec.os}", "cpu":{cpu}, "gpu":{gpu}, '
            f'"mem":{mem}, "disk_system":{{"type":"SSD", "size":"350G"}}, "disk_data":[{data}], "images":[{images}]}}'
        )

    def _orders(self) -> str:
        rows: list[str] = []
        kept = {k: self.chain.orders[k] for k in self.chain.listed.get(self.id, ()) if k in self.chain.orders}
        for order in list({**kept, **self.authority.orders}.values())[:51]:
            indexes = ", ".join(str(g) for g in order.gpus)
            head = pasted(
                id=order.key, renter=order.renter, rent_end=str(order.end), rent_status=order.status,
                gpu_nums=str(len(order.gpus)),
            )  # fmt: skip
            rows.append(f'{head[:-1]}, "gpu_index":[{indexes}]}}')
        return '{"rent_orders":[' + ", ".join(rows) + "]}"

    def restart(self) -> None:
        """The daemon restarts: queue and nonces are lost, statuses come from domains, records without one vanish."""
        self.worker.restart()
        self.authority.nonces.clear()
        for vm in list(self.vms.values()):
            if vm.domain == "none":
                del self.vms[vm.id]
                continue
            vm.status = _REAL[vm.domain]
            for disk in vm.disks:
                disk.shown = None

    def truth(self) -> dict[str, Any]:
        """What really is, for tests and the demo."""
        return {
            v.id: {
                "domain": v.domain, "status": v.status, "gpus": v.gpus, "cores": v.cores, "forwards": v.forwards,
                "firewall": v.filters, "password": v.password, "disks": {d.file: d.kib // gib(1) for d in v.disks},
                "wallet": v.wallet,
            }
            for v in self.vms.values()
        }  # fmt: skip
