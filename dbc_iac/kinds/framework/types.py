"""Types of fields of the manifest language: the form of a value, not its meaning.

Each is an `Annotated` type for pydantic: it checks one value, and reports the expected form and a remedy. Rules that
need a second field or another resource are in the kinds. Sizes are whole GiB (integers in memory). A value that passes
can be sent: the patterns of the API are in `api/patterns.py`.
"""

from __future__ import annotations

import ipaddress
import math
import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from dbc_iac.api import patterns
from dbc_iac.manifest.validators import Form, Whole, wrong

_GIB = re.compile(r"([0-9]{1,15})(Gi|Ti)")
_FRACTION_GIB = re.compile(r"([0-9]{1,15}\.[0-9]{2})Gi")
MAX_GIB = 1024 * 1024
_FORWARD = re.compile(r"(tcp|udp),([0-9]{1,5})(?:-([0-9]{1,5}))?(?::([0-9]{1,5})(?:-([0-9]{1,5}))?)?")
_RANGES = "Write them like this: tcp,8000-8009:9000-9009."
_GROUP = "Write a group and a port, such as 239.1.2.3:5000."
_RULE = "Write direction,protocol,port,address/mask,action, such as in,tcp,22,0.0.0.0/0,accept."
DBC_GROUPS = ("239.0.0.8:4789", "239.255.0.1:30001")
"""Multicast groups that DBC uses for itself (LAN data and LAN announcements)."""


def parse_gib(value: Any) -> int:
    """`200Gi` or `2Ti` as whole GiB. Raises ValueError for anything else, also for a bare number."""
    if isinstance(value, str) and (match := _GIB.fullmatch(value)):
        return int(match[1]) * (1024 if match[2] == "Ti" else 1)
    raise wrong("expected a size with a unit, such as 200Gi or 2Ti", "Write a whole number of Gi or Ti, such as 200Gi.")


def _size(value: Any) -> int:
    gib = parse_gib(value)
    if not 1 <= gib <= MAX_GIB:
        raise wrong(f"must be 1Gi to {MAX_GIB // 1024}Ti", "Write a size that a machine can have, such as 200Gi.")
    return gib


def gib_text(gib: int | Fraction) -> str:
    """A size in GiB as a manifest writes it. A fraction is kept, so that it differs from every manifest; it is rounded
    up to two decimals."""
    return f"{gib}Gi" if gib.denominator == 1 else f"{math.ceil(gib * 100) / 100:.2f}Gi"


def nearest_size(text: str) -> str:
    """The size of a manifest that is nearest to one of a node, and not smaller if there is one."""
    return gib_text(min(max(math.ceil(observed_gib(text)), 1), MAX_GIB))


def observed_gib(text: str) -> Fraction:
    """A size in GiB as `gib_text` writes it: of a manifest or of a node. Raises ValueError for anything else."""
    if match := _FRACTION_GIB.fullmatch(text):
        return Fraction(match[1])
    return Fraction(parse_gib(text))


def _text(value: str) -> str:
    if any(ord(c) < 0x20 or c in '"\\\x7f' for c in value):
        raise wrong(
            'must not contain ", \\ or control characters',
            "Remove them, or use ' as a quotation mark.",
            detail="The node inserts the text into JSON without escaping.",
        )
    if len(value.encode()) > patterns.MAX_TEXT:
        raise wrong(f"must be at most {patterns.MAX_TEXT} bytes", "Shorten it.")
    return value


def _cidr(value: str) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise wrong(
            "expected an IPv4 network without host bits",
            f"{_canonical_network(value)} ({error}).",
        ) from None
    if str(network) != value:
        raise wrong(f"expected the canonical form {network}", f"Write {network}.")
    if not 8 <= network.prefixlen <= 30:
        raise wrong(
            f"prefix length is {network.prefixlen}, expected 8 to 30",
            "Write /24 for 254 addresses.",
            detail="The node accepts other lengths and computes wrong ranges from them.",
        )
    if network.overlaps(ipaddress.IPv4Network("192.168.122.0/24")):
        raise wrong(
            f"{network} overlaps 192.168.122.0/24, which the node uses", "Use another network, such as 192.168.66.0/24."
        )
    return value


