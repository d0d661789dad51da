"""Workers with real processes, on a served node."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from dbc_iac.controller.records import RunResult, StartedRun
from tests.controller.lab import lab, vm
from tests.projects import SEED


def test_a_commit_is_planned_by_a_process_with_the_secrets_of_its_stack(tmp_path: Path) -> None:
    async def task() -> None:
        results: list[RunResult] = []

        async def ended(_: StartedRun, result: RunResult, seconds: float) -> None:
            results.append(result)

        async with lab(tmp_path, vm("a")) as made, made.worker(ended=[ended]):
            stack = await made.until(lambda s: s.phase == "out-of-sync")
            assert stack.message == "Plan: 1 to create."
            assert made.vms == {}
            [run] = await made.store.runs("lab")
            assert (run.outcome, run.commit) == ("planned", made.origin.git("rev-parse", "HEAD"))
            plan = await made.store.plan_of("lab", run.digest)
            assert plan is not None
            assert json.loads(plan)["digest"] == run.digest
            assert SEED not in plan
            assert not [*(tmp_path / "data-one/runs").iterdir()]
        [result] = results
        calls = {(kind, outcome): number for kind, outcome, number in result.calls}
        assert calls.keys() == {("read", "done"), ("idempotent", "done")}  # reads, and the session
        assert calls["read", "done"] > 1

    asyncio.run(task())
