"""Loss of the state as a step of a course: objects are found under any earlier name or asked for, never created twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from typing import Any

from dbc_iac.emulator.gpu.states import DomainState
from tests.projects import Emulated
from tests.proof.ends import Interposed, Point
from tests.proof.watch import Desired, Watch, mine, named


class Losing:
    """Steps of a course with a lost state."""

    emulated: Emulated
    watch: Watch
    desired: Desired
    replaced: set[str]

    def lose_state(self, renamed: Sequence[str], off: str, how: str, number: int) -> None:
        """Lose a converged state after renaming resources without a run in between.

        `off`: a VM that is powered off meanwhile. `how`: recovery by an `apply` or a `rebuild`, killed at record `number`
        unless that is 0.
        """
        if not self._is_settled():
            return
        known = self._bound()
        shutil.rmtree(self.emulated.project.directory / "state")
        for address in (a for a in renamed if a in known):
            self.rename(*address.split("/"))  # type: ignore[attr-defined]
        self._write()  # type: ignore[attr-defined]
        ids = [i for i, v in mine(self.emulated.network.truth()).items() if named(v["desc"]) == off]
        for task_id in ids:
            self.emulated.admin.set_domain(task_id, DomainState.SHUTOFF)
        if number:
            Interposed(self.emulated, Point("record", number, "after"), self.watch).run(*self._recovering(how))
            self.emulated.settle(60)
        self._recover(how, known)
        assert self._bound() == {**self._bound(), **{a: i for a, i in known.items() if not self._is_archived(a)}}

    def remove_from_state(self, kind: str, name: str) -> None:
        """Remove a resource from a converged state, unless another one is found by it. A plan adopts it again."""
        if not self._is_settled():
            return
        known, address = self._bound(), f"{kind}/{name}"
        if address not in known or self._is_archived(address):
            return
        now = f"{kind}/{self.name(kind, name)}"  # type: ignore[attr-defined]
        removed = self.emulated.run("state", "rm", "--yes", now, "--json")
        if removed.code:
            assert removed.codes == ["has-dependents"], removed.err
            return
        self._recover("apply", known)
        assert self._bound() == known

    def restore_state(self, name: str, how: str) -> None:
        """Put back a converged state after the replacement of a VM. The new VM and its disks are found."""
        if not self._is_settled() or name not in self.desired.vms:
            return
        folder = self.emulated.project.directory
        shutil.copytree(folder / "state", folder / "older")
        fields = self.desired.vms[name]
        image = {"ubuntu.qcow2": "debian.qcow2"}.get(fields["image"], "ubuntu.qcow2")
        self.want_vm(name, **{**fields, "image": image})  # type: ignore[attr-defined]
        self.converge()  # type: ignore[attr-defined]
        known = self._bound()
        shutil.rmtree(folder / "state")
        (folder / "older").rename(folder / "state")
        self._recover(how, known)
        assert self._bound() == known

    def _is_settled(self) -> bool:
        """Converge; whether the state then has any resource."""
        self.converge()  # type: ignore[attr-defined]
        return (self.emulated.project.directory / "state" / "main.json").exists()

    def _bound(self) -> dict[str, str]:
        """Ids of all bindings, by kind and original name."""
        listed = self.emulated.run("state", "list", "--json").json
        shown = {a: self.emulated.run("state", "show", a, "--json").json["id"] for a in listed}
        return {a.rstrip("0123456789"): i for a, i in shown.items()}

    def _is_archived(self, address: str) -> bool:
        """Remove snapshots of an earlier VM: their records were deleted with it."""
        kind, _, name = address.partition("/")
        return kind == "Snapshot" and self.desired.snapshots.get(name) in self.replaced

    def _recovering(self, how: str) -> tuple[str, ...]:
        return ("apply", "--yes") if how == "apply" else ("state", "rebuild", "--yes")

    def _recover(self, how: str, known: dict[str, str]) -> None:
        """Answer the open questions; no other change than adoptions may follow."""
        plan = self.emulated.run("plan", "--json")
        if plan.code == 5:
            asked = [d for d in json.loads(plan.err)["diagnostics"] if d["severity"] == "error"]
            assert {d["code"] for d in asked} == {"may-exist"}, plan.err
            maps = [f"--map={d['address']}={known[d['address'].rstrip('0123456789')]}" for d in asked]
            assert self.emulated.run("state", "rebuild", "--yes", *maps).code == 0
        else:
            assert plan.code == 0, plan.err
            made = [c["address"] for c in plan.json["changes"] if c["action"] not in {"adopt", "no-op", "update"}]
            assert [a for a in made if not self._is_archived(a.rstrip("0123456789"))] == [], plan.out
        if how == "rebuild":
            self._check_result(self.emulated.run("state", "rebuild", "--yes"), {0, 2})
        self._check_result(self._run(Interposed(self.emulated, watch=self.watch)), {0})  # type: ignore[attr-defined]

    def _check_result(self, result: Any, codes: set[int]) -> None:
        assert result.code in codes, result.out + result.err
