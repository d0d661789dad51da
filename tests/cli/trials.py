"""Trials: a fault, the run that meets it, and the run after it. The machinery of test_faults.py."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbc_iac.emulator.admin import Admin
from tests.projects import NODE, PROJECT, Emulated, Result, project

MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"

Action = tuple[str, Mapping[str, Any]]
"""Path and body of an admin API request; `$vm` is replaced by the id of the first VM."""


@dataclass(frozen=True)
class Trial:
    """Documents are applied in a world while `strikes` happen: before that run, or `after` seconds into it; what takes
    its own time goes on in the `background`. That run ends with `code` and has `said` something. Then `mends` end the
    fault, `wait` seconds pass, and the next run is to converge.

    `before`: the documents of a first, undisturbed apply. `vms`: how many run in the end; None: nobody asks.
    """

    name: str
    documents: tuple[str, ...]
    code: int
    said: str = ""
    world: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    strikes: tuple[Action, ...] = ()
    after: float = 0.0
    background: bool = False
    recovery_goals: tuple[Action, ...] = ()
    wait: float = 3600.0
    vms: int | None = None

    def emulated(self, directory: Path) -> Emulated:
        """The world and the project, which knows an owner of managers too."""
        made = Emulated(project(directory, environ={"KEY": MANAGER_SEED, "IPMI": "canaryipmi"}), self.world)
        owner = PROJECT.replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}")
        made.project.write({"dbc-iac.yaml": owner})
        return made

    def run(self, emulated: Emulated) -> None:
        """Raises AssertionError if the fault is not survived."""
        if self.before:
            write(emulated, self.before)
            converges(emulated)
        write(emulated, self.documents)
        struck = self._strike(emulated)
        met = emulated.run("apply", "--yes")
        told = met.out + met.err
        assert struck.done() or self.background, "the run ended before the fault"
        assert met.code == self.code, told
        assert self.said in told
        assert "Traceback" not in told
        for action in self.recovery_goals:
            emulated.loop.run_until_complete(act(emulated, action))
        emulated.settle(self.wait)
        converges(emulated)
        if self.vms is not None:
            assert [one["domain"] for one in emulated.vms.values()] == ["running"] * self.vms

    def _strike(self, emulated: Emulated) -> asyncio.Task[None]:
        async def happen() -> None:
            await asyncio.sleep(self.after)
            for action in self.strikes:
                await act(emulated, action)

        task = emulated.loop.create_task(happen())
        emulated.network.keep(task)
        if not self.after and not self.background:
            emulated.loop.run_until_complete(task)
        return task


def write(emulated: Emulated, documents: tuple[str, ...]) -> None:
    """The manifests; with the node of all tests unless they have their own."""
    node = () if any('"kind": "Node"' in one for one in documents) else (NODE,)
    emulated.project.write({"manifests/all.yaml": "---\n".join([*node, *documents])})


async def act(emulated: Emulated, action: Action) -> None:
    path, values = action
    await Admin(emulated.network).act(path, _named(emulated, values))


def converges(emulated: Emulated) -> Result:
    result = emulated.run("apply", "--yes", "--allow-data-loss")
    assert result.code == 0, result.out + result.err
    last = emulated.run("plan", "--detailed-exitcode")
    assert last.code == 0, last.out + last.err
    return result


def _named(emulated: Emulated, values: Any) -> Any:
    if values == "$vm":
        return next(iter(emulated.vms))
    return {k: _named(emulated, v) for k, v in values.items()} if isinstance(values, Mapping) else values
