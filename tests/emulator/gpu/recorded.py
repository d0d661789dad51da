"""Recordings of a real GPU node, replayed behind authority: what the node itself answered, without HTTP and credentials.

Exchanges that the client node or the authority check answered are left out; the conformance replayer has them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbc_iac.emulator.gpu.centres import ImageCentres
from dbc_iac.emulator.gpu.node import OPERATIONS
from dbc_iac.emulator.gpu.spec import GpuNodeSpec, ImageCentreSpec
from tests.emulator.gpu.harness import Caller, Node, Order, Rentals

RECORDINGS = Path(__file__).parents[4] / "shared" / "recordings"


@dataclass
class Replay:
    """One file. `differing`: exchange number, path, recorded, replayed."""

    path: Path
    matched: int = 0
    left_out: int = 0
    differing: list[str] = field(default_factory=list)
    bound: dict[str, str] = field(default_factory=dict)
    node: Node = field(init=False)

    async def run(self) -> None:
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        world, rest = lines[0], lines[1:]
        self._renter = world["wallets"]["renter"]["ss58"]
        rentals = Rentals()
        _set_chain(rentals, world, world["chain"])
        self.node = Node(node_spec(world), rentals, centres=_centres(world))
        self.node.clock.start = datetime.strptime(world["recorded"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        for line in rest:
            if "i" in line:
                await self._exchange(line)
            elif line["event"] == "wait":
                await self.node.clock.sleep(line["seconds"])
            elif line["event"] == "chain":
                _set_chain(rentals, world, line)

    async def _exchange(self, line: dict[str, Any]) -> None:
        found = operation_of(line["request"]["path"]) if line["request"]["method"] == "POST" else None
        body = line["response"]["body"]
        by_node = line["response"]["status"] == 200 and not self._about_authority(body)
        if found is None or not by_node or self._local(line) or line.get("compare") == "no":
            self.left_out += 1
            return
        recorded = json.loads(body)
        replayed = await self._until(line, found)
        differences = list(self._compare(recorded, replayed, "", set(line.get("volatile", []))))
        if line.get("compare", "all") != "no" and differences:
            self.differing += [f"{line['i']} {line['name']}: {difference}" for difference in differences]
        else:
            self.matched += 1

    def _about_authority(self, body: str) -> bool:
        return "check authority failed" in body

    def _local(self, line: dict[str, Any]) -> bool:
        """Answered by the client node itself."""
        return json.loads(line["request"]["body"]).get("peer_nodes_list", [""])[:1] in ([], [""])

    async def _until(self, line: dict[str, Any], found: tuple[str, tuple[str, ...], str]) -> Any:
        """Repeats a polled request until the awaited status is there."""
        poll = line.get("poll")
        end = self.node.clock.now() + (poll["seconds"] if poll else 0)
        reply = await self._send(line, found)
        while poll and reply["message"].get("status") != poll["until"] and self.node.clock.now() < end:
            if poll["optional"]:
                return json.loads(line["response"]["body"])
            await self.node.clock.sleep(1)
            reply = await self._send(line, found)
        return reply

    async def _send(self, line: dict[str, Any], found: tuple[str, tuple[str, ...], str]) -> Any:
        op, path, query = found
        body = json.loads(self._rebound(line["request"]["body"]))
        additional = body["additional"]
        rent_order = body.get("rent_order", "")
        caller = Caller(self._renter, rent_order=rent_order) if _is_known(body) else None
        server = additional.get("image_server", "")
        segments = tuple(self.bound.get(segment, segment) for segment in path)
        text = await self.node.text(
            op, *segments, caller=caller, query=query, server=server if isinstance(server, str) else "", **additional
        )
        return json.loads(text)

    def _rebound(self, text: str) -> str:
        for old, new in self.bound.items():
            text = text.replace(old, new)
        return text

    def _compare(self, recorded: Any, replayed: Any, path: str, volatile: set[str]) -> Iterator[str]:
        if re.sub(r"\[\d+\]", "[*]", path) in volatile or path in volatile:
            if type(recorded) is not type(replayed):
                yield f"{path}: type of {recorded!r} and {replayed!r}"
            elif isinstance(recorded, str) and len(recorded) > 5:
                self.bound.setdefault(recorded, replayed)
        elif isinstance(recorded, dict) and isinstance(replayed, dict):
            if list(recorded) != list(replayed):
                yield f"{path}: keys {list(recorded)} and {list(replayed)}"
            for key in recorded.keys() & replayed.keys():
                yield from self._compare(recorded[key], replayed[key], f"{path}.{key}".lstrip("."), volatile)
        elif isinstance(recorded, list) and isinstance(replayed, list):
            if len(recorded) != len(replayed):
                yield f"{path}: {len(recorded)} and {len(replayed)} items"
            for index, pair in enumerate(zip(recorded, replayed, strict=False)):
                yield from self._compare(*pair, f"{path}[{index}]", volatile)
        elif (self._rebound(recorded) if isinstance(recorded, str) else recorded) != replayed:
            yield f"{path}: {recorded!r} and {replayed!r}"


def operation_of(uri: str) -> tuple[str, tuple[str, ...], str] | None:
    """Operation, path after it, and query of a request line."""
    path, _, query = uri.removeprefix("/api/v1/").partition("?")
    head, *rest = path.split("/")
    op = head
    if head == "tasks":
        if not rest:
            op = "tasks.list"
        elif len(rest) == 1:
            op, rest = ("tasks.create", []) if rest == ["start"] else ("tasks.details", rest)
        else:
            op, rest = f"tasks.{rest[0]}", rest[1:]
    elif head in {"disk", "snapshot"} and rest:
        op, rest = f"{head}.{rest[0]}", rest[1:]
    elif head == "images":
        op, rest = f"images.{rest[0] if rest else 'list'}", rest[1:]
    elif head == "lan":
        op, rest = (f"lan.{rest[0]}", rest[1:]) if rest and rest[0] in {"create", "delete"} else ("lan.list", rest)
    elif rest and f"{head}.{rest[0]}" in OPERATIONS:
        op, rest = f"{head}.{rest[0]}", rest[1:]
    elif head == "mining_nodes" and rest:
        return None
    return (op, tuple(rest), query) if op in OPERATIONS else None


def node_spec(world: dict[str, Any]) -> GpuNodeSpec:
    """The GPU node of a recording's world line."""
    gpu, hardware, guest = world["nodes"]["gpu"], world["hardware"]["gpu"], world.get("guest") or {}
    known = {"agent": guest.get("guest_agent", True), "setsPassword": guest.get("password_can_be_set", True)}
    images = list(world["images"]["gpu:/data"])
    return GpuNodeSpec.model_validate(
        {
            "id": gpu["node_id"],
            "name": gpu["name"],
            "gpuPci": [card.split(" ")[0] for card in hardware["gpu_pci"]],
            "cpus": int(hardware["cpu"]["cores"]),
            "memory": 23.54,
            "disk": 1024,
            "ip": gpu["public_ip"],
            "hostIp": gpu["host_ip"],
            "os": hardware["os"],
            "cpuType": hardware["cpu"]["type"],
            "cpuHz": hardware["cpu"]["hz"],
            "hearsLan": False,
            "passthrough": False,
            "images": [_image(image) for image in images],
            "guest": {**known, "starts": guest.get("starts", True)},
            "vms": [_vm(vm) for vm in world.get("vms", [])],
            "lans": [
                {
                    "networkName": lan["network_name"],
                    "ipCidr": lan["ip_cidr"],
                    "wallet": lan["rent_wallet"],
                    "vni": int(lan["vxlan_vni"]),
                    "dhcpInterface": lan["dhcp_interface"],
                    "lastUseTime": lan["lastUseTime"],
                }
                for lan in world.get("lans", [])
            ],
        }
    )


