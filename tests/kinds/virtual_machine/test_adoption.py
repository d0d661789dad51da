"""Account of a VM that is created or adopted: recorded by the call that sets it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dbc_iac.json import Json
from dbc_iac.kinds import kind_of
from tests.kinds.samples import Change

VM = kind_of("VirtualMachine")


def recording(power: str, now: str | None) -> list[str]:
    """Goals that record the account of a VM: of a creation, or of the adoption of a VM with the power state `now`."""
    task = Change(VM).task()
    observed: dict[str, Json] = {} if now is None else {"power": now}
    task = replace(task, desired={**task.desired, "power": power}, observed=observed)
    goals = VM.create(task) if now is None else VM.adopt(task)
    return [str(goal.name) for goal in goals if "login.username" in goal.fields]


@pytest.mark.parametrize(
    ("power", "now", "goals"),
    [
        ("on", None, ["vm-password"]),
        ("on", "on", ["vm-password"]),
        ("on", "off", ["vm-password"]),
        ("off", "off", ["vm-exists"]),
    ],
    ids=["created", "adopted", "adopted and started", "adopted, stays off: the account is assumed"],
)
def test_the_account_is_recorded_once(power: str, now: str | None, goals: list[str]) -> None:
    assert recording(power, now) == goals
