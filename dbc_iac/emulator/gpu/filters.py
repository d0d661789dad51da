"""Network filters: conversion of five comma-separated fields into a libvirt filter, and its failures.

Invalid items are dropped silently, with two exceptions: an unknown protocol with an address crashes the process, and a
port that is not a number makes libvirt refuse the whole filter.
"""

from __future__ import annotations

from collections.abc import Iterable

from dbc_iac.emulator.gpu.ctext import digits_value, is_digits, is_ip, split
from dbc_iac.emulator.reply import ProcessDied

_PROTOCOLS = frozenset({"all", "tcp", "udp", "ssh", "rdp", "http", "https", "icmp", "ftp", "dns(udp)", "dns(tcp)"})


def apply_filters(filters: Iterable[str]) -> bool:
    """Whether libvirt accepts the filter. Raises ProcessDied where the node dereferences a null pointer."""
    accepted = [_accepted(entry) for entry in filters]  # every item is examined: one of them may crash the process
    return all(accepted)


def _accepted(entry: str) -> bool:
    parts = split(entry, ",")
    if len(parts) != 5:
        return True
    direction, protocol, port, network, action = parts
    addresses = split(network, "/")
    if direction not in {"in", "out", "inout"} or action not in {"accept", "drop"}:
        return True
    if not addresses or not is_ip(addresses[0]):
        return True
    if protocol not in _PROTOCOLS:
        if addresses[0] != "0.0.0.0":  # noqa: S104 - "any" in a filter
            raise ProcessDied(f"filter with unknown protocol and an address: {entry}")
        return True
    return protocol not in {"tcp", "udp"} or _is_range(port)


def _is_range(port: str) -> bool:
    ends = split(port, "-")
    return bool(ends) and all(is_digits(end) and digits_value(end) <= 65535 for end in ends[:2])
