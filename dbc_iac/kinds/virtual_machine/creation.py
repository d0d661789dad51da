"""Creation of a VM: its task id, which cannot be guessed, its goals, and creations that failed or are incomplete.

A node checks no ownership: anyone with the task id can delete the VM. So ids are derived from a keyed hash, are never
reused (each creation takes the next generation), and can be derived again without a lookup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from dbc_iac.api import requests
from dbc_iac.api.endpoints import vms
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Outcome
from dbc_iac.api.responses import without_passwords
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.json import Json
from dbc_iac.kinds.framework.cached_reader import CachedReader, Unreadable
from dbc_iac.kinds.framework.goal import ActContext, Goal, GoalState, GoalStatus, unseen
from dbc_iac.kinds.virtual_machine.goals import CREATE_ERROR, NEWEST, NOT_LISTED, SENT, status_of, why_stuck
from dbc_iac.state.document import Binding

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 22
"""Characters of a task id; nodes accept 20 to 22 letters and digits."""
NO_AGENT = "N/A"
"""Account name that the node reports for a guest without an agent."""
_SHOWN = 4
"""Number of log lines to show in a diagnostic."""
_CREATED, _FORWARDED = "create vm, cmd:", "create iptable successful"
_UNCUT_LINES, _UNCUT_BYTES = 90, 7000
"""Size below which a log is complete. A longer one may be cut, so a missing line proves nothing."""
_CALLS_OF_A_CYCLE = 2


def task_id(uid: str, stack: str, address: str, generation: int) -> str:
    """The task id of one creation: 22 letters and digits (131 bits) of a BLAKE2b keyed with the project's `uid`."""
    text = f"{stack}\0{address}\0{generation}".encode()
    number = int.from_bytes(hashlib.blake2b(text, key=bytes.fromhex(uid), digest_size=32).digest(), "big")
    letters = []
    for _ in range(LENGTH):
        number, index = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[index])
    return "".join(letters)


class VmExists(Goal, frozen=True, kw_only=True):
    """A VM with this task id is created and runs. `desired` has every field as a plain value."""

    name = "vm-exists"
    call_class = CallClass.KEYED
    creates = True
    queued_visibly = True
    desired: Mapping[str, Json]
    network_name: str = ""
    marker: str

    @property
    def action_text(self) -> str:
        return "creating"

    async def look(self, reader: CachedReader) -> GoalState:
        status = await status_of(reader, self, absent=GoalState(GoalStatus.UNMET))
        if isinstance(status, GoalState):
            return status
        if status == CREATE_ERROR:
            return await _failure(reader, self)
        details = await reader.vm(self.route, self.id)
        if isinstance(details, Unreadable) or details.value is None:
            return unseen(details, "the VM is listed, but its details cannot be read")
        path = next((d.source_file for d in details.value.disks if d.name == "vdb"), "")
        note = "" if details.value.user_name != NO_AGENT else "the guest has no agent: no account could be set"
        return GoalState(GoalStatus.MET, note, id=self.id, resolved={"dataDisk.path": path} if path else {})

    def informed(self, bindings: Mapping[str, Binding]) -> Goal:
        image = bindings.get(str(self.desired["image"]))  # an address, as long as its file is not known
        if image is None or not image.id:
            return self
        return replace(self, desired={**self.desired, "image": image.id}, fields={**self.fields, "image": image.id})

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        want = self.desired
        description, nic = str(want.get("description") or ""), str(want["nicModel"])
        body = requests.CreateVm(
            task_id=self.id,
            desc=f"{description} [{self.marker}]" if description else f"[{self.marker}]",
            network_name=self.network_name,
            interface_model_type=None if nic == "virtio" else nic,  # the node refuses the literal virtio
            **{SENT[path].key: SENT[path].encode(value) for path, value in want.items() if path in SENT},
        )
        return await vms.create_vm(await context.connect(self.route), body)


