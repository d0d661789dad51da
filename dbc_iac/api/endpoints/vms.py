"""Virtual machines: `/tasks`. `Done` means that the node accepted an operation, not that it has run: poll the list.

No operation checks the owner of the VM; only list and details are filtered by wallet.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from dbc_iac.api.endpoints import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, RefusalKind, Refused, decoded
from dbc_iac.api.requests import CreateVm, ModifyVm, SetPassword
from dbc_iac.api.responses import CreatedVm, VmDetails, VmSummary, log_lines, read


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
async def create_vm(call: Call, body: CreateVm) -> Outcome[CreatedVm]:
    """Create a VM with the id in `body`. The creation is queued and may take up to an hour."""
    return decoded(await call(body), partial(read, CreatedVm), task_id=body.task_id)


@endpoint("/tasks/start/{task_id}", CallClass.STATE_CONDITIONED)
async def start_vm(call: Call, task_id: str) -> Outcome[None]:
    """Start a VM, or wake a suspended one. If its rent order has ended, the VM moves to the order of the call."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/shutdown/{task_id}", CallClass.STATE_CONDITIONED)
async def shutdown_vm(call: Call, task_id: str) -> Outcome[None]:
    """Power off hard, without asking the guest."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/poweroff/{task_id}", CallClass.STATE_CONDITIONED)
async def poweroff_vm(call: Call, task_id: str) -> Outcome[None]:
    """Like shutdown, but also accepted while the guest is shutting down by itself."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/restart/{task_id}", CallClass.BLIND)
async def restart_vm(call: Call, task_id: str) -> Outcome[None]:
    """Ask the guest to reboot. Pending changes do not take effect."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/restart/{task_id}", CallClass.BLIND)
async def force_restart_vm(call: Call, task_id: str) -> Outcome[None]:
    """Power off and on again."""
    return acknowledged(await call(task_id=task_id, query="?force_reboot=true"))


@endpoint("/tasks/reset/{task_id}", CallClass.BLIND)
async def reset_vm(call: Call, task_id: str) -> Outcome[None]:
    """Press the reset button of a running VM."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/delete/{task_id}", CallClass.KEYED)
async def delete_vm(call: Call, task_id: str) -> Outcome[None]:
    """Delete a VM with all its disk files, including those that the user supplied. Refused if absent."""
    return acknowledged(await call(task_id=task_id))


@endpoint("/tasks/modify/{task_id}", CallClass.IDEMPOTENT)
async def modify_vm(call: Call, task_id: str, body: ModifyVm) -> Outcome[None]:
    """Change fields. Some need a cold start to take effect. A refused call may have changed some (`effect`)."""
    texts = ("ok", "some changes will take effect on the next boot")
    return acknowledged(await call(body, task_id=task_id), texts)


@endpoint("/tasks/passwd/{task_id}", CallClass.IDEMPOTENT)
async def set_password(call: Call, task_id: str, body: SetPassword) -> Outcome[None]:
    """Set an account's password in a running guest that has the agent. Takes at least 3 s."""
    return acknowledged(await call(body, task_id=task_id))


@endpoint("/tasks/logs/{task_id}", CallClass.READ)
async def vm_logs(
    call: Call, task_id: str, flag: Literal["head", "tail"] = "tail", lines: int = 99
) -> Outcome[tuple[str, ...]]:
    """Log of the node about a VM, oldest line first, without passwords. At most 99 lines and 8 KiB."""
    query = f"?flag={flag}&line_num={min(max(lines, 1), 99)}"
    return decoded(await call(task_id=task_id, query=query), log_lines)
