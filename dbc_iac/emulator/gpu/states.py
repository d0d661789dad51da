"""Two vocabularies of a VM: the status of its record, and the state of its libvirt domain.

They differ (`closed` is `shut_off`). Legality of an operation depends on the domain, not on the status.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Status in list and details."""

    NONE = "none"
    CREATING = "creating"
    RUNNING = "running"
    CLOSED = "closed"
    PMSUSPEND = "pmsuspend"
    STARTING = "starting"
    BEING_SHUTDOWN = "being shutdown"
    BEING_POWEROFF = "being poweroff"
    RESTARTING = "restarting"
    RESETTING = "resetting"
    DELETING = "deleting"
    CREATE_ERROR = "create error"
    START_ERROR = "start error"
    SHUTDOWN_ERROR = "shutdown error"
    POWEROFF_ERROR = "poweroff error"
    RESTART_ERROR = "restart error"
    RESET_ERROR = "reset error"


class DomainState(StrEnum):
    """State of the libvirt domain, with the node's words in refusals: `task is <state>`."""

    NONE = "none"
    RUNNING = "running"
    BLOCKED = "blocked"
    PAUSED = "paused"
    SHUTDOWN = "being shutdown"
    SHUTOFF = "shut_off"
    CRASHED = "crashed"
    PMSUSPENDED = "suspended"


TRANSITIONAL = frozenset(
    {
        Status.CREATING,
        Status.STARTING,
        Status.BEING_SHUTDOWN,
        Status.BEING_POWEROFF,
        Status.RESTARTING,
        Status.RESETTING,
        Status.DELETING,
    }
)
"""Statuses set when an operation is accepted; its job, or another operation, replaces them."""

_CORRECTABLE = {
    Status.CLOSED: DomainState.SHUTOFF,
    Status.RUNNING: DomainState.RUNNING,
    Status.PMSUSPEND: DomainState.PMSUSPENDED,
}
_CORRECTED = {
    DomainState.SHUTOFF: Status.CLOSED,
    DomainState.SHUTDOWN: Status.CLOSED,
    DomainState.RUNNING: Status.RUNNING,
    DomainState.PAUSED: Status.RUNNING,
    DomainState.BLOCKED: Status.RUNNING,
    DomainState.PMSUSPENDED: Status.PMSUSPEND,
}
_AFTER_RESTART = {
    DomainState.SHUTOFF: Status.CLOSED,
    DomainState.SHUTDOWN: Status.CLOSED,
    DomainState.CRASHED: Status.CLOSED,
    DomainState.NONE: Status.CLOSED,
    DomainState.RUNNING: Status.RUNNING,
    DomainState.PAUSED: Status.RUNNING,
    DomainState.PMSUSPENDED: Status.PMSUSPEND,
}


def reconciled(status: Status, domain: DomainState) -> Status:
    """Status corrected by the domain: only `closed`, `running` and `pmsuspend` are corrected."""
    settled = _CORRECTABLE.get(status)
    if settled is None or settled is domain:
        return status
    return _CORRECTED.get(domain, status)


def rebuilt(domain: DomainState) -> Status:
    """Status after a restart of the daemon, which loses all statuses."""
    return _AFTER_RESTART.get(domain, Status.NONE)