async def _failure(reader: CachedReader, goal: Goal) -> GoalState:
    """The failure of a creation with the last errors of the VM's log."""
    if stuck := await why_stuck(reader, goal.route, goal.id):
        remedy = (
            f"Apply again in two minutes: it is created under another id. Restart the DBC service of {goal.route.name}."
        )
        return GoalState(GoalStatus.FAILED, CREATE_ERROR, broken=True, detail=f"{stuck}.", remedy=remedy)
    remedy = f"Read all lines with `dbc-iac vm logs {goal.address}`. Apply again to delete it and create another one."
    log = await reader.vm_notes(goal.route, goal.id, NEWEST)
    if isinstance(log, Unreadable):
        return GoalState(GoalStatus.FAILED, CREATE_ERROR, broken=True, detail=f"Its log: {log.reason}.", remedy=remedy)
    details = await reader.vm(goal.route, goal.id)
    known = None if isinstance(details, Unreadable) else details.value
    noted = log.value if known is None else without_passwords(log.value, known)
    errors = [line for line in noted if "| error" in line][-_SHOWN:]
    reason = errors[-1].rpartition(" | ")[2] if errors else "the log names no reason"
    lines = "\n".join(["Log of the VM:", *(errors or noted[-_SHOWN:])])
    return GoalState(GoalStatus.FAILED, f"{CREATE_ERROR}: {reason}", broken=True, detail=lines, remedy=remedy)


class VmFinished(Goal, frozen=True, kw_only=True):
    """A new VM is set up completely, port forwards included. Met unless the VM's log proves the contrary, and always
    after one power cycle.

    If the node's process ends during the creation, the VM reads `running` and has no port forwards, which only its log
    on the node shows. Any start of the VM completes the setup, so it is powered off and on, once.

    `calls`: accepted calls of that cycle; `unfinished`: whether the cycle is needed.
    """

    name = "vm-finished"
    call_class = CallClass.STATE_CONDITIONED
    queued_visibly = True
    power_cycles = True
    calls: int = 0
    unfinished: bool = False

    @property
    def action_text(self) -> str:
        return "restarting, since the node stopped while creating this VM" if self.unfinished else "configuring"

    async def look(self, reader: CachedReader) -> GoalState:
        status = await status_of(reader, self, NOT_LISTED)
        if isinstance(status, GoalState):
            return status
        if status == "running" and self.calls >= _CALLS_OF_A_CYCLE:
            return GoalState(GoalStatus.MET)
        notes = await reader.vm_notes(self.route, self.id)
        if isinstance(notes, Unreadable):
            return GoalState(GoalStatus.MET)
        if not _is_unfinished(notes.value):
            return GoalState(GoalStatus.MET, warning=self._forwards_warning(notes.value))
        return GoalState(
            GoalStatus.BROKEN if status.endswith("error") else GoalStatus.UNMET,
            "the node stopped while creating this VM",
        )

    def _forwards_warning(self, notes: tuple[str, ...]) -> Diagnostic | None:
        """A warning if the node forwards no ports to the VM, because its host has several addresses."""
        addresses = _host_addresses(notes)
        if len(addresses) <= 1:
            return None
        node, others = self.route.name, ", ".join(addresses[1:])
        return Diagnostic(
            "no-port-forwards",
            Severity.WARNING,
            f"{self.address} has no port forwards, so ssh will not work",
            f"The network interface of {node} has several addresses, read as one by the node: {', '.join(addresses)}. "
            "A publicIp stays on the interface after its VM is gone. Neither a restart nor a change repairs this VM.",
            f"On the host of {node}, remove {others} with `ip address del` and restart the DBC service; "
            f"then apply with --replace {self.address}.",
            address=self.address,
        )

    async def act(self, context: ActContext, reader: CachedReader) -> Outcome[Any]:
        status = await status_of(reader, self, NOT_LISTED)
        channel = await context.connect(self.route)
        return await (vms.shutdown_vm if status == "running" else vms.start_vm)(channel, self.id)

    async def primed(self, reader: CachedReader) -> tuple[Goal, dict[str, Json]]:
        return replace(self, unfinished=True), {}

    def begins(self) -> Goal:
        return replace(self, calls=self.calls + 1)


def _host_addresses(notes: tuple[str, ...]) -> tuple[str, ...]:
    """Addresses of the host in the newest entry about port forwards; each further address is on its own line.

    Empty for a VM with a public address, which its forwards use instead.
    """
    last = max((i for i, line in enumerate(notes) if _FORWARDED in line), default=len(notes))
    found: list[str] = []
    for line in notes[last:]:
        address, ports, rest = line.rpartition("host_ip:")[2].partition(" ssh_port:")
        found.append(address.strip())
        if ports:
            return () if rest.rpartition("public_ip:")[2].strip() else tuple(found)
    return ()


def _is_unfinished(notes: tuple[str, ...]) -> bool:
    whole = len(notes) < _UNCUT_LINES and sum(len(line.encode()) for line in notes) < _UNCUT_BYTES
    created, forwarded = (any(text in line for line in notes) for text in (_CREATED, _FORWARDED))
    return whole and created and not forwarded
