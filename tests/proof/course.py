"""A world and a project led through steps: edits, runs, faults, crashes. In the end everything matches the manifests.

Steps are data (a name and values), so that a failed course can be stored as a file and replayed.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dbc_iac.emulator import FaultSpec
from dbc_iac.emulator.admin import Admin
from tests.projects import NODE_ID, document, project, vm
from tests.proof.ends import Interposed, Point
from tests.proof.lab import FOREIGN, MANAGER, SECRETS, SERVER_ID, WORLD, apply_command, lab, ours, server, theirs
from tests.proof.losing import Losing
from tests.proof.watch import SECONDS_OFF, Desired, Watch, extra, mine, named

LAN = {"name": "training", "via": "gpu-a", "cidr": "192.168.66.0/24"}
IMAGE = {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False}
EXPORT = {"node": "gpu-a", "file": "win10.qcow2", "imageServer": "ID_2"}
LOGIN = {"username": "dbc", "password": {"env": "PW"}}
FILES = [{"name": n} for n in ("ubuntu.qcow2", "win10.qcow2", "debian.qcow2")]
PORTS = {"a": {"ssh": 20100, "vnc": 20101}, "b": {"ssh": 20200, "vnc": 20201}}
Step = tuple[str, Mapping[str, Any]]


def world(*, running: bool, durations: Mapping[str, float], agent: bool) -> dict[str, Any]:
    """World of the lab with room for two VMs and their successors, and a second tenant whose VM runs or not."""
    [node] = WORLD["gpuNodes"]
    changed = {"gpus": 8, "images": FILES, "durations": dict(durations), "guest": {"agent": agent}}
    return {"gpuNodes": [{**node, **changed, **({"vms": []} if running else {})}]}


class Course(Losing):
    """`world`: arguments of `world` above."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.emulated = lab(Path(self._folder.name), world=world(**given))
        self.project_file = (self.emulated.project.directory / "dbc-iac.yaml").read_text(encoding="utf-8")
        self.login = LOGIN if given["agent"] else None
        self.names: dict[str, str] = {}
        self.moved: list[tuple[str, str]] = []
        self.order = "112"
        if given["running"]:
            vm_ = {"task_id": FOREIGN, "gpus": 1, "vnc_port": 5999}
            admin = Admin(self.emulated.network)
            self.emulated.loop.run_until_complete(admin.act("/vm", {"id": NODE_ID, "do": "occupy", "with": vm_}))
            self.emulated.settle(60)
        self.foreign = theirs(self.emulated)
        self.watch = Watch(self.emulated)
        self.desired = Desired()
        self.sizes: dict[str, int] = {}
        self.held: list[Interposed] = []
        self.text = ""
        self.replaced: set[str] = set()
        self.frozen = False

    def take(self, step: Step) -> None:
        name, values = step
        getattr(self, name)(**values)

    def play(self, steps: Sequence[Step]) -> None:
        try:
            for step in steps:
                self.take(step)
                self.check()
            self.finish()
        finally:
            self.close()

    def close(self) -> None:
        self.emulated.close()
        self._folder.cleanup()

    # -- edits -------------------------------------------------------------------------------------

    def want_vm(self, name: str, gpus: int, cpus: int, image: str, network: bool) -> None:
        """A VM in another LAN or from another image is replaced."""
        before = self.desired.vms.get(name)
        network = network and self.desired.lan
        self.desired.vms[name] = {"gpus": gpus, "cpus": cpus, "image": image, "network": network}
        if before is not None and (before["image"], before["network"]) != (image, network):
            self.replaced.add(name)

    def drop_vm(self, name: str) -> None:
        self.desired.vms.pop(name, None)
        self.replaced.add(name)
        self.desired.disks = {d: (of, size) for d, (of, size) in self.desired.disks.items() if of != name}
        for snapshot in [s for s, of in self.desired.snapshots.items() if of == name]:
            self.drop_snapshot(snapshot)

    def want_disk(self, name: str, of: str, more: int) -> None:
        """Disks only grow, including one that returns under its old name."""
        if of in self.desired.vms:
            of, _ = self.desired.disks.get(name, (of, 0))
            self.sizes[name] = self.sizes.get(name, 10) + more
            self.desired.disks[name] = (of, self.sizes[name])

    def drop_disk(self, name: str) -> None:
        self.desired.disks.pop(name, None)

    def want_snapshot(self, name: str, of: str) -> None:
        if of in self.desired.vms and name not in self.desired.snapshots:
            self.desired.snapshots[name] = of

    def drop_snapshot(self, name: str) -> None:
        self.desired.snapshots.pop(name, None)
        if self.desired.clone == name:
            self.desired.clone = ""

    def want_clone(self, of: str) -> None:
        """An Image that is the file of a snapshot, or none."""
        self.desired.clone = of if of in self.desired.snapshots else ""

    def want_others(self, image: bool, export: bool, server: str, power: str) -> None:
        self.desired.image, self.desired.export, self.desired.server, self.desired.power = image, export, server, power

    def want_lan(self, there: bool) -> None:
        self.desired.lan = there
        if not there:
            for name, fields in self.desired.vms.items():
                if fields["network"]:
                    self.want_vm(name, **{**fields, "network": False})

    def rename(self, kind: str, name: str) -> None:
        """Rename a resource and keep its object; add the old address to `moved`."""
        before = self.name(kind, name)
        self.names[f"{kind}/{name}"] = f"{name}{len(self.moved) + 1}"
        self.moved.append((f"{kind}/{before}", f"{kind}/{self.name(kind, name)}"))

    def name(self, kind: str, name: str) -> str:
        """Current manifest of an address."""
        return self.names.get(f"{kind}/{name}", name)

    # -- the world ---------------------------------------------------------------------------------

    def fault(self, op: str, kind: Any, nth: int, seconds: int) -> None:
        self.emulated.network.faults.add(FaultSpec(op=op, kind=kind, nth=nth, seconds=seconds))
        self.frozen = self.frozen or kind == "freeze"

    def refuse_starts(self, times: int) -> None:
        """Other tenants allocate the GPUs while a VM is off."""
        refused = FaultSpec(op="tasks.start", kind="refuse", text="allocate gpu failed", times=times)
        self.emulated.network.faults.add(refused)

    def wait(self, seconds: int) -> None:
        self.emulated.settle(seconds)

    def renew_rental(self, again: bool) -> None:
        """Renew the rental and update the manifests. The node has refreshed its orders when this returns."""
        orders = self.emulated.network.chain.orders
        ended, self.order = self.order, str(int(self.order) + 1)
        orders[self.order] = replace(orders[ended], key=self.order)
        orders[ended].status = "rentExpired"
        if again:
            self.renew_rental(again=False)
        self.emulated.settle(2000)
        self.emulated.network.nodes[NODE_ID].authority.cache.refresh(NODE_ID, ended)

    # -- runs --------------------------------------------------------------------------------------

    def struck(self, of: Any, number: int, when: Any, late: Any = "") -> None:
        """Apply with a strike at a point."""
        self._write()
        interposed = Interposed(self.emulated, Point(of, number, when, late), self.watch)
        self._run(interposed)
        self.held.append(interposed)

    def apply(self, file: bool = False) -> None:
        """Apply without a strike, then deliver the delayed calls. `file`: as planned into a file."""
        self._write()
        if file:
            self._apply_file()
        else:
            self._run(Interposed(self.emulated, watch=self.watch))
        self._release()

    def _apply_file(self) -> None:
        """Apply a saved plan. It is never refused, unless its planning was, or something happened since."""
        command, saved = apply_command(self.emulated), str(self.emulated.project.directory / "saved.plan")
        made = self.emulated.run("plan", *command[2:], "-o", saved)
        if made.code == 0:
            result = self._run(Interposed(self.emulated, watch=self.watch), ("apply", saved))
            assert "error[not-a-plan]" not in result.err, result.err

    def check(self) -> None:
        """Invariants after every step."""
        assert theirs(self.emulated) == self.foreign
        assert self.watch.breaches == []
        for vm_ in self._mine().values():
            assert max(extra(vm_), default=0) <= max(self.sizes.values(), default=0)

    def converge(self) -> None:
        """Deliver late calls, end all faults, and converge in two applies."""
        self.emulated.network.faults.clear()
        self._release()
        self.emulated.settle(1200)
        if self.frozen:  # creations without a domain and sizes of disks wait for it
            restart = Admin(self.emulated.network).act("/node", {"id": NODE_ID, "do": "restart"})
            self.emulated.loop.run_until_complete(restart)
            self.emulated.settle(60)
        self._write()
        self._run(Interposed(self.emulated, watch=self.watch))
        assert self.watch.longest_off <= SECONDS_OFF, self.watch.longest_off
        self.emulated.settle(1200)
        result = self._run(Interposed(self.emulated, watch=self.watch))
        assert result is not None and result.code == 0, result

    def finish(self) -> None:
        """In the end the infrastructure matches the manifests."""
        self.converge()
        plan = self.emulated.run("plan", "--detailed-exitcode")
        assert plan.code == 0, plan
        self.check()
        self._check_desired()
        orphans = self.emulated.run("orphans", "--json").json
        assert [one for one in orphans if one["whose"] == "ours"] == []

    def _check_desired(self) -> None:
        truth, desired = ours(self.emulated), self.desired
        assert sorted((name.rstrip("0123456789"), *rest) for name, *rest in truth["vms"]) == sorted(
            (name, "running", sorted([20, 20, *desired.of(name)]), m["gpus"], m["cpus"])
            for name, m in desired.vms.items()
        )
        assert {named(v["desc"]): (v["image_name"], v["network_name"]) for v in self._mine().values()} == {
            name: (m["image"], "training" if m["network"] else "") for name, m in desired.vms.items()
        }
        assert truth["lans"] == (["training"] if desired.lan else [])
        assert truth["images"] == desired.image
        assert [(s[0], s[1]) for s in truth["servers"] if s[0] != "theirs"] == (
            [("new-1", desired.server)] if desired.server else []
        )
        for name, there in truth["snapshots"]:
            vm_name = name.rstrip("0123456789")
            asked = sorted(s for s, of in desired.snapshots.items() if of == vm_name)
            assert set(there) <= set(asked) if vm_name in self.replaced else sorted(there) == asked
        image_server = self.emulated.network.image_servers.get("ID_2")
        assert image_server is not None
        there = set(self.emulated.network.nodes[NODE_ID].truth()["files"])
        assert not desired.clone or f"/data/{self._bound()['Image/clone']}" in there & {
            f"/data/{f}" for f in image_server.files
        }
        assert not desired.export or "win10.qcow2" in image_server.files

    def _release(self) -> None:
        for one in self.held:
            one.release()
        self.held.clear()

    def _mine(self) -> dict[str, Mapping[str, Any]]:
        return mine(self.emulated.network.truth())

    def _run(self, interposed: Interposed, command: tuple[str, ...] = ()) -> Any:
        self.watch.begin(self.desired)
        result = interposed.run(*(command or apply_command(self.emulated)))
        kept = "".join(p.read_text() for p in (self.emulated.project.directory / "state").rglob("*") if p.is_file())
        assert [task_id for task_id in self._mine() if task_id not in kept] == [], "forgotten"
        text = result.out + result.err if result is not None else ""
        assert not [secret for secret in SECRETS.values() if secret in text + kept]
        if result is not None:
            assert result.code in {0, 1, 5, 7}, text
            assert "Traceback" not in text
        if result is not None and result.code != 5:
            off = [named(v["desc"]) for v in self._mine().values() if v["domain"] and v["domain"]["state"] != "running"]
            assert [name for name in off if name in self.desired.vms and f"VirtualMachine/{name}" not in text] == [], (
                text
            )
            assert result.code or not off, (off, text)
        return result

    def _write(self) -> None:
        desired, name = self.desired, self.name
        lan = name("Network", "training")
        machines = [
            vm(
                name("VirtualMachine", v),
                ports=PORTS[v],
                login=self.login,
                **{**m, "network": lan if m["network"] else None},
            )
            for v, m in desired.vms.items()
        ]
        disks = [
            document("Disk", name("Disk", d), {"vm": name("VirtualMachine", of), "size": f"{size}Gi"})
            for d, (of, size) in desired.disks.items()
        ]
        snapshots = [
            document(
                "Snapshot", name("Snapshot", s), {"name": s, "vm": name("VirtualMachine", of), "imageServer": "ID_2"}
            )
            for s, of in desired.snapshots.items()
        ]
        folder = self.emulated.project.directory
        documents = [*machines, *disks, *snapshots, *self._others()]
        project(folder, *documents)
        manifests = folder / "manifests" / "all.yaml"
        manifests.write_text(
            manifests.read_text(encoding="utf-8").replace('"112"', f'"{self.order}"'), encoding="utf-8"
        )
        heads = (json.loads(text) for text in documents)
        there = {f"{head['kind']}/{head['metadata']['name']}" for head in heads}
        moved = json.dumps([{"from": before, "to": now} for before, now in self.moved if self._end(now) in there])
        (folder / "dbc-iac.yaml").write_text(f"{self.project_file}  moved: {moved}\n", encoding="utf-8")

    def _end(self, address: str) -> str:
        """The address that an address is renamed to in the end."""
        later = dict(self.moved).get(address)
        return address if later is None else self._end(later)

    def _others(self) -> list[str]:
        desired = self.desired
        box = {"nodeId": SERVER_ID, "identity": "tenant", "power": desired.power}
        clone = {**IMAGE, "file": None, "snapshot": self.name("Snapshot", desired.clone), "imageServer": "ID_2"}
        asked = (
            (desired.clone, "Image", "clone", clone),
            (desired.lan, "Network", "training", LAN),
            (desired.image, "Image", "torch", IMAGE),
            (desired.export, "ImageExport", "copy", EXPORT),
            (desired.power, "BareMetalInstance", "box", box),
        )
        documents = [document(kind, self.name(kind, named_), spec) for there, kind, named_, spec in asked if there]
        if desired.server:
            documents.append(server(desired.server, self.name("BareMetalServer", "new")))
        return [MANAGER, *documents]