def _centres(world: dict[str, Any]) -> ImageCentres:
    return ImageCentres(
        ImageCentreSpec.model_validate({"id": key, "images": [_image(image) for image in world["images"].get(key, [])]})
        for key in world["image_servers_of_client"]
    )


def _image(image: dict[str, Any]) -> dict[str, Any]:
    return {"name": image["name"], "size": image["bytes"], "virtualSize": image.get("virtual_bytes", 20 << 30)}


def _vm(vm: dict[str, Any]) -> dict[str, Any]:
    return {
        "taskId": vm["task_id"],
        "createTime": vm["create_time"],
        "desc": vm["desc"],
        "status": vm["status"],
        "domain": "shut_off",
    }


def _set_chain(rentals: Rentals, world: dict[str, Any], chain: dict[str, Any]) -> None:
    node = world["nodes"]["gpu"]["node_id"]
    machine = chain["machines"].get(node, {})
    cards = range(len(world["hardware"]["gpu"]["gpu_pci"]))
    rentals.status = machine.get("status", "")
    rentals.orders.clear()
    rentals.listed = [str(order) for order in machine["orders"]] if "orders" in machine else None
    for key in rentals.listed or []:
        order = chain["orders"][key]
        rentals.orders[key] = Order(key, order["renter"], gpu_num=order["gpuNum"], gpu_index=order["gpuIndex"])
    if "order" in machine:
        renter = machine["order"]["renter"]
        rentals.renter = (renter, 1_100_000)
        rentals.orders[renter] = Order(renter, renter, gpu_num=len(cards), gpu_index=list(cards))


def _is_known(body: dict[str, Any]) -> bool:
    return "session_id" in body or "wallet" in body
