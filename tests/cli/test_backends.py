"""Jobs that share nothing but a state on a server: plan in one directory, apply in another."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import PROJECT, Emulated, Project, project, vm
from tests.state.servers import terraform_http


@pytest.fixture
def server() -> Iterator[tuple[str, terraform_http.Documents]]:
    with terraform_http.served() as found:
        yield found


@pytest.fixture
def jobs(tmp_path: Path, server: tuple[str, terraform_http.Documents]) -> Iterator[tuple[Emulated, Project]]:
    first = project(tmp_path / "first", vm())
    first.write({"dbc-iac.yaml": f"{PROJECT}  state: {{backend: http, address: '{server[0]}'}}\n"})
    emulated = Emulated(first)
    second = Project(tmp_path / "second", first.environ)
    shutil.copytree(first.directory, second.directory)
    yield emulated, second
    emulated.close()


def test_a_plan_of_one_job_is_applied_by_another(jobs: tuple[Emulated, Project], tmp_path: Path) -> None:
    emulated, second = jobs
    assert emulated.run("plan", "-o", str(tmp_path / "the.plan")).code == 0
    first, emulated.project = emulated.project, second
    applied = emulated.run("apply", str(tmp_path / "the.plan"))
    assert applied.code == 0, applied.err
    emulated.project = first
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 1
    pulled = json.loads(emulated.run("state", "pull").out)
    assert list(pulled["bindings"]) == ["VirtualMachine/trainer"]
    assert not (first.directory / "state").exists()


def test_a_run_is_told_who_holds_the_lock_and_unlock_frees_it(
    jobs: tuple[Emulated, Project], server: tuple[str, terraform_http.Documents]
) -> None:
    emulated, _ = jobs
    held = {"ID": "x", "Info": json.dumps({"command": "apply", "host": "ci-7"}), "Created": "2999-01-01T00:00:00+00:00"}
    server[1].locks["/state/lab-main"] = held
    refused = emulated.run("apply", "--yes")
    assert refused.code == 6
    assert "command apply, host ci-7" in refused.err
    assert emulated.vms == {}
    assert "host ci-7" in emulated.run("state", "unlock", "--yes").out
    assert "not locked" in emulated.run("state", "unlock", "--yes").out
    assert emulated.run("apply", "--yes").code == 0


def test_a_server_that_is_not_there_is_told_and_nothing_is_sent(jobs: tuple[Emulated, Project]) -> None:
    emulated, _ = jobs
    there = "state: {backend: http, address: 'http://127.0.0.1:9/none'}"
    emulated.project.write({"dbc-iac.yaml": f"{PROJECT}  {there}\n"})
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes, emulated.vms) == (1, ["state-not-lockable"], {})


@pytest.mark.parametrize(
    "written",
    [
        "{backend: local, address: 'http://127.0.0.1/x'}",
        "{backend: http}",
        "{backend: http, address: 'http://a.example/x'}",
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, written: str) -> None:
    made = project(tmp_path, vm()).write({"dbc-iac.yaml": f"{PROJECT}  state: {written}\n"})
    assert made.run("validate").code == 3
