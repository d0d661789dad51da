"""Ports that an `auto` keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dbc_iac.json import Json
from dbc_iac.kinds.framework.capabilities import capacity
from dbc_iac.kinds.framework.kind import Kind

AUTO = "auto"
_LOWEST = 1024
"""Lowest port of any range of a Node."""


def kept_auto_port(kind: Kind[Any], had: Mapping[str, Json], path: str, ports: range) -> int | None:
    """The port that an `auto` keeps: one of the range, or of an earlier range of the Node; None if it gets another.

    The 22 of a VM with a public address is no host port, and is not kept when it would become one.
    """
    port = had.get(path)
    if not isinstance(port, int) or port in ports:
        return port if isinstance(port, int) else None
    held = capacity(kind, had)
    return port if port >= _LOWEST and ("tcp", port) in held.ports | held.start_ports else None
