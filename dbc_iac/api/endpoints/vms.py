"""Virtual machines: `/tasks`. Operations are accepted (`Done`) before they are done: poll the list.

No operation checks whose VM it is; only list and details are filtered by wallet.
"""

from __future__ import annotations

from typing import Literal

from dbc_iac.api import responses
from dbc_iac.api.decode import members, text
from dbc_iac.api.endpoints.endpoint import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, RefusalKind, Refused, ShapeError, decoded
from dbc_iac.api.requests import CreateVm, ModifyVm, SetPassword
from dbc_iac.api.responses import VmDetails, VmSummary

_NEXT_BOOT = "some changes will take effect on the next boot"


@endpoint("/tasks", CallClass.READ)
async def list_vms(call: Call) -> Outcome[tuple[VmSummary, ...]]:
    """All VMs of the wallet on the target, over all its orders: what is not in it does not exist for the wallet."""
    return decoded(await call(), responses.vm_summaries)


@endpoint("/tasks/{task_id}", CallClass.READ)
async def vm_details(call: Call, task_id: str) -> Outcome[VmDetails | None]:
    """One VM; None where it does not exist, or belongs to another wallet."""
    outcome = await call(task_id=task_id)
    if isinstance(outcome, Refused) and outcome.kind is RefusalKind.ABSENT:
        return Done(None)

    def decode(value: object) -> VmDetails | None:
        details = responses.vm_details(value)
        if details.task_id != task_id:
            raise ShapeError("details of another VM")
        return details

    return decoded(outcome, decode)


@endpoint("/tasks/start", CallClass.KEYED)
async def create_vm(call: Call, body: CreateVm) -> Outcome[str]:
    """Create a VM under the id in `body`; gives the id. It is queued, and may take up to an hour."""

    def decode(value: object) -> str:
        created = text(members(value), "task_id")
        if created != body.task_id:
            raise ShapeError("another VM was created than the one asked for")
        return created

    return decoded(await call(body), decode)


@endpoint("/tasks/start/{task_id}", CallClass.STATE_CONDITIONED)
async def start_vm(call: Call, task_id: str) -> Outcome[None]:
    """Start, or wake a suspended VM. Under another rent order than the VM's the VM moves to it if its own has ended."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/shutdown/{task_id}", CallClass.STATE_CONDITIONED)
async def shutdown_vm(call: Call, task_id: str) -> Outcome[None]:
    """Power off hard, without asking the guest."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/poweroff/{task_id}", CallClass.STATE_CONDITIONED)
async def poweroff_vm(call: Call, task_id: str) -> Outcome[None]:
    """As shutdown, but also accepted while the guest is shutting down by itself."""
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
    """Delete a VM with all its disk files, the user's own included. Refused if absent."""
    return decoded(await call(task_id=task_id), acknowledged)


@endpoint("/tasks/modify/{task_id}", CallClass.IDEMPOTENT)
async def modify_vm(call: Call, task_id: str, body: ModifyVm) -> Outcome[bool]:
    """Change fields; True when some work only after a cold start. A refusal may have changed some (`effect`)."""

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
    """The node's own notes on the VM, oldest first, passwords taken out. At most 99 lines and 8 KiB."""
    query = f"?flag={flag}&line_num={min(max(lines, 1), 99)}"
    return decoded(await call(task_id=task_id, query=query), responses.log_lines)