def _canonical_network(value: str) -> str:
    try:
        return f"Write {ipaddress.IPv4Network(value, strict=False)}"
    except ValueError:
        return "Write an address, / and the number of its fixed bits"


def _ip(value: str) -> str:
    if problem := patterns.public_ip_problem(value):
        raise wrong(problem, "Copy the address from the provider of the machine, such as 198.51.100.9.")
    return value


def _host(value: str) -> str:
    if ":" in value:
        try:
            ipaddress.IPv6Address(value)
        except ValueError:
            raise wrong("expected an IP address or a host name", "Write an IPv6 address like fd00::7.") from None
    return value


def _port_range(value: str) -> str:
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", value)
    if not match or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise wrong(
            "expected a range of ports within 1024-65535", "Write the first and last port, such as 20000-29999."
        )
    return value


def forward_ranges(value: str) -> tuple[str, range, range]:
    """A forward as (protocol, host ports, guest ports). Raises ValueError for forwards that the node ignores."""
    match = _FORWARD.fullmatch(value)
    if not match:
        raise wrong(
            "expected PROTOCOL,PORT or PROTOCOL,HOST:GUEST",
            "Write tcp or udp, a comma and the ports, such as tcp,8080:80 or udp,5000-5009.",
            detail="Ports may be ranges: tcp,A-B or tcp,A-B:C-D. The node accepts tcp/udp without an effect.",
        )
    numbers = [int(n) if n else None for n in match.groups()[1:]]
    first, last, guest_first, guest_last = numbers
    assert first is not None  # noqa: S101 - the pattern requires it
    host = range(first, (last if last is not None else first) + 1)
    if guest_first is None:
        guest = host
    elif (last is None) != (guest_last is None):
        raise wrong("expected a range of guest ports for a range of host ports", _RANGES)
    else:
        guest = range(guest_first, (guest_last if guest_last is not None else guest_first) + 1)
    if not host or not guest or len(host) != len(guest):
        raise wrong("expected ascending ranges of equal length", _RANGES)
    if min(host[0], guest[0]) < 1 or max(host[-1], guest[-1]) > 65535:
        raise wrong("expected ports from 1 to 65535", "Use ports of this range.")
    return match[1], host, guest


def _forward(value: str) -> str:
    forward_ranges(value)
    return value


def _multicast(value: str) -> str:
    address, _, port = value.partition(":")
    try:
        group = ipaddress.IPv4Address(address)
    except ValueError:
        raise wrong("expected ADDRESS:PORT", _GROUP, detail="Any other text crashes the node's process.") from None
    if not group.is_multicast:
        raise wrong("expected an address from 224.0.0.0 to 239.255.255.255", _GROUP)
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise wrong("expected a port from 1 to 65535 without leading zeros", _GROUP)
    if value in DBC_GROUPS:
        raise wrong(f"{value} is used by DBC itself", "Use another address or port.")
    return value


def _filter(value: str) -> str:
    parts = value.split(",")
    if len(parts) != 5:
        raise wrong(f"has {len(parts)} parts, expected 5 separated by commas", _RULE)
    direction, protocol, port, address, action = parts
    if direction not in {"in", "out", "inout"}:
        raise wrong("expected direction in, out or inout", _RULE)
    if protocol not in {"all", "tcp", "udp", "icmp", "ssh", "rdp", "http", "https", "dns(udp)", "dns(tcp)"}:
        known = "all, tcp, udp, icmp, ssh, rdp, http, https, dns(udp), dns(tcp)"
        raise wrong("unknown protocol", f"Use one of: {known}.")
    if protocol in {"tcp", "udp"}:
        match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", port)
        if not match or not 1 <= int(match[1]) <= int(match[2] or match[1]) <= 65535:
            refused = "The node refuses the whole list because of such a rule."
            raise wrong(f"expected port N or A-B with {protocol}", _RULE, detail=refused)
    elif port != "all":
        raise wrong(f"expected port all with {protocol}", _RULE, detail="The node ignores the port.")
    host, slash, mask = address.partition("/")
    try:
        canonical = str(ipaddress.IPv4Address(host))
    except ValueError:
        raise wrong("expected an IPv4 address with /mask", _RULE) from None
    if not slash or canonical != host or mask != ("0" if host == "0.0.0.0" else "32"):  # noqa: S104 - a rule's text
        raise wrong("expected 0.0.0.0/0 or an address with /32", _RULE, detail="The node ignores any other mask.")
    if action not in {"accept", "drop"}:
        raise wrong("expected action accept or drop", _RULE)
    return value


