"""Completeness of a plan: every field of a new object is shown, or equal to the old object's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dbc_iac.kinds import kind_of

_EMPTY: tuple[Any, ...] = (None, "", [])


def unshown(plan: Mapping[str, Any]) -> list[str]:
    """Fields of new objects that a plan (its JSON) would send without showing."""
    return [f"{change['address']}: {path}" for change in plan["changes"] for path in _unshown(change)]


def _unshown(change: Mapping[str, Any]) -> Iterator[str]:
    if change["action"] not in {"create", "replace"}:
        return
    fields = {f.path: f for f in kind_of(change["kind"]).fields}
    shown = {f["path"]: f["after"] for f in change["fields"]}
    for path, value in change["desired"].items():
        old = [change[side].get(path) for side in ("applied", "observed")] if change["action"] == "replace" else []
        if path in fields and value not in _EMPTY and value not in old and shown.get(path) != value:
            yield path
    for path, value in change["applied"].items() if change["action"] == "replace" else ():
        rule = fields[path].rule if path in fields else None
        lost = rule is not None and not rule.secret and rule.behaviour != "once" and path != "power"
        if lost and value not in _EMPTY and path not in change["desired"] and path not in shown:
            yield f"{path}, which is lost,"
