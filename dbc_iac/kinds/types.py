"""The types of the manifest language's fields: what a value may look like, and nothing about what it is for.

Each is an `Annotated` type for pydantic: it checks one value, with a message that says what is expected. Rules that
need a second field or another resource live with the kinds. Sizes are whole GiB (integers in memory).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

_GIB = re.compile(r"([0-9]{1,9})(Gi|Ti)")
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)")
_FORWARD = re.compile(r"(tcp|udp),([0-9]{1,5})(?:-([0-9]{1,5}))?(?::([0-9]{1,5})(?:-([0-9]{1,5}))?)?")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,253}")
DBC_GROUPS = ("239.0.0.8:4789", "239.255.0.1:30001")
"""Multicast groups that DBC uses for itself (LAN data and LAN announcements)."""


def parse_gib(value: Any) -> int:
    """`200Gi` or `2Ti` as whole GiB. Raises ValueError for anything else, also for a bare number."""
    if isinstance(value, str) and (match := _GIB.fullmatch(value)):
        return int(match[1]) * (1024 if match[2] == "Ti" else 1)
    raise ValueError("expected a size with a unit, such as 200Gi or 2Ti")


def gib_text(gib: int) -> str:
    return f"{gib}Gi"


def parse_seconds(value: Any) -> int:
    """`90s`, `15m` or `2h` as seconds."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
    raise ValueError("expected a duration, such as 90s, 15m or 2h")


def _text(value: str) -> str:
    if any(ord(c) < 0x20 or c in '"\\\x7f' for c in value):
        raise ValueError('must not contain ", \\ or control characters: the node pastes it into JSON without escaping')
    if len(value.encode()) > 500:
        raise ValueError("must be at most 500 bytes")
    return value


def _host_dir(value: str) -> str:
    parts = value.split("/")
    if (
        parts[0]
        or len(parts) < 2
        or any(p in {"", ".", ".."} or not re.fullmatch(r"[A-Za-z0-9_.-]+", p) for p in parts[1:])
    ):
        raise ValueError("expected an absolute directory of plain components, such as /data or /data/scratch")
    return value


def _cidr(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"expected an IPv4 network such as 192.168.66.0/24, without host bits ({error})") from None
    if str(network) != value:
        raise ValueError(f"expected the canonical form {network}")
    if not 8 <= network.prefixlen <= 30:
        raise ValueError("the prefix length must be 8 to 30: the node takes others and makes nonsense ranges of them")
    if network.overlaps(ipaddress.IPv4Network("192.168.122.0/24")):
        raise ValueError("must not overlap 192.168.122.0/24: the node uses it itself")
    return value


def _ip(value: str) -> str:
    try:
        canonical = str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("expected an IPv4 or IPv6 address") from None
    if canonical != value:
        raise ValueError(f"expected the canonical form {canonical}")
    return value


def _port_range(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value)
    if not match or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError("expected a range within 1024-65535, such as 20000-29999")
    return value


def forward_ranges(value: str) -> tuple[str, range, range]:
    """A forward as (protocol, host ports, guest ports). Raises ValueError where the node would silently do nothing."""
    match = _FORWARD.fullmatch(value)
    if not match:
        raise ValueError(
            "expected tcp,PORT  tcp,HOST:GUEST  tcp,A-B  or  tcp,A-B:C-D  (or udp); 'tcp/udp' does nothing"
        )
    numbers = [int(n) if n else None for n in match.groups()[1:]]
    first, last, guest_first, guest_last = numbers
    assert first is not None  # noqa: S101 - the pattern requires it
    host = range(first, (last if last is not None else first) + 1)
    if guest_first is None:
        guest = host
    elif (last is None) != (guest_last is None):
        raise ValueError("a range of ports must be forwarded to a range of ports")
    else:
        guest = range(guest_first, (guest_last if guest_last is not None else guest_first) + 1)
    if not host or not guest or len(host) != len(guest):
        raise ValueError("both ranges must be ascending and of equal length")
    if min(host[0], guest[0]) < 1 or max(host[-1], guest[-1]) > 65535:
        raise ValueError("ports are 1 to 65535")
    return match[1], host, guest


