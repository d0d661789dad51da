"""The two vocabularies of a VM: the status its record shows, and the state of its libvirt domain.

They differ on purpose (`closed` is `shut_off`). Which operation is legal is decided by the domain, not by the status.
"""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What list and details show."""

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
    """libvirt's states, in the words the node uses in refusals: `task is <state>`."""

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
"""Set when an operation is accepted; its job, or another operation, ends it."""

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
    """The status after a look at the domain: only `closed`, `running` and `pmsuspend` are ever corrected."""
    settled = _CORRECTABLE.get(status)
    if settled is None or settled is domain:
        return status
    return _CORRECTED.get(domain, status)


def rebuilt(domain: DomainState) -> Status:
    """The status after a restart of the daemon, which forgot all statuses."""
    return _AFTER_RESTART.get(domain, Status.NONE)
