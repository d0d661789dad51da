"""Server database of the manager: add, delete, modify, list.

The same error has two forms: through a client node a refusal with errcode -3, at the manager's own port an HTTP 400,
some with another text. `BadRequest` has both.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, to_builtins

from dbc_iac.emulator.bare_metal.deeplink import Device
from dbc_iac.emulator.crypto import new_key, node_id_of
from dbc_iac.emulator.reply import ProcessDied
from dbc_iac.emulator.world import ServerSpec

CAP = 51
_MAX_ADDED = 101
_REQUIRED = ("uuid", "ip", "ipmi_hostname", "ipmi_username", "ipmi_password")
_TEXTS = (*_REQUIRED, "os", "desc")


class BadRequest(Exception):  # noqa: N818
    """Error in a request: text when relayed, and text at the manager's own port."""

    def __init__(self, relayed: str, own_port: str = "") -> None:
        super().__init__(relayed)
        self.relayed = relayed
        self.own_port = own_port or relayed


class Outcome(Struct, frozen=True):
    """Result of the database: errcode and text, with HTTP 200 on both ways."""

    errcode: int
    text: str


class Server(Struct):
    """A stored server. `off_sent`: the manager has powered it off because it is not rented."""

    node_id: str
    node_private_key: str
    uuid: str
    ip: str
    os: str
    desc: str
    ipmi_hostname: str
    ipmi_username: str
    ipmi_password: str
    ipmi_port: int | None
    off_sent: bool = False

    def text(self, *, shown: bool, power: str | None, device: Device | None) -> str:
        """Listed form. Without the owner's signature, secrets are asterisks of the same length."""

        def hidden(value: str) -> str:
            return value if shown else "*" * len(value)

        return pasted(
            node_id=self.node_id, node_private_key=hidden(self.node_private_key), uuid=self.uuid, ip=self.ip,
            os=self.os, description=self.desc, ipmi_hostname=self.ipmi_hostname,
            ipmi_username=hidden(self.ipmi_username), ipmi_password=hidden(self.ipmi_password),
            ipmi_port=self.ipmi_port, power_status=power,
            deeplink_device_id=device.id if device is not None else None,
            deeplink_device_password=hidden(device.password) if device is not None else None,
        )  # fmt: skip