def _forward(value: str) -> str:
    forward_ranges(value)
    return value


def _multicast(value: str) -> str:
    address, _, port = value.partition(":")
    try:
        group = ipaddress.IPv4Address(address)
    except ValueError:
        raise ValueError("expected ADDRESS:PORT with an IPv4 address: other text ends the node's process") from None
    if not group.is_multicast:
        raise ValueError("the address must be within 224.0.0.0 - 239.255.255.255")
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise ValueError("the port must be 1 to 65535 without leading zeros")
    if value in DBC_GROUPS:
        raise ValueError("DBC itself uses this group")
    return value


def _filter(value: str) -> str:
    parts = value.split(",")
    if len(parts) != 5:
        raise ValueError("expected direction,protocol,port,address/mask,action, such as in,tcp,22,0.0.0.0/0,accept")
    direction, protocol, port, address, action = parts
    if direction not in {"in", "out", "inout"}:
        raise ValueError("the direction must be in, out or inout")
    if protocol not in {"all", "tcp", "udp", "icmp", "ssh", "rdp", "http", "https", "dns(udp)", "dns(tcp)"}:
        raise ValueError("the protocol must be all, tcp, udp, icmp, ssh, rdp, http, https, dns(udp) or dns(tcp)")
    if protocol in {"tcp", "udp"}:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", port)
        if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            raise ValueError(
                f"with {protocol} the port must be N or A-B: other text makes the node reject the whole list"
            )
    elif port != "all":
        raise ValueError(f"with {protocol} the port must be all: the node ignores it")
    host, slash, mask = address.partition("/")
    try:
        canonical = str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError("expected an IPv4 address with /mask") from None
    if not slash or canonical != host or mask != ("0" if host == "0.0.0.0" else "32"):  # noqa: S104 - a rule's text
        raise ValueError("only 0.0.0.0/0 and a.b.c.d/32 are possible: the node ignores the mask")
    if action not in {"accept", "drop"}:
        raise ValueError("the action must be accept or drop")
    return value


GiB = Annotated[
    int,
    BeforeValidator(parse_gib),
    Field(ge=1),
    PlainSerializer(gib_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,9}(Gi|Ti)$", "examples": ["200Gi", "2Ti"]}),
]
Seconds = Annotated[
    int,
    BeforeValidator(parse_seconds),
    PlainSerializer(lambda s: f"{s}s", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}(s|m|h)$", "examples": ["90s", "15m"]}),
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
VncPort = Annotated[int, Field(strict=True, ge=5900, le=65535)]
Auto = Literal["auto"]
Hex64 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
HostDir = Annotated[str, AfterValidator(_host_dir)]
Text = Annotated[str, AfterValidator(_text)]
Flag = Annotated[bool, Field(strict=True)]
"""True or false, not a word for it: `no` is text in YAML 1.2."""
Description = Annotated[Text, Field(max_length=200)]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
Order = Annotated[str, Field(pattern=r"^([0-9]{1,20}|none)$")]
PortRange = Annotated[str, AfterValidator(_port_range)]
LanName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]{6,10}$")]
Cidr = Annotated[str, AfterValidator(_cidr)]
IpAddress = Annotated[str, AfterValidator(_ip)]
Forward = Annotated[str, AfterValidator(_forward)]
MulticastGroup = Annotated[str, AfterValidator(_multicast)]
FirewallRule = Annotated[str, AfterValidator(_filter)]
Count = Annotated[int, Field(strict=True, ge=0)]
Positive = Annotated[int, Field(strict=True, ge=1)]
UserName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
Host = Annotated[str, Field(pattern=rf"^{_HOST.pattern}$")]
IpmiUser = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@-]{1,16}$")]
ServerUuid = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{1,64}$")]
AddressText = Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?$")]
FieldOrAddress = Annotated[
    str, Field(pattern=r"^([A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?|[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*)$")
]
"""What `replaceOn` names: a field of the resource itself, or another resource."""
