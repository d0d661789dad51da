"""Virtual machines: `/tasks`. `Done` means that the node accepted an operation, not that it has run: poll the list.

No operation checks the owner of the VM; only list and details are filtered by wallet.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from dbc_iac.api.endpoints.endpoint import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, RefusalKind, Refused, ShapeError, decoded
from dbc_iac.api.requests import CreateVm, ModifyVm, SetPassword
from dbc_iac.api.responses import VmDetails, VmSummary, log_lines, read

_NEXT_BOOT = "some changes will take effect on the next boot"


@endpoint("/tasks", CallClass.READ)
async def list_vms(call: Call) -> Outcome[tuple[VmSummary, ...]]:
    """All VMs of the wallet on the target, of all its orders. Complete: a VM that is not listed does not exist."""
    return decoded(await call(), partial(read, tuple[VmSummary, ...]))


@endpoint("/tasks/{task_id}", CallClass.READ)
async def vm_details(call: Call, task_id: str) -> Outcome[VmDetails | None]:
    """One VM; None if it does not exist or belongs to another wallet."""
    outcome = await call(task_id=task_id)
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ABSENT:
        return Done(None)
    return decoded(outcome, partial(read, VmDetails), task_id=task_id)


@endpoint("/tasks/start", CallClass.KEYED)
async def create_vm(call: Call, body: CreateVm) -> Outcome[str]:
    """Create a VM with the id in `body`, and return the id. The creation is queued and may take up to an hour."""

    def decode(value: object) -> str:
        created = read(str, value, "task_id")
        if created != body.task_id:
            raise ShapeError("the answer names another VM than the requested one")
        return created

    return decoded(await call(body), decode)


@endpoint("/tasks/start/{task_id}", CallClass.STATE_CONDITIONED)
async def start_vm(call: Call, task_id: str) -> Outcome[None]:
    """Start a VM, or wake a suspended one. If its rent order has ended, the VM moves to the order of the call."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/shutdown/{task_id}", CallClass.STATE_CONDITIONED)
async def shutdown_vm(call: Call, task_id: str) -> Outcome[None]:
    """Power off hard, without asking the guest."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/poweroff/{task_id}", CallClass.STATE_CONDITIONED)
async def poweroff_vm(call: Call, task_id: str) -> Outcome[None]:
    """Like shutdown, but also accepted while the guest is shutting down by itself."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/stop/{task_id}", CallClass.STATE_CONDITIONED)
async def stop_vm(call: Call, task_id: str) -> Outcome[None]:
    """Alias of poweroff."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/restart/{task_id}", CallClass.BLIND)
async def restart_vm(call: Call, task_id: str) -> Outcome[None]:
    """Ask the guest to reboot. Pending changes do not take effect."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/restart/{task_id}", CallClass.BLIND)
async def force_restart_vm(call: Call, task_id: str) -> Outcome[None]:
    """Power off and on again."""
    return decoded(await call(task_id=task_id, query="?force_reboot=true"), acknowledged)


@endpoint("/tasks/reset/{task_id}", CallClass.BLIND)
async def reset_vm(call: Call, task_id: str) -> Outcome[None]:
    """Press the reset button of a running VM."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/delete/{task_id}", CallClass.KEYED)
async def delete_vm(call: Call, task_id: str) -> Outcome[None]:
    """Delete a VM with all its disk files, including those that the user supplied. Refused if absent."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/modify/{task_id}", CallClass.IDEMPOTENT)
async def modify_vm(call: Call, task_id: str, body: ModifyVm) -> Outcome[bool]:
    """Change fields. True if some need a cold start to take effect. A refused call may have changed some (`effect`)."""

    def decode(value: object) -> bool:
        if value == _NEXT_BOOT:
            return True
        acknowledged(value)
        return False

    return decoded(await call(body, task_id=task_id), decode)


@endpoint("/tasks/passwd/{task_id}", CallClass.IDEMPOTENT)
async def set_password(call: Call, task_id: str, body: SetPassword) -> Outcome[None]:
    """Set an account's password in a running guest that has the agent. Takes at least 3 s."""
    return decoded(await call(body, task_id=task_id), acknowledged)


@endpoint("/tasks/logs/{task_id}", CallClass.READ)
async def vm_logs(
    call: Call, task_id: str, flag: Literal["head", "tail"] = "tail", lines: int = 99
) -> Outcome[tuple[str, ...]]:
    """Log of the node about a VM, oldest line first, without passwords. At most 99 lines and 8 KiB."""
    query = f"?flag={flag}&line_num={min(max(lines, 1), 99)}"
    return decoded(await call(task_id=task_id, query=query), log_lines)