IS_SIZE = BeforeValidator(_size)
"""Marks a field with a size in GiB."""
GiB = Annotated[
    int,
    IS_SIZE,
    PlainSerializer(gib_text, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,7}(Gi|Ti)$", "examples": ["200Gi", "2Ti"]}),
]
_PLAIN = "Use only these characters: the value becomes part of shell commands."
_CHOOSE = "Use only these characters."
Port = Annotated[int, Whole(1, 65535)]
VncPort = Annotated[int, Whole(5900, 65535)]
Auto = Literal["auto"]
Hex64 = Annotated[str, Form(r"[0-9a-f]{64}", "64 lower-case hex digits", "Copy the whole id, without 0x.")]
FileName = Annotated[str, Form(patterns.FILE, "a name of 1-128 letters, digits, _ . and -", _PLAIN)]
HostDir = Annotated[
    str,
    Form(
        patterns.HOST_DIR,
        "an absolute path of letters, digits, _ . and -",
        "Write it like /data or /data/scratch, without a final /.",
        patterns.MAX_PATH,
    ),
]
Text = Annotated[str, AfterValidator(_text)]
NonEmptyText = Annotated[Text, Field(min_length=1)]
"""A text that cannot be cleared, so it may not be empty."""
Flag = Annotated[bool, Field(strict=True)]
"""True or false; `no` is text in YAML 1.2."""
Description = Annotated[Text, Field(max_length=200)]
Token = Annotated[str, Form(patterns.NAME, "1-64 letters, digits, _ . and -", _CHOOSE)]
SnapshotName = Annotated[str, Form(patterns.SEGMENT, "1-64 letters, digits, _ . and -, not only dots", _CHOOSE)]
TaskId = Annotated[str, Form(patterns.SEGMENT, "a task id of letters and digits", "Copy it from `dbc-iac vm list`.")]
Order = Annotated[
    str,
    Form(
        "(0|[1-9][0-9]{0,19})|none",
        "the number of a rent order as text, or none",
        'Write the number in quotes without leading zeros, such as "112".',
    ),
]
PortRange = Annotated[str, AfterValidator(_port_range)]
LanName = Annotated[
    str, Form("[A-Za-z0-9]{6,10}", "6 to 10 letters and digits", "Choose another name, such as trainnet.")
]
Cidr = Annotated[str, AfterValidator(_cidr)]
IpAddress = Annotated[str, AfterValidator(_ip)]
Forward = Annotated[str, AfterValidator(_forward)]
MulticastGroup = Annotated[str, AfterValidator(_multicast)]
FirewallRule = Annotated[str, AfterValidator(_filter)]
Gpus = Annotated[int, Whole(0, 1024)]
Cpus = Annotated[int, Whole(1, 65536)]
UserName = Annotated[str, Form(patterns.USER, "1-32 letters, digits, _ . and -", _CHOOSE)]
Host = Annotated[
    str,
    Form(patterns.HOST, "an IP address or a host name", "Write it like 192.168.0.110 or bmc-07.example.org."),
    AfterValidator(_host),
]
IpmiUser = Annotated[str, Form(patterns.IPMI_USER, "1-16 letters, digits, _ . @ and -, not - first", _PLAIN)]
ServerUuid = Annotated[str, Form(patterns.UUID, "1-64 letters, digits and -", _CHOOSE)]
AddressText = Annotated[
    str, Form(r"[A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?", "KIND/NAME", "Write it like VirtualMachine/trainer.")
]
FieldOrAddress = Annotated[
    str,
    Form(
        r"[A-Z][A-Za-z]+/[a-z0-9-]+(\.[a-z0-9-]+)?|[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)*",
        "KIND/NAME or a field",
        "Write it like VirtualMachine/trainer or image.",
    ),
]
"""An entry of `replaceOn`: a field of the resource itself, or another resource."""
