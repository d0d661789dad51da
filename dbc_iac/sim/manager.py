"""A bare-metal manager: its servers, as owner and as anyone see them. Reached through a client node."""

from __future__ import annotations

import random
import re
from dataclasses import asdict, dataclass
from typing import Any

from dbc_iac.sim.authority import Authority, Credentials
from dbc_iac.sim.chain import Chain
from dbc_iac.sim.crypto import new_key, node_id_of
from dbc_iac.sim.reply import ProcessDiedError, RefusedError, Reply, done, pasted
from dbc_iac.sim.world import BmcSpec, ManagerSpec

CAP = 51
_REQUIRED = ("uuid", "ip", "ipmi_hostname", "ipmi_username", "ipmi_password")
_TEXTS = (*_REQUIRED, "os", "desc")


@dataclass(slots=True)
class Server:
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

    def text(self, *, shown: bool, power: str | None) -> str:
        """As the list tells it. Without the owner's signature secrets are asterisks of the same length."""

        def hidden(value: str) -> str:
            return value if shown else "*" * len(value)

        return pasted(
            node_id=self.node_id, node_private_key=hidden(self.node_private_key), uuid=self.uuid, ip=self.ip,
            os=self.os, description=self.desc, ipmi_hostname=self.ipmi_hostname,
            ipmi_username=hidden(self.ipmi_username), ipmi_password=hidden(self.ipmi_password),
            ipmi_port=self.ipmi_port, power_status=power,
        )  # fmt: skip


