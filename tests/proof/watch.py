"""Observer of every mutating call of a run, before it reaches the node: reports calls that must not happen, given the
actual objects and the manifests. Breaches are collected, not raised: the product must not catch them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from tests.projects import NODE_ID, Emulated
from tests.proof.lab import FOREIGN, MANAGER_ID

GIB = 1024**3
ALWAYS_THERE = ("vda", "vdb")
"""System disk and data disk; other disks are of kind Disk."""
THEIRS = (FOREIGN, "theirs1", '"theirs"')
SECONDS_OFF = 1800.0


@dataclass
class Desired:
    """Desired objects by name. `disks`: VM and GiB; `snapshots`: VM; `clone`: snapshot whose file is an Image; `dropped`:
    VM and GiB of each earlier disk."""

    vms: dict[str, dict[str, Any]] = field(default_factory=dict)
    disks: dict[str, tuple[str, int]] = field(default_factory=dict)
    snapshots: dict[str, str] = field(default_factory=dict)
    lan: bool = False
    image: bool = False
    clone: str = ""
    export: bool = False
    server: str = ""
    power: str = ""
    dropped: frozenset[tuple[str, int]] = frozenset()

    def of(self, name: str) -> list[int]:
        return [size for of, size in self.disks.values() if of == name]


@dataclass(frozen=True)
class Call:
    """A mutating call: operation, object and values."""

    op: str
    key: str
    values: Mapping[str, Any]

    @classmethod
    def of(cls, request: httpx.Request) -> Call:
        body = json.loads(request.content)
        values = body.get("additional", {})
        noun, verb, *rest = request.url.path.removeprefix("/api/v1/").split("/")
        key = (
            rest[0]
            if rest
            else str(values.get("task_id") or values.get("network_name") or values.get("image_filename"))
        )
        if noun in {"bare_metal", "deeplink"} and not rest:
            key = f"{noun} {verb} {body['peer_nodes_list']}"
        op = "create" if (noun, verb, rest) == ("tasks", "start", []) else verb
        return cls(f"{noun}/{op}", key, values)


class Watch:
    """Observer of one world. `desired` is set before each run."""

    def __init__(self, emulated: Emulated) -> None:
        self.emulated = emulated
        self.desired = Desired()
        self.breaches: list[str] = []
        self.longest_off = 0.0
        self.calls = Counter[str]()
        self._under_way = Counter[str]()
        self._off: dict[str, float] = {}
        self._ever: dict[str, set[tuple[str, int]]] = {}

    def begin(self, desired: Desired) -> None:
        for name, place in self.desired.disks.items():
            self._ever.setdefault(name, set()).add(place)
        hosts = {name: host for name, (host, _) in desired.disks.items()}
        dropped = {place for name, seen in self._ever.items() for place in seen if hosts.get(name) != place[0]}
        self.desired = replace(desired, dropped=frozenset(dropped))
        self.longest_off = 0.0
        self._under_way.clear()
        self._off.clear()

    def asked(self, request: httpx.Request) -> str:
        """Check a call before it is sent: context for `answered`."""
        call = Call.of(request)
        self.calls[call.op] += 1
        self._under_way[call.key] += 1
        if self._under_way[call.key] > 1:
            self.breaches.append(f"{call} while another call about the same is under way")
        if any(name in f"{request.url.path} {json.dumps(call.values)}" for name in THEIRS):
            self.breaches.append(f"{call}: that is another's")
        rule = _RULES.get(call.op)
        if rule is not None:
            problem = rule(call, self.desired, self.emulated.network.truth())
            self.breaches += [f"{call}: {problem}"] if problem else []
        self._clock(call)
        return call.key

    def answered(self, key: str) -> None:
        self._under_way[key] -= 1

    def _clock(self, call: Call) -> None:
        now = self.emulated.loop.time()
        if call.op in {"tasks/shutdown", "tasks/poweroff", "tasks/stop"}:
            self._off.setdefault(call.key, now)
        elif call.op in {"tasks/start", "tasks/restart"} and call.key in self._off:
            self.longest_off = max(self.longest_off, now - self._off.pop(call.key))


def named(desc: str) -> str:
    """Name in an owner marker, without the number added by a rename."""
    found = re.search(r"\[dbc-iac:lab/main/([^/]+)/", desc)
    return found[1].rstrip("0123456789") if found else ""


def mine(truth: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Managed VMs by task id, as they are."""
    return {i: vm for i, vm in truth[NODE_ID]["vms"].items() if named(vm["desc"])}


