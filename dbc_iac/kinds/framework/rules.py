"""Behaviour of fields whose desired and observed values differ, as in the field tables of docs/kinds.md.

A `Rule` annotates its field in the spec and is the only statement about it. It depends on *facts*: the same field can
be changed in place on a whole-machine order and be refused on a partial one. `spec.py:rules_under` gives
the rules in effect.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Behaviour(StrEnum):
    """Consequence of a difference."""

    ONLINE = "online"
    OFFLINE = "offline"
    COLD_BOOT = "cold-boot"
    RUNNING = "running"
    REPLACE = "replace"
    CREATE_ONLY = "create-only"
    ONCE = "once"
    ACCESS = "access"
    REFUSED = "refused"


class Facts(Struct, frozen=True):
    """Facts that rules depend on. `whole_machine` is None if it could not be read."""

    whole_machine: bool | None = None
    pxe: bool = False
    windows: bool = False
    attached_file: bool = False


class Condition(Struct, frozen=True):
    """Modifiers of a rule that apply where the fact `fact` is `value`. `name`: for the documentation."""

    name: str
    fact: str
    value: bool
    modifiers: tuple[tuple[str, Any], ...]


class Rule(Struct, frozen=True):
    """Behaviour and modifiers of one field.

    `grow_only`: a target that may only grow. `not_reported`: the API never shows it, so it is compared with what was
    applied. `inferred`: shown indirectly, and not always. `secret`: compared in memory only. `no_clear`: can be set,
    never emptied. `whole_list`: the whole list is sent. `unreliable`: the API can show another value than the real one,
    so a difference is never drift. `host_port`: it takes ports of the host. `no_effect_with_pxe`: the node ignores it
    with biosMode pxe. `remedy`: help for a refused change.
    """

    behaviour: Behaviour
    grow_only: bool = False
    not_reported: bool = False
    inferred: bool = False
    secret: bool = False
    no_clear: bool = False
    whole_list: bool = False
    unreliable: bool = False
    host_port: bool = False
    no_effect_with_pxe: bool = False
    remedy: str = ""
    given: tuple[Condition, ...] = ()


_PARTIAL = (
    "Set the old value again, or use --replace ADDRESS. Under a rent order for a part of the machine "
    "the node changes neither GPUs, CPUs nor memory in place."
)
whole_machine = Condition(
    "whole machine", "whole_machine", False, (("behaviour", Behaviour.REFUSED), ("remedy", _PARTIAL))
)
"""In place only while the VM's order covers every GPU of the machine; the node refuses it otherwise."""
no_pxe = Condition("no pxe", "pxe", True, (("behaviour", Behaviour.REPLACE),))
"""A pxe VM has no port forwards, filter or LAN that the node could change: only a new VM gets another value."""
reported_on_linux = Condition("reported on linux", "windows", True, (("not_reported", True),))
"""Details show the ssh port only of a VM whose os has no `win` in it."""
reported_on_windows = Condition("reported on windows", "windows", False, (("not_reported", True),))
"""Details show the rdp port only of a VM whose os has `win` in it."""
attached_is_create_only = Condition(
    "attached is create only", "attached_file", True, (("behaviour", Behaviour.CREATE_ONLY), ("unreliable", True))
)
"""With a file of the user's own, the size shown is the one asked for, not the file's."""


online = Rule(Behaviour.ONLINE)
offline = Rule(Behaviour.OFFLINE)
running = Rule(Behaviour.RUNNING)
replaced = Rule(Behaviour.REPLACE)
create_only = Rule(Behaviour.CREATE_ONLY)
sent_once = Rule(Behaviour.CREATE_ONLY, not_reported=True)
once = Rule(Behaviour.ONCE, not_reported=True)
access = Rule(Behaviour.ACCESS)
