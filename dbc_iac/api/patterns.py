"""Patterns of the texts that a node, a manager or a client node accepts, each defined once. Pure.

The kinds check them first, with file and line; the wire types check them last, before anything is sent. Patterns are
matched in full. What the node does with other text: it pastes it into shell commands and JSON, or ends its process.
"""

from __future__ import annotations

import ipaddress

TASK_ID = r"[A-Za-z0-9]{20,22}"
NAME = r"[A-Za-z0-9_.-]{1,64}"
SEGMENT = rf"(?!\.+$){NAME}"
"""A part of a path: what is only dots would lead out of it."""
FILE = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
IMAGE = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,121}\.qcow2"
HOST_DIR = r"(/(?!\.{1,2}(/|$))[A-Za-z0-9_.-]+)+"
LAN = r"(?!(?i:create|delete)$)[A-Za-z0-9]{6,10}"
USER = r"[A-Za-z0-9_.-]{1,32}"
UUID = r"[0-9A-Za-z-]{1,64}"
IPMI_USER = r"(?!-)[A-Za-z0-9_.@-]{1,16}"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
HOST = rf"(?=.{{1,253}}$)({_OCTET}(\.{_OCTET}){{3}}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|({_LABEL}\.)*(?![0-9]+$){_LABEL})"
"""An address or a host name, of which the last part is no number: `999.1.1.1` is neither."""

PASSWORD = r"[ !#-\[\]-~]{1,128}"  # noqa: S105 - a pattern: printable ASCII without " and \
IPMI_PASSWORD = r"(?!-)(?!\*+$)[A-Za-z0-9_.@%+=:,/^-]{1,16}"  # noqa: S105 - a pattern
DEEPLINK_PASSWORD = r'[^"\\\x00-\x1f\x7f\ud800-\udfff]+'  # noqa: S105 - a pattern
MAX_DEEPLINK = 400
"""Bytes of a DeepLink password: a longer one overruns a buffer of the manager and ends it."""

MAX_TEXT = 500
"""Bytes of a description, without the ownership marker that is appended to it."""
MAX_PATH = 1000


def public_ip_problem(value: str) -> str:
    """Problem of a text as public address of a VM; empty if there is none.

    The node inserts it into shell commands. A zone (`fe80::1%...`) could contain any text.
    """
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return "expected an IPv4 or IPv6 address"
    if "%" in value or getattr(address, "ipv4_mapped", None) is not None:
        return "expected an IPv4 or IPv6 address without a zone"
    if str(address) != value:
        return f"expected the canonical form {address}"
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local:
        return "address is loopback, link-local or multicast, not public"
    return "" if address.version == 6 or not address.is_reserved else "expected a public address, not a reserved one"