def extra(vm: Mapping[str, Any]) -> list[int]:
    """GiB of the VM's disks of kind Disk."""
    return [disk["real"] // GIB for device, disk in vm["disks"].items() if device not in ALWAYS_THERE]


def _as_wanted(vm: Mapping[str, Any], desired: Desired) -> bool:
    """Whether the manifests neither delete nor replace this VM."""
    name = named(vm["desc"])
    asked = desired.vms.get(name)
    if asked is None or vm["domain"] is None:
        return False
    lan = "training" if asked["network"] else ""
    return (vm["image_name"], vm["network_name"]) == (asked["image"], lan)


def _create(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    name = named(call.values["desc"])
    if name not in desired.vms:
        return "no document asks for it"
    if desired.lan and desired.vms[name]["network"] and "training" not in truth[NODE_ID]["lans"]:
        return "before its network"
    others = [
        i for i, vm in mine(truth).items() if i != call.key and named(vm["desc"]) == name and _as_wanted(vm, desired)
    ]
    return f"{name} is there as {others}" if others else ""


def _delete(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    vms = mine(truth)
    if call.key not in vms or not _as_wanted(vms[call.key], desired):
        return ""
    name = named(vms[call.key]["desc"])
    same = [i for i, vm in vms.items() if named(vm["desc"]) == name]
    return "a document asks for it" if len(same) == 1 else ""


def _of_a_vm(
    rule: Callable[[Call, Desired, Mapping[str, Any]], str],
) -> Callable[[Call, Desired, Mapping[str, Any]], str]:
    def judged(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
        vm = mine(truth).get(call.key)
        if vm is None:
            return "there is no such managed VM"
        return rule(call, desired, vm)

    return judged


@_of_a_vm
def _disk_add(call: Call, desired: Desired, vm: Mapping[str, Any]) -> str:
    asked = desired.of(named(vm["desc"]))
    return "" if len(extra(vm)) < len(asked) and call.values["size"] in asked else f"{extra(vm)} of {asked} are there"


@_of_a_vm
def _disk_resize(call: Call, desired: Desired, vm: Mapping[str, Any]) -> str:
    device = call.values["disk"]
    now = vm["disks"][device]["real"] // GIB if device in vm["disks"] else 0
    asked = [20] if device == "vdb" else desired.of(named(vm["desc"]))
    return "" if now + call.values["size"] in asked else f"{now} GiB and that much more is none of {asked}"


@_of_a_vm
def _disk_delete(call: Call, desired: Desired, vm: Mapping[str, Any]) -> str:
    device, name = call.values["disk"], named(vm["desc"])
    if device not in vm["disks"]:
        return ""
    dropped = (name, vm["disks"][device]["real"] // GIB) in desired.dropped  # another one may be asked for in its place
    kept = device in ALWAYS_THERE or (len(extra(vm)) <= len(desired.of(name)) and not dropped)
    return f"{extra(vm)} are there, and all are asked for" if kept else ""


@_of_a_vm
def _snapshot_create(call: Call, desired: Desired, vm: Mapping[str, Any]) -> str:
    if desired.snapshots.get(call.values["snapshot_name"]) != named(vm["desc"]):
        return "no document asks for it"
    return "its VM runs" if vm["domain"] and vm["domain"]["state"] == "running" else ""


def _lan_delete(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    inside = [i for i, vm in mine(truth).items() if vm["network_name"] == call.key]
    return "a document asks for it" if desired.lan else (f"{inside} are in it" if inside else "")


def _lan_create(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    return "" if desired.lan else "no document asks for it"


def _image_delete(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    of_a_snapshot = call.key.startswith("snap_")  # of an earlier one, where an Image asks for another
    return "a document asks for it" if desired.image and not of_a_snapshot else ""


def _image_download(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    return "" if (desired.clone if call.key.startswith("snap_") else desired.image) else "no document asks for it"


def _image_upload(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    of_a_snapshot = call.key.startswith("/tmp/dbc_snapshots/")  # sent again, since nobody saw it arrive
    return "" if (desired.snapshots if of_a_snapshot else desired.export) else "no document asks for it"


def _server_add(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    there = [server["uuid"] for server in truth[MANAGER_ID].values()]
    uuids = [server["uuid"] for server in call.values["bare_metal_nodes"]]
    return "" if desired.server and not {*there} & {*uuids} else f"{there} are there"


def _server_delete(call: Call, desired: Desired, truth: Mapping[str, Any]) -> str:
    theirs = [i for i, server in truth[MANAGER_ID].items() if server["uuid"] == "theirs"]
    if {*theirs} & {*call.values["bare_metal_node_ids"]}:
        return "that is another's"
    return "a document asks for it" if desired.server else ""


_RULES: Mapping[str, Callable[[Call, Desired, Mapping[str, Any]], str]] = {
    "tasks/create": _create, "tasks/delete": _delete, "disk/add": _disk_add, "disk/resize": _disk_resize,
    "disk/delete": _disk_delete, "snapshot/create": _snapshot_create, "lan/create": _lan_create, "lan/delete": _lan_delete,
    "images/download": _image_download, "images/upload": _image_upload, "images/delete": _image_delete,
    "bare_metal/add": _server_add, "bare_metal/delete": _server_delete,
}  # fmt: skip
