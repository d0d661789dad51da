"""Two concurrent applies on one state, and two states that claim one object: one wins, the other reports why."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.projects import UID, Emulated, Result, document, project, vm

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})
FIXED = vm(ports={"ssh": 20100, "vnc": 20101})


class Meanwhile(io.StringIO):
    """Run an action once, when a text is printed during a run."""

    def __init__(self, text: str, does: Callable[[], Result]) -> None:
        super().__init__()
        self.text, self.does = text, does
        self.result: Result | None = None

    def write(self, text: str) -> int:
        if self.text in text and self.result is None:
            self.result = self.does()
        return super().write(text)


def never(coroutine: Any) -> Any:
    coroutine.close()
    raise AssertionError("the second one asks the network")


@pytest.mark.parametrize("command", [("apply", "--yes"), ("destroy", "--yes")], ids=lambda command: command[0])
def test_a_second_run_reports_the_holder_of_the_lock(tmp_path: Path, command: tuple[str, ...]) -> None:
    emulated = Emulated(project(tmp_path, vm()))
    try:
        other = Meanwhile("creating", lambda: emulated.project.run(*command, run=never))
        first = emulated.run("apply", "--yes", err=other)
        assert first.code == 0
        assert other.result is not None
        assert other.result.code == 6
        assert "the state is locked by another run" in other.result.err
        assert "Held by: command apply" in other.result.err
        assert len(emulated.vms) == 1
    finally:
        emulated.close()


def test_a_port_used_by_another_state_is_refused(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, FIXED))
    try:
        assert emulated.run("apply", "--yes").code == 0
        before = emulated.vms
        second = emulated.run("--stack", "other", "apply", "--yes")
        assert second.code == 5
        assert "tcp port 20100 of VirtualMachine/trainer is already in use" in second.err
        assert f"unmanaged VM {next(iter(before))} uses it" in second.err
        assert emulated.vms == before
        assert emulated.run("plan", "--detailed-exitcode").code == 0
    finally:
        emulated.close()


IMAGE = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1"})
IMAGE_SERVER = {"imageServers": [{"id": "ID_1", "images": [{"name": "torch.qcow2"}]}]}


@pytest.mark.parametrize(("claimed", "world"), [(LAN, {}), (IMAGE, IMAGE_SERVER)], ids=["lan", "image"])
def test_an_object_managed_by_another_state_is_refused(tmp_path: Path, claimed: str, world: dict[str, Any]) -> None:
    emulated = Emulated(project(tmp_path, claimed), world)
    try:
        assert emulated.run("apply", "--yes").code == 0
        second = emulated.run("--stack", "other", "apply", "--yes")
        assert (second.code, "is managed by stack main" in second.err) == (5, True)
        assert "all.yaml:" in second.err
        assert emulated.run("plan", "--detailed-exitcode").code == 0
        assert emulated.run("state", "pull", "-o", str(tmp_path / "state" / "copy.json")).code == 0
        rows = emulated.run("stack", "list", "--json").json
        assert [(row["stack"], row["resources"]) for row in rows] == [("main", 1)]  # a refused apply writes no state
        address = next(iter(emulated.run("state", "list", "--json").json))
        assert emulated.run("state", "rm", address, "--yes").code == 0
        assert emulated.run("--stack", "other", "apply", "--yes").code == 0
    finally:
        emulated.close()


LENT = document("Image", "torch", {"node": "gpu-a", "file": "torch.qcow2", "imageServer": "ID_1", "retain": False})
EXTERNAL = document("Network", "training", {"via": "gpu-a", "external": True})
CLAIMED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "lan": (LAN, {}, ["adopted"]),
    "image that goes with its document": (LENT, IMAGE_SERVER, ["adopted"]),
    "image that stays": (IMAGE, IMAGE_SERVER, []),
}


@pytest.mark.parametrize(("claimed", "world", "codes"), CLAIMED.values(), ids=CLAIMED)
def test_an_object_of_another_project_gives_a_warning(
    tmp_path: Path, claimed: str, world: dict[str, Any], codes: list[str]
) -> None:
    emulated = Emulated(project(tmp_path / "one", claimed), world)
    second = other_project(emulated, tmp_path / "two", claimed)
    try:
        assert emulated.run("plan", "--json").err == ""
        assert emulated.run("apply", "--yes").code == 0
        result = second("plan", "--json")
        assert (result.code, result.codes if result.err else []) == (0, codes)
        assert "external: true" in result.err or not codes
        assert second("apply", "--yes").code == 0
        assert second("plan", "--json").err == ""
    finally:
        emulated.close()


def test_an_external_object_of_another_project_is_accepted(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path / "one", LAN))
    second = other_project(emulated, tmp_path / "two", EXTERNAL)
    try:
        assert emulated.run("apply", "--yes").code == 0
        assert second("apply", "--yes", "--json").err == ""
        assert second("destroy", "--yes").code == 0
        assert emulated.run("plan", "--detailed-exitcode").code == 0
    finally:
        emulated.close()


def other_project(emulated: Emulated, directory: Path, *documents: str) -> Callable[..., Result]:
    """Commands of another project with the same wallet in the same world."""
    made = project(directory, *documents, environ=emulated.project.environ)
    text = (directory / "dbc-iac.yaml").read_text()
    made.write({"dbc-iac.yaml": text.replace(UID, UID[::-1]).replace("{name: lab}", "{name: other}")})
    network, loop = emulated.network, emulated.loop
    return lambda *line: made.run(*line, transport=network.transport, run=loop.run_until_complete)
