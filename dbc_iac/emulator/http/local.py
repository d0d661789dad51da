"""Answers of the called node itself: known nodes, image servers, its own LANs, its own servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dbc_iac.emulator.bare_metal.servers import BadRequest, pasted
from dbc_iac.emulator.crypto import verifies
from dbc_iac.emulator.gpu.image_servers import ImageServer, image_server_reply
from dbc_iac.emulator.gpu.lan_requests import lan_text, own_view
from dbc_iac.emulator.http.answer import CANNOT_FORWARD, INVALID_REQUEST, Answer, RelayedAnswer, invalid
from dbc_iac.emulator.http.envelope import OWNERS, Envelope
from dbc_iac.emulator.reply import ProcessDied

if TYPE_CHECKING:
    from dbc_iac.emulator.bare_metal.manager import ManagerProcess
    from dbc_iac.emulator.http.node import HttpNode

_IMAGE_SERVER_NEEDED = frozenset({"images.download", "images.upload", "snapshot.create"})
_EMPTY_IS_UNKNOWN = frozenset(
    {"mining_nodes", "lan.list", "lan.delete", "bare_metal.list", "bare_metal.delete", "bare_metal.modify"}
)
"""Operations for which an empty id is treated as unknown."""
_POWER_COMMANDS = frozenset({"status", "on", "off", "reset"})
_BOOT_DEVICES = frozenset({"none", "pxe", "disk", "cdrom", "bios"})


def before_body(node: HttpNode, op: str, path: tuple[str, ...]) -> None:
    """Requests without a body. Raises Answer and RelayedAnswer."""
    if op == "peers":
        if path[0] not in {"active", "global", "lan"}:
            raise invalid("invalid option. the option is active or global")
        raise RelayedAnswer(ok('{"peer_nodes":[]}'))
    if op in {"bare_metal.power", "bare_metal.bootdev"} and node.kind == "manager":
        raise Answer(400, INVALID_REQUEST, "only client node support")


def before_envelope(node: HttpNode, op: str, value: Mapping[str, Any]) -> None:
    """Checks before the common fields. Raises Answer, RelayedAnswer, ProcessDied."""
    if op == "images.servers":
        listed = ",".join(f'"{image_server}"' for image_server in node.image_server_ids)
        raise RelayedAnswer(ok(f'{{"image_server":[{listed}]}}'))
    if op != "deeplink.set":
        return
    if "additional" not in value:
        raise ProcessDied("deeplink/set without additional")
    additional = value["additional"]
    if not isinstance(additional, dict):
        raise invalid("parse json additional failed")
    for key, name in (("device_id", "device id"), ("device_password", "device password")):
        if key in additional and not isinstance(additional[key], str):
            raise invalid(f"additional {name} must be a string")
    if not {"device_id", "device_password"} & additional.keys():
        raise invalid("invalid device info")


async def answer(node: HttpNode, op: str, path: tuple[str, ...], envelope: Envelope) -> None:
    """Answer locally where the called node does. Raises Answer or RelayedAnswer; returns for a request to relay."""
    family = op.partition(".")[0]
    if family == "bare_metal":
        _bare_metal(node, op, path, envelope)
    elif op == "mining_nodes" and envelope.target is None:
        rows = ",".join(pasted(node_id=e.id, name=e.name, version=e.version) for e in node.heard("gpu"))
        raise RelayedAnswer(ok(f'{{"mining_nodes":[{rows}]}}'))
    elif op == "lan.list" and envelope.target is None:
        _own_lans(node, path)
    elif family == "images":
        await _images(node, op, envelope)
    elif family == "deeplink":
        _own_deeplink(node, op, envelope)
    if envelope.target is None or (not envelope.target and op not in _EMPTY_IS_UNKNOWN):
        raise invalid("peer_nodeid is empty")


def image_server(node: HttpNode, op: str, additional: Mapping[str, Any]) -> str:
    """Image server named by a request, as known to this node. Raises Answer."""
    asked = additional.get("image_server")
    image_server = asked if isinstance(asked, str) else ""
    known = image_server in node.image_server_ids
    if (op in _IMAGE_SERVER_NEEDED and not known) or (
        image_server and not known and op in {"images.list", "mining_nodes"}
    ):
        raise invalid("image_server not exist")
    return image_server if known else ""


def check_additional(op: str, additional: Mapping[str, Any]) -> None:
    """Power and boot device, after the credentials. Raises Answer."""
    key, words = {
        "bare_metal.power": ("command", _POWER_COMMANDS),
        "bare_metal.bootdev": ("device", _BOOT_DEVICES),
    }.get(op, ("", frozenset[str]()))
    if not key:
        return
    if key not in additional:
        raise invalid(f"parse json additional {key} failed")
    if not isinstance(additional[key], str):
        raise invalid(f"additional {key} must be a string")
    if additional[key] not in words:
        raise invalid(f"invalid {key}")


def ok(message: str) -> str:
    return f'{{"errcode":0, "message":{message}}}'


def _own_lans(node: HttpNode, path: tuple[str, ...]) -> None:
    if not path:
        raise RelayedAnswer(ok(own_view(node.lan)))
    lan = node.lan.networks.get(path[0])
    if lan is None:
        raise Answer(400, CANNOT_FORWARD, "network name not exist")
    raise RelayedAnswer(ok(lan_text(lan)))


async def _images(node: HttpNode, op: str, envelope: Envelope) -> None:
    """Lists of image servers, and transfers requested of this node itself, which have no effect and report success."""
    if envelope.target:
        return
    if op == "images.list":
        raise RelayedAnswer(
            f'{{"errcode":0,"message": {await _image_server_list(node, _needed_image_server(node, envelope))}}}'
        )
    if op not in {"images.upload", "images.uploadprogress", "images.upload_stop"}:
        return
    if op == "images.upload":
        _needed_image_server(node, envelope)
    name = envelope.additional.get("image_filename")
    path = name if isinstance(name, str) else ""
    full = path if path.startswith("/") else f"/data/{path}"
    if not path or full not in node.files():
        raise invalid(f"image_filename: /data/{full} not exist")
    if op == "images.uploadprogress":
        raise RelayedAnswer('{"errcode":0,"message":{"status": "done","progress": "100%"}}')
    raise RelayedAnswer('{"errcode":0,"message":"ok"}')


def _needed_image_server(node: HttpNode, envelope: Envelope) -> ImageServer:
    asked = envelope.additional.get("image_server")
    image_server = (
        node.world.image_servers.get(asked) if isinstance(asked, str) and asked in node.image_server_ids else None
    )
    if image_server is None:
        raise invalid("image_server not exist")
    return image_server


async def _image_server_list(node: HttpNode, image_server: ImageServer) -> str:
    """Query within the single HTTP thread: all other requests wait."""
    async with node.turn:
        await node.world.clock.sleep(node.world.image_server_seconds(image_server))
        return image_server_reply(image_server)


def _bare_metal(node: HttpNode, op: str, path: tuple[str, ...], envelope: Envelope) -> None:
    target, manager = envelope.target, node.manager
    mine = target is None or (bool(node.id) and target == node.id)
    if op == "bare_metal.list":
        if mine:
            _list(node, path, envelope)
        return
    if op not in OWNERS:
        return
    if not all(envelope.credentials.wallet):
        raise invalid("invalid wallet sign")
    if not mine:
        return
    if manager is None:
        raise Answer(400, INVALID_REQUEST, "only bare metal node support")
    if not _owner(manager, envelope):
        raise invalid("verify sign failed")
    try:
        text = manager.change(op, path, envelope.additional).text
    except BadRequest as wrong:
        raise invalid(wrong.own_port) from None
    raise RelayedAnswer(text)


def _list(node: HttpNode, path: tuple[str, ...], envelope: Envelope) -> None:
    if node.kind == "gpu":
        raise Answer(400, INVALID_REQUEST, "not support")
    if node.manager is None:
        rows = ",".join(pasted(node_id=e.id, name=e.name, version=e.version) for e in node.heard("server"))
        raise RelayedAnswer(ok(f'{{"bare_metal_nodes":[{rows}]}}'))
    found = node.manager.servers.find(path[0] if path else "")
    raise RelayedAnswer(ok(node.manager.list_text(found, None, shown=_owner(node.manager, envelope))))


def _owner(manager: ManagerProcess, envelope: Envelope) -> bool:
    """The manager's own port does not check that nonces are new."""
    wallet, nonce, sign = envelope.credentials.wallet
    return wallet == manager.id and bool(nonce) and verifies(wallet, nonce, sign)


def _own_deeplink(node: HttpNode, op: str, envelope: Envelope) -> None:
    """A server of this manager, at its own port."""
    server = node.manager.servers.by_id.get(envelope.target or "") if node.manager is not None else None
    if server is None or node.manager is None:
        return
    wallet, nonce, sign = envelope.credentials.wallet
    known = wallet == server.node_id and bool(nonce) and verifies(wallet, nonce, sign)
    device = node.manager.deeplinks.devices.get(server.ip)
    if op == "deeplink":
        if device is None:
            raise Answer(400, INVALID_REQUEST, "deeplink service not connected")
        password = device.password if known else "*" * len(device.password)
        raise RelayedAnswer(ok(pasted(device_id=device.id, device_password=password)))
    if not known:
        raise invalid("verify sign failed")
    if device is None:
        raise RelayedAnswer('{"errcode": -1,"message": "deeplink service not connected"}')
    node.manager.deeplinks.set_password(server.ip, str(envelope.additional.get("device_password") or ""))
    raise RelayedAnswer('{"errcode": 0,"message": "ok"}')
