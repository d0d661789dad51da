"""Scenarios as data: a world and steps through the command line with their expected output. No scenario is defined here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cli.trials import MANAGER_SEED, Action, act
from tests.cli.trials import write as write_documents
from tests.projects import PROJECT, Emulated, project
from tests.proof.ends import Interposed, Point

OWNED = PROJECT.replace("identities:", "identities:\n    owner: {nodeKey: {env: KEY}}")


@dataclass(frozen=True)
class Write:
    """Replace the manifests."""

    documents: tuple[str, ...]


@dataclass(frozen=True)
class Put:
    """Change a file of the project: replace a text, or append one."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Act:
    """Change the world outside of the API."""

    action: Action


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Run:
    """Run a command with its expected exit code and output. `ended`: point where its process crashes."""

    line: str
    code: int = 0
    output: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    ended: Point | None = None


@dataclass(frozen=True)
class Unset:
    """Remove a variable of the environment."""

    name: str


@dataclass(frozen=True)
class There:
    """Actual objects. `disks`: GiB of all disks of managed VMs."""

    vms: int
    domain: str = "running"
    disks: tuple[int, ...] | None = None


Step = Write | Put | Act | Wait | Run | Unset | There
APPLIED = Run("apply --yes")
EMPTY = Run("plan --detailed-exitcode")
CONVERGES = (APPLIED, EMPTY)


@dataclass(frozen=True)
class Scenario:
    """A row of the table of failure scenarios: number, event, and the course that proves it, or the test elsewhere
    that does, `module:function`.
    """

    row: int
    name: str
    steps: tuple[Step, ...] = ()
    world: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    def play(self, directory: Path) -> None:
        """Play the course. Raises AssertionError for any deviation."""
        emulated = Emulated(project(directory, environ={"KEY": MANAGER_SEED, "IPMI": "canaryipmi"}), self.world)
        emulated.project.write({"dbc-iac.yaml": OWNED})
        try:
            for step in self.steps:
                take(emulated, step)
        finally:
            emulated.close()


def take(emulated: Emulated, step: Step) -> None:
    match step:
        case Write(documents):
            write_documents(emulated, documents)
        case Put(file, old, new):
            path = emulated.project.directory / file
            text = path.read_text(encoding="utf-8")
            assert old in text
            path.write_text(text.replace(old, new) if old else text + new, encoding="utf-8")
        case Act(action):
            emulated.loop.run_until_complete(act(emulated, _numbered(emulated, action)))
        case Wait(seconds):
            emulated.settle(seconds)
        case Unset(name):
            del emulated.project.environ[name]
        case There(vms, domain, disks):
            there = list(emulated.vms.values())
            assert [one["domain"] for one in there] == [domain] * vms
            found = tuple(sorted(size for one in there for size in one["disks"].values()))
            assert disks is None or found == disks, found
        case Run():
            _run(emulated, step)


def _run(emulated: Emulated, step: Run) -> None:
    if step.ended is not None:
        assert Interposed(emulated, step.ended).run(*step.line.split()) is None
        return
    result = emulated.run(*step.line.split())
    printed = result.out + result.err
    assert result.code == step.code, printed
    assert "Traceback" not in printed
    assert [text for text in step.output if text not in printed] == [], printed
    assert [text for text in step.never if text in printed] == [], printed


def _numbered(emulated: Emulated, action: Action) -> Action:
    """Substitute `$vm0` by the id of the first VM, `$vm1` by that of the second."""
    path, values = action
    given = values.get("with", {})
    name = str(given.get("task_id", "")) if isinstance(given, Mapping) else ""
    if not name.startswith("$vm") or name == "$vm":
        return action
    return path, {**values, "with": {**given, "task_id": list(emulated.vms)[int(name[3:])]}}