class Servers:
    """Servers by node id."""

    def __init__(self, known: tuple[ServerSpec, ...], source: random.Random) -> None:
        self._random = source
        self.by_id: dict[str, Server] = {}
        for spec in known:
            key = spec.node_private_key
            node, private = (node_id_of(key), key) if key else new_key(source)
            node = spec.node_id or node
            self.by_id[node] = Server(
                node, private, spec.uuid, spec.ip, spec.os, spec.description, spec.ipmi_hostname,
                spec.ipmi_username, spec.ipmi_password, spec.ipmi_port,
            )  # fmt: skip

    def find(self, name: str) -> list[Server]:
        """All servers, or those with this node id or uuid, sorted by node id."""
        found = sorted(self.by_id.values(), key=lambda s: s.node_id)
        return [s for s in found if name in {s.node_id, s.uuid}] if name else found

    def add(self, additional: Mapping[str, Any]) -> list[Server]:
        """Add validated servers: the new ones, sorted by uuid. Of equal uuids the last wins. Raises BadRequest."""
        entries = additional.get("bare_metal_nodes")
        if "bare_metal_nodes" not in additional:
            raise BadRequest("additional bare_metal_nodes not existed", "parse json additional bare_metal_nodes failed")
        if not isinstance(entries, list):
            raise BadRequest("additional bare_metal_nodes must be an array")
        if not entries:
            raise BadRequest("additional bare_metal_nodes is empty")
        for entry in entries:
            if not isinstance(entry, dict):
                raise ProcessDied("an entry that is no object")
            self._check_entry(entry)
        added: dict[str, Server] = {}
        for entry in entries:
            node, key = new_key(self._random)
            added[entry["uuid"]] = Server(
                node, key, entry["uuid"], entry["ip"], _text(entry, "os"), _text(entry, "desc"),
                entry["ipmi_hostname"], entry["ipmi_username"], entry["ipmi_password"], _port(entry),
            )  # fmt: skip
        self.by_id.update({s.node_id: s for s in added.values()})
        return [server for _, server in sorted(added.items())]

    def _check_entry(self, entry: Mapping[str, Any]) -> None:
        uuid = _text(entry, "uuid")
        if _bad_port(entry):
            raise BadRequest(f"invalid ipmi port in {uuid}", "invalid ipmi port")
        if any(not _text(entry, k) for k in _REQUIRED) or not re.fullmatch(r"[0-9A-Za-z-]+", uuid):
            raise BadRequest(f"bare metal node info {uuid} invalid")
        if any(s.uuid == uuid for s in self.by_id.values()):
            raise BadRequest(f"bare metal node uuid {uuid} already existed")

    def delete(self, additional: Mapping[str, Any]) -> tuple[list[str], Outcome]:
        """Delete servers: their ids and the message. Raises BadRequest."""
        ids = additional.get("bare_metal_node_ids")
        if "bare_metal_node_ids" not in additional:
            raise BadRequest(
                "additional bare_metal_node_ids not existed", "parse json additional bare_metal_node_ids failed"
            )
        if not isinstance(ids, list):
            raise BadRequest("additional bare_metal_node_ids must be an array")
        if any(not isinstance(i, str) for i in ids):
            raise BadRequest("bare_metal_node_ids item must be a string")
        if not ids:
            raise BadRequest("additional bare_meta_node_ids is an empty array")
        gone = [i for i in ids if self.by_id.pop(i, None) is not None]
        if not gone:
            return [], Outcome(-1, f"bare metal node id {ids[-1]} not existed")
        return gone, Outcome(0, f"{len(gone)} were successfully deleted, {len(ids) - len(gone)} failed")

    def modify(self, node_id: str, additional: Mapping[str, Any]) -> Outcome:
        """Modify a server. Absent, empty and wrongly typed values leave fields unchanged. Raises BadRequest."""
        server = self.by_id.get(node_id)
        if server is None:
            raise BadRequest("node id not existed")
        uuid = _text(additional, "uuid")
        if uuid and not re.fullmatch(r"[0-9A-Za-z-]+", uuid):
            raise BadRequest("invalid uuid")
        if _bad_port(additional):
            raise BadRequest("invalid ipmi port")
        if uuid and any(s.uuid == uuid for s in self.by_id.values() if s is not server):
            return Outcome(-1, f"bare metal node uuid {uuid} already existed")
        for key in _TEXTS:
            if value := _text(additional, key):
                setattr(server, key, value)
        if (port := _port(additional)) is not None:
            server.ipmi_port = port
        return Outcome(0, "")

    def truth(self) -> dict[str, Any]:
        return {s.uuid: to_builtins(s) for s in self.by_id.values()}

    def to_state(self) -> list[dict[str, Any]]:
        return [to_builtins(server) for server in self.by_id.values()]

    def from_state(self, state: list[dict[str, Any]]) -> None:
        self.by_id = {one["node_id"]: Server(**one) for one in state}


def added_text(added: list[Server]) -> str:
    """Message of an add: ids without keys."""
    rows = ",".join(pasted(node_id=s.node_id, uuid=s.uuid) for s in added[:_MAX_ADDED])
    return f'{{"bare_metal_nodes":[{rows}]}}'


def pasted(**values: str | int | None) -> str:
    """JSON object by concatenation: texts in quotes without escaping, numbers bare, None omitted."""
    parts = (f'"{k}":{v}' if isinstance(v, int) else f'"{k}":"{v}"' for k, v in values.items() if v is not None)
    return "{" + ",".join(parts) + "}"


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _port(entry: Mapping[str, Any]) -> int | None:
    """A JSON unsigned integer; None for texts, negative numbers and fractions."""
    value = entry.get("ipmi_port")
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32
    return value if good else None


def _bad_port(entry: Mapping[str, Any]) -> bool:
    port = _port(entry)
    return port is not None and not 1 <= port <= 65535
