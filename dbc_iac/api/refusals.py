"""Refusal texts of nodes and their meaning: one table, read from top to bottom. Pure.

`operation` is the first two segments of the path below `/api/v1`. The texts are those of version
0.4.1.8, spelling included. Patterns are compiled when a text is looked up: most commands meet no refusal.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Effect(StrEnum):
    """Changes that a refused call may have made."""

    NONE = "none"
    PARTIAL = "partial"
    UNKNOWN = "unknown"


class RefusalKind(StrEnum):
    """Why a call was refused, as far as an engine needs to know."""

    LOCAL = "local"
    """Malformed, by a bug in dbc-iac or in the input; a repeat is refused again."""
    AUTHORITY = "authority"
    """Credentials, rental or role."""
    EXISTS = "exists"
    """The object to create exists; the answer does not name its owner."""
    ABSENT = "absent"
    """The addressed object does not exist."""
    STATE = "state"
    """The object is in a state in which this is not done, perhaps the wanted one."""
    RESOURCES = "resources"
    """GPUs, cores, memory, disk, ports or addresses are taken."""
    OTHER = "other"


REFUSED = "refused by the node: "
"""Start of a text that quotes a refusal; the message of the node follows."""
AUTHORITY_PREFIX = "check authority failed:"

_ANY = r".*"
_KINDS: tuple[tuple[RefusalKind, str, str], ...] = (
    # kind, operation, text (both matched in full)
    (RefusalKind.AUTHORITY, _ANY, r"check authority failed.*"),
    (RefusalKind.AUTHORITY, _ANY, r"verify sign failed|invalid wallet sign|no session id"),
    (RefusalKind.AUTHORITY, _ANY, r"wallet_sign and multisig_wallets all invalid|session_id and wallet all invalid"),
    (RefusalKind.AUTHORITY, _ANY, r"wallet error, you are not the owner of the network"),
    (RefusalKind.EXISTS, _ANY, r"task id already existed|network name already existed"),
    (RefusalKind.EXISTS, _ANY, r"bare metal node uuid \S* already existed"),
    (RefusalKind.ABSENT, _ANY, r"task not exist(ed)?|task_id not exist|task:\S+ not exist"),
    (RefusalKind.ABSENT, _ANY, r"network name not exist|snapshot_name not exist"),
    (RefusalKind.ABSENT, _ANY, r"node id not existed|bare metal node id \S* not existed"),
    (RefusalKind.ABSENT, r"disk/.*", r"task have no disk:\S+"),
    (RefusalKind.ABSENT, r"snapshot/delete", r"\S+ not exist"),
    (RefusalKind.ABSENT, r"images/delete", r"image file:.* is not exist"),
    (RefusalKind.STATE, _ANY, r"task is (none|paused|running|shut_off|blocked|being shutdown|crashed|suspended)"),
    (RefusalKind.STATE, _ANY, r"please close task first and try again"),
    (RefusalKind.STATE, _ANY, r"Only the running task can change the password"),
    (RefusalKind.STATE, _ANY, r"network is in used, please delete task in the network first"),
    (RefusalKind.STATE, _ANY, r"'?image.* in (downloading|uploading).*"),
    (RefusalKind.STATE, _ANY, r"deeplink service not connected"),
    (RefusalKind.RESOURCES, _ANY, r"allocate (gpu|cpu|mem|memory|disk) failed"),
    (RefusalKind.RESOURCES, _ANY, r"port conflict, exist .*|new_\w+_port \S+ has been used!|public ip being used"),
    (RefusalKind.RESOURCES, _ANY, r"mount directory:.* have no enough space"),
)

_TRANSIENT = (
    r".*query machine_status failed"  # the chain did not answer the node
    r"|.*please try again in a minute"
    r"|'?image.* in (downloading|uploading).*"
    r"|allocate mem failed"  # the memory of a VM that has just been stopped is not free at once
    r"|can not find network info"  # other nodes of the room hear of a new LAN a little later
)

_STORAGE_ERROR = r"(write|update) .*db (error|failed)|delete bare metal node db failed"
"""The node keeps the change in memory and could not write it down."""

_SCRIPT_ERROR = (
    r"(create|up|add) (vxlan|bridge|netns|veth).* failed|netns .* failed|parse shell result error|up veth failed"
)
"""Texts of the scripts that build a LAN's bridge: some of it is left behind."""

_LAN_CHECKS = (
    r"network name .*|network vni is full|ip cidr .*|invalid ip cidr|invalid additional param"
    r"|bare metal nodes are not supported|check authority failed.*|.*pub_key.*"
)
"""Refusals of `/lan/create` before it touches the host."""

_MODIFY_CHECKS = (
    r"task not exist|gpu rent order is empty|invalid public ip|public ip being used"
    r"|can not find iptable info when modify public ip"
    r"|bare metal nodes are not supported|check authority failed.*|.*pub_key.*"
)
"""Refusals of `/tasks/modify` before its first step has changed anything; a refusal of a later step leaves the earlier
ones applied, and the deferred keys changed in memory."""


def kind_of(text: str, operation: str) -> RefusalKind:
    for kind, operations, texts in _KINDS:
        if re.fullmatch(operations, operation) and re.fullmatch(texts, text):
            return kind
    return RefusalKind.OTHER


def is_transient(text: str) -> bool:
    """Whether the same request may succeed later without anything done about it."""
    return re.fullmatch(_TRANSIENT, text) is not None


def effect_of(text: str, operation: str) -> Effect:
    """Changes that a refusal by the target (HTTP 200) may have made."""
    if operation == "tasks/modify":
        return Effect.NONE if re.fullmatch(_MODIFY_CHECKS, text) else Effect.PARTIAL
    if operation == "lan/create":
        return Effect.NONE if re.fullmatch(_LAN_CHECKS, text) else Effect.PARTIAL
    if re.fullmatch(_STORAGE_ERROR, text) or re.fullmatch(_SCRIPT_ERROR, text):
        return Effect.PARTIAL
    return Effect.NONE
