"""Exposure of ports of a VM, for policies: `open_to_world(change.desired, 22)`. Rules apply as on the node.

A node asks the rules in their order, but those for every protocol and address last, accept before drop; what no rule
names is let through. Without a rule everything is open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_WORLD = "0.0.0.0/0"
_NAMED = {
    "ssh": ("tcp", 22), "rdp": ("tcp", 3389), "http": ("tcp", 80), "https": ("tcp", 443),
    "dns(udp)": ("udp", 53), "dns(tcp)": ("tcp", 53),
}  # fmt: skip
"""Names of a protocol with its port in rules."""


def open_to_world(desired: Mapping[str, Any], port: int, protocol: str = "tcp") -> bool:
    """Whether the firewall of a VM accepts any address at one of its own ports. `desired`: as in `change.desired`.

    Raises ValueError for an invalid port, protocol or firewall.
    """
    if type(port) is not int or not 1 <= port <= 65535 or protocol not in {"tcp", "udp"}:
        raise ValueError("open_to_world: expected a port, and tcp or udp")
    rules = desired.get("firewall") or ()
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise ValueError("open_to_world: firewall is not a list of rules")
    asked = [rule for text in rules if _matches(rule := _parts(text), port, protocol)]
    asked.sort(key=lambda rule: (rule[1] == "all", rule[1] == "all" and rule[4] == "drop"))
    return not asked or asked[0][4] == "accept"


def _parts(text: Any) -> tuple[str, ...]:
    """Direction, protocol, port, address, action."""
    parts = tuple(str(text).split(","))
    if len(parts) != 5:
        raise ValueError(f"open_to_world: {text} is no rule of a firewall")
    return parts


def _matches(rule: tuple[str, ...], port: int, protocol: str) -> bool:
    """Whether a rule applies to that port and to any address."""
    direction, named, ports, address, _ = rule
    if direction == "out" or address != _WORLD:
        return False
    if named in {"tcp", "udp"}:
        first, _, last = ports.partition("-")
        return named == protocol and int(first) <= port <= int(last or first)
    return named == "all" or _NAMED.get(named) == (protocol, port)
