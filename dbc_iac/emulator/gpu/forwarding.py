"""Port forwards that reach a guest. More syntax is accepted than works; the rest has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dbc_iac.emulator.gpu.ctext import is_digits, split
from dbc_iac.emulator.gpu.record import Record


class ForwardedPort(Struct, frozen=True):
    """Texts for iptables: `80`, or `80:90` on the host and `80-90` in the guest."""

    protocol: str
    host: str
    guest: str


def forwarded_ports(record: Record) -> list[ForwardedPort]:
    """Forwards of ssh, rdp and the custom ports of a VM."""
    ports = []
    if record.ssh_port:
        ports.append(ForwardedPort("tcp", str(record.ssh_port), "22"))
    if record.rdp_port:
        ports.append(ForwardedPort("tcp", str(record.rdp_port), "3389"))
    return [*ports, *_custom(record.custom_ports)]


def _custom(entries: list[str]) -> Iterator[ForwardedPort]:
    for entry in entries:
        parts = split(entry, ",")
        if len(parts) == 2 and parts[0] in {"tcp", "udp"}:
            found = _range(parts[1].strip())
            if found is not None:
                yield ForwardedPort(parts[0], *found)


def _range(text: str) -> tuple[str, str] | None:
    """Parse `P`, `H:G`, `A-B` or `A-B:C-D`."""
    if is_digits(text):
        return text, text
    sides = split(text, ":")
    if len(sides) == 2 and all(is_digits(side) for side in sides):
        return sides[0], sides[1]
    ends = split(text, "-")
    if len(ends) == 2 and all(is_digits(end) for end in ends):
        return f"{ends[0]}:{ends[1]}", f"{ends[0]}-{ends[1]}"
    if len(sides) == 2:
        host, guest = split(sides[0], "-"), split(sides[1], "-")
        if len(host) == 2 and len(guest) == 2:
            return f"{host[0]}:{host[1]}", f"{guest[0]}-{guest[1]}"
    return None
