"""The scripts of the GitLab pipeline, run as its runner runs them, on an emulated network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.forge import forge, served
from tests.cli.jobs import EXAMPLE, GITLAB, Job


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """HOST:PORT of a client node; these jobs change nothing."""
    with served(EXAMPLE / "world.yaml") as address:
        yield address


@pytest.fixture
def job(tmp_path: Path, network: str) -> Job:
    return Job(tmp_path, network)


def variables_of(name: str) -> dict[str, str]:
    return {**GITLAB[".dbc-iac"]["variables"], **GITLAB[name].get("variables", {})}


def lines_of(name: str) -> str:
    found: list[Any] = GITLAB[name]["script"]
    return "\n".join(found)


def test_on_gitlab_a_merge_request_is_checked_planned_and_told(job: Job) -> None:
    with forge(dict.fromkeys(range(1, 131), "talk")) as lab:
        environ = {
            **job.environ, **variables_of("plan"), "GITLAB_CI": "true", "CI_API_V4_URL": f"{lab.url}/api/v4",
            "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "9", "GITLAB_TOKEN": "canary-of-a-token",
            "CI_PROJECT_DIR": str(job.folder / "project"),
        }  # fmt: skip
        where = job.folder / "project"
        for name in ("validate", "plan", "plan"):
            ran = job.bash(lines_of(name), environ, where)
            assert ran.returncode == 0, ran.stderr
        assert {"the.plan", "plan.md", "plan.html"} <= {p.name for p in where.iterdir()}
        assert [(m, p) for m, p, _ in lab.seen if m != "GET"] == [
            ("POST", "/api/v4/projects/5/merge_requests/9/notes"),
            ("PUT", "/api/v4/projects/5/merge_requests/9/notes/131"),
        ]
        assert lab.bodies[131].startswith("<!-- dbc-iac . main/ -->")
        assert job.bash(lines_of("drift"), environ, where).returncode == 0
        (where / "manifests/vm.yaml").write_text("kind: [")
        assert job.bash(lines_of("plan"), environ, where).returncode == 3
        assert "## dbc-iac: plan failed" in lab.bodies[131]


def test_on_gitlab_a_fork_is_planned_without_any_secret(job: Job) -> None:
    del job.environ["DBC_WALLET_SEED"], job.environ["TRAINER_PASSWORD"]
    paths = {"CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "you/lab", "CI_MERGE_REQUEST_PROJECT_PATH": "me/lab"}
    environ = {**job.environ, **variables_of("plan"), "GITLAB_CI": "true", "CI_MERGE_REQUEST_IID": "9", **paths}
    (job.folder / "file of the runner").write_text("as it was")
    (job.folder / "project/plan.md").symlink_to("../file of the runner")
    planned = job.bash(lines_of("plan"), {**environ, "GITLAB_TOKEN": "canary-of-a-token"}, job.folder / "project")
    assert planned.returncode == 0, planned.stderr
    assert (job.folder / "file of the runner").read_text() == "as it was"
    assert "VirtualMachine/trainer  create" in planned.stdout


def test_on_gitlab_nothing_is_installed_whose_origin_nobody_chose(job: Job) -> None:
    job.program("python", 'echo "$@" >> pip\n')
    environ = {**job.environ, **variables_of("plan")}
    script = "\n".join(GITLAB[".dbc-iac"]["before_script"])
    assert job.bash(script, environ, job.folder).returncode == 1
    assert not (job.folder / "pip").exists()
    chosen = {**environ, "DBC_IAC_PACKAGE": "dbc-iac @ git+https://example.org/us/dbc-iac@0123"}
    assert job.bash(script, chosen, job.folder).returncode == 0
    lock, package, check = (job.folder / "pip").read_text().splitlines()
    assert lock == "-m pip install --quiet --require-hashes -r .gitlab/dbc-iac-requirements.txt"
    assert package == (
        "-m pip install --quiet --no-deps --no-build-isolation dbc-iac @ git+https://example.org/us/dbc-iac@0123"
    )
    assert check == "-m pip check"
