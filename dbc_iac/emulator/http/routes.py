"""Routing of URIs to operations: prefixes without a boundary, no decoding, as in the real router."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.emulator.gpu.ctext import atoi
from dbc_iac.emulator.http.answer import CANNOT_FORWARD, INVALID_REQUEST, Answer, invalid
from dbc_iac.emulator.world import VERSION

_ROOT = "/api/v1"
_VERBS = ("start", "restart", "shutdown", "poweroff", "stop", "reset", "delete", "logs", "modify", "passwd")
_IMAGE_VERBS = (
    "servers",
    "download",
    "downloadprogress",
    "download_stop",
    "upload",
    "uploadprogress",
    "upload_stop",
    "delete",
)

Parts = tuple[str, ...]


class Route(Struct, frozen=True):
    """`path`: segments after the operation; `wrong`: the handler's error for a path after its method check;
    `missing`: its error for an empty segment after reading the body.
    """

    op: str
    path: Parts = ()
    query: dict[str, str] = field(default_factory=dict)
    wrong: str = ""
    missing: str = ""


def route(uri: str) -> Route:
    """Route a URI. Raises Answer where the router itself answers."""
    if not uri.startswith(_ROOT):
        raise Answer(400, INVALID_REQUEST, f"request uri is invalid, uri:{uri}")
    if uri == f"{_ROOT}/":
        raise Answer(200, 0, {"client_version": VERSION})
    rest = uri.removeprefix(_ROOT)
    for prefix, find in _FAMILIES.items():
        if rest.startswith(prefix):
            path, _, text = rest.removeprefix(prefix).partition("?")
            found = find(tuple(_split(path.removeprefix("/"), "/")))
            return replace(found, query=_query(text))
    raise Answer(404, -32601, f"not support uri:{uri}")


def check_query(found: Route) -> None:
    """Query parameters used by the called node. Raises Answer."""
    if found.op != "tasks.logs":
        return
    flag, number = found.query.get("flag", ""), found.query.get("line_num", "")
    if flag and flag not in {"head", "tail"}:
        raise invalid('head_or_tail is invalid"')
    if flag and number and atoi(number) <= 0:
        raise invalid("invalid line num")


def _query(text: str) -> dict[str, str]:
    """Only exact `name=value` parts count; of one name the last."""
    pairs = (_split(item, "=") for item in _split(text, "&"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _split(text: str, separator: str) -> list[str]:
    """An empty last segment counts as absent; others do not."""
    parts = text.split(separator)
    return parts if parts[-1] else parts[:-1]


def _unhandled() -> Answer:
    return Answer(500, CANNOT_FORWARD, "Unhandled request")


def _invalid(text: str = "invalid requests uri") -> Answer:
    return Answer(400, INVALID_REQUEST, text)


def _tasks(parts: Parts) -> Route:
    if parts in {(), ("",)}:
        return Route("tasks.list")
    if len(parts) == 1:
        return Route("tasks.create") if parts[0] == "start" else Route("tasks.details", parts)
    if len(parts) > 2:
        raise _invalid()
    if parts[0] not in _VERBS:
        raise _unhandled()
    return Route(f"tasks.{parts[0]}", parts[1:], wrong="" if parts[1] else "task_id is empty")


def _images(parts: Parts) -> Route:
    if not parts:
        return Route("images.list")
    if len(parts) > 1 or parts[0] not in _IMAGE_VERBS:
        raise _invalid()
    return Route(f"images.{parts[0]}")


def _snapshot(parts: Parts) -> Route:
    if not 1 <= len(parts) <= 3 or parts[0] not in {"list", "create", "delete"}:
        raise _invalid("invalid uri")
    verb, rest = parts[0], parts[1:]
    wrong = missing = ""
    if verb == "list" and not rest:
        wrong = "invalid uri, please use /snapshot/list/<task_id>[/snapshot_name]"
    elif verb == "create" and len(rest) != 1:
        wrong = "invalid uri, please use: /snapshot/<task_id>/create"
    elif verb == "delete" and len(rest) != 2:
        wrong = "invalid uri, please use /snapshot/<task_id>/delete/<snapshot_name>"
    elif not rest[0]:
        missing = "task_id is empty"
    elif verb == "delete" and not rest[1]:
        missing = "snapshot_name is empty"
    return Route(f"snapshot.{verb}", rest, wrong=wrong, missing=missing)


def _disk(parts: Parts) -> Route:
    if len(parts) != 2 or parts[0] not in {"list", "resize", "add", "delete"}:
        raise _invalid()
    return Route(f"disk.{parts[0]}", parts[1:], wrong="" if parts[1] else "task_id is empty")


def _mining_nodes(parts: Parts) -> Route:
    found = {
        (): "mining_nodes",
        ("session_id",): "mining_nodes.session_id",
        ("free_memory",): "mining_nodes.free_memory",
    }
    if parts not in found:
        raise _invalid()
    return Route(found[parts])


def _peers(parts: Parts) -> Route:
    if len(parts) != 1:
        raise _invalid()
    return Route("peers", parts)


def _dead(parts: Parts) -> Route:
    raise _unhandled()


def _monitor(parts: Parts) -> Route:
    if len(parts) > 1:
        raise _invalid()
    return Route("monitor.set" if parts == ("set",) else "monitor")


def _lan(parts: Parts) -> Route:
    if len(parts) > 2:
        raise _invalid()
    if len(parts) == 2:
        if parts[0] != "delete":
            raise _unhandled()
        return Route("lan.delete", parts[1:])
    return Route("lan.create") if parts == ("create",) else Route("lan.list", () if parts == ("",) else parts)


def _bare_metal(parts: Parts) -> Route:
    if len(parts) == 2 and parts[0] == "modify":
        return Route("bare_metal.modify", parts[1:])
    if len(parts) > 1:
        raise _invalid()
    if parts and parts[0] in {"add", "delete", "power", "bootdev"}:
        return Route(f"bare_metal.{parts[0]}")
    return Route("bare_metal.list", parts)


def _deeplink(parts: Parts) -> Route:
    if parts not in {(), ("set",)}:
        raise _invalid()
    return Route("deeplink.set" if parts else "deeplink")


def _rent_orders(parts: Parts) -> Route:
    if len(parts) > 1:
        raise _invalid()
    return Route("rent_orders")


_FAMILIES: dict[str, Callable[[Parts], Route]] = {
    "/tasks": _tasks,
    "/images": _images,
    "/snapshot": _snapshot,
    "/disk": _disk,
    "/mining_nodes": _mining_nodes,
    "/peers": _peers,
    "/stat": _dead,
    "/config": _dead,
    "/monitor": _monitor,
    "/lan": _lan,
    "/bare_metal": _bare_metal,
    "/deeplink": _deeplink,
    "/rent_orders": _rent_orders,
}
"""Routes in the order of matching."""