class Manager:
    """One manager process with all its servers."""

    def __init__(self, spec: ManagerSpec, source: random.Random, chain: Chain, bmcs: tuple[BmcSpec, ...] = ()) -> None:
        self.id = node_id_of(spec.seed)
        self.spec = spec
        self.random = source
        self.bmcs = {(b.host, b.port): b for b in bmcs}
        self.authority = Authority(chain, source)
        self.servers: dict[str, Server] = {}
        for known in spec.servers:
            key = known.node_private_key
            node, private = (node_id_of(key), key) if key else new_key(source)
            self.servers[node] = Server(
                node, private, known.uuid, known.ip, known.os, known.description, known.ipmi_hostname,
                known.ipmi_username, known.ipmi_password, known.ipmi_port,
            )  # fmt: skip

    async def handle(
        self, op: str, credentials: Credentials, path: tuple[str, ...], additional: dict[str, Any]
    ) -> Reply:
        """Carry out one operation. Raises RefusedError and ProcessDiedError."""
        match op:
            case "bare_metal.list":
                return self._list(self._owner(credentials), path)
            case "bare_metal.add" | "bare_metal.delete" | "bare_metal.modify":
                if not self._owner(credentials):
                    raise RefusedError(-3, "verify sign failed")
            case "session_id":
                raise ProcessDiedError("a manager's id: nobody ever answers")
            case "mining_nodes":
                raise RefusedError(-3, "bare metal node has no machine info for now")
            case _:
                raise RefusedError(-3, "bare metal nodes are not supported")
        if op == "bare_metal.add":
            return self._add(additional)
        return self._delete(additional) if op == "bare_metal.delete" else self._modify(path[0], additional)

    def _owner(self, credentials: Credentials) -> bool:
        wallet, nonce, sign = credentials.wallet
        return wallet == self.id and bool(nonce) and self.authority.fresh(wallet, nonce, sign)

    def _list(self, shown: bool, path: tuple[str, ...]) -> Reply:
        found = sorted(self.servers.values(), key=lambda s: s.node_id)
        if path:
            found = [s for s in found if path[0] in {s.node_id, s.uuid}]
        power = self._power(found[0]) if len(found) == 1 else None
        rows = ",".join(s.text(shown=shown, power=power) for s in found[:CAP])
        return done(f'{{"bare_metal_nodes":[{rows}]}}')

    def _power(self, server: Server) -> str | None:
        """What the BMC of a single server says; nothing where it does not answer to the credentials."""
        bmc = self.bmcs.get((server.ipmi_hostname, server.ipmi_port or 623))
        good = bmc is not None and (bmc.user, bmc.password) == (server.ipmi_username, server.ipmi_password)
        return f"Chassis Power is {bmc.power}" if bmc is not None and good else None

    def _add(self, additional: dict[str, Any]) -> Reply:
        entries = additional.get("bare_metal_nodes")
        if "bare_metal_nodes" not in additional:
            raise RefusedError(-3, "additional bare_metal_nodes not existed")
        if not isinstance(entries, list):
            raise RefusedError(-3, "additional bare_metal_nodes must be an array")
        if not entries:
            raise RefusedError(-3, "additional bare_metal_nodes is empty")
        for entry in entries:
            if not isinstance(entry, dict):
                raise ProcessDiedError("an entry that is no object")
            self._check_entry(entry)
        added: dict[str, Server] = {}
        for entry in entries:
            node, key = new_key(self.random)
            added[entry["uuid"]] = Server(
                node, key, entry["uuid"], entry["ip"], _text(entry, "os"), _text(entry, "desc"),
                entry["ipmi_hostname"], entry["ipmi_username"], entry["ipmi_password"], _port(entry),
            )  # fmt: skip
        self.servers.update({s.node_id: s for s in added.values()})
        rows = ",".join(pasted(node_id=s.node_id, uuid=s.uuid) for _, s in sorted(added.items()))
        return done(f'{{"bare_metal_nodes":[{rows}]}}')

    def _check_entry(self, entry: dict[str, Any]) -> None:
        uuid = _text(entry, "uuid")
        if _bad_port(entry):
            raise RefusedError(-3, f"invalid ipmi port in {uuid}")
        if any(not _text(entry, k) for k in _REQUIRED) or not re.fullmatch(r"[0-9A-Za-z-]+", uuid):
            raise RefusedError(-3, f"bare metal node info {uuid} invalid")
        if any(s.uuid == uuid for s in self.servers.values()):
            raise RefusedError(-3, f"bare metal node uuid {uuid} already existed")

    def _delete(self, additional: dict[str, Any]) -> Reply:
        ids = additional.get("bare_metal_node_ids")
        if "bare_metal_node_ids" not in additional:
            raise RefusedError(-3, "additional bare_metal_node_ids not existed")
        if not isinstance(ids, list):
            raise RefusedError(-3, "additional bare_metal_node_ids must be an array")
        if any(not isinstance(i, str) for i in ids):
            raise RefusedError(-3, "bare_metal_node_ids item must be a string")
        if not ids:
            raise RefusedError(-3, "additional bare_meta_node_ids is an empty array")
        gone = [i for i in ids if self.servers.pop(i, None) is not None]
        if not gone:
            raise RefusedError(-1, f"bare metal node id {ids[-1]} not existed")
        return done(f'"{len(gone)} were successfully deleted, {len(ids) - len(gone)} failed"')

    def _modify(self, node_id: str, additional: dict[str, Any]) -> Reply:
        server = self.servers.get(node_id)
        if server is None:
            raise RefusedError(-3, "node id not existed")
        uuid = _text(additional, "uuid")
        if uuid and not re.fullmatch(r"[0-9A-Za-z-]+", uuid):
            raise RefusedError(-3, "invalid uuid")
        if _bad_port(additional):
            raise RefusedError(-3, "invalid ipmi port")
        if uuid and any(s.uuid == uuid for s in self.servers.values() if s is not server):
            raise RefusedError(-1, f"bare metal node uuid {uuid} already existed")
        for key in _TEXTS:
            if value := _text(additional, key):
                setattr(server, key, value)
        if (port := _port(additional)) is not None:
            server.ipmi_port = port
        return done('""')

    def truth(self) -> dict[str, Any]:
        return {s.uuid: asdict(s) for s in self.servers.values()}


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    return value if isinstance(value, str) else ""


def _port(entry: dict[str, Any]) -> int | None:
    """A JSON unsigned integer; text, negative numbers and fractions are as if they were not there."""
    value = entry.get("ipmi_port")
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32
    return value if good else None


def _bad_port(entry: dict[str, Any]) -> bool:
    port = _port(entry)
    return port is not None and not 1 <= port <= 65535
