"""What CI uses: pipelines that fit the forges' schemas, and their scripts, run as the forges run them."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbc_iac.cli.commands import dbc_iac
from dbc_iac.cli.pipelines import pipeline
from tests.cli.forge import DBC_IAC, forge, served
from tests.projects import Project

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "dbc_iac/cli/ci/gitlab.yaml").read_text())
EXAMPLE = ROOT / "examples/one-gpu-vm"
CAN_EXPECT = "--expect" in {o for p in dbc_iac.commands["apply"].params for o in p.opts}


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-actions", "action.yml"),
        ("vendor.github-workflows", "dbc_iac/cli/ci/github.yaml"),
        ("vendor.gitlab-ci", "dbc_iac/cli/ci/gitlab.yaml"),
    ],
)
def test_they_fit_the_published_schemas(schema: str, file: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, "--data-transform", "gitlab-ci", file]
        if "gitlab" in schema
        else [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, file],
        cwd=ROOT, check=True,
    )  # fmt: skip


def test_the_hooks_are_hooks_and_their_entries_are_commands() -> None:
    file = ROOT / ".pre-commit-hooks.yaml"
    subprocess.run([sys.executable, "-m", "pre_commit", "validate-manifest", str(file)], check=True)
    for hook in yaml.safe_load(file.read_text()):
        program, command = hook["entry"].split()
        assert (program, command in dbc_iac.list_commands(dbc_iac.make_context("x", ["validate"]))) == ("dbc-iac", True)
        assert re.search(hook["files"], "manifests/vm.yaml")
        assert re.search(hook["files"], "dbc-iac.yaml")
        assert not re.search(hook["files"], "values.yaml")


def test_the_image_runs_without_rights_and_copies_what_is_there() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER 10001"]
    sources = [s for line in lines if re.match(r"COPY (?!--from)", line) for s in line.split()[1:-1]]
    assert all((ROOT / source).exists() for source in sources)
    assert lines.index("USER 10001") < lines.index('ENTRYPOINT ["dbc-iac"]')


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_init_writes_a_pipeline_with_a_project_or_into_one(name: str, tmp_path: Path) -> None:
    made = Project(tmp_path)
    written = made.run("init", "--ci", name, "--json").json
    assert {*pipeline(name), "dbc-iac.yaml"} <= set(written)
    assert made.run("validate").code == 0
    later = Project(tmp_path / "later")
    later.directory.mkdir()
    later.run("init")
    assert set(later.run("init", "--ci", name, "--json").json) == set(pipeline(name))
    again = later.run("init", "--ci", name, "--json")
    assert (again.code, again.codes) == (3, ["project-exists"])
    for path, text in pipeline(name).items():
        assert (tmp_path / path).read_text() == text


class Job:
    """A job on a runner: a project, an emulated network, the environment that a forge gives, and its files."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        shutil.copytree(EXAMPLE, folder / "project")
        file = folder / "project/dbc-iac.yaml"
        file.write_text(file.read_text().replace("127.0.0.1:5050", address))
        programs = folder / "bin"
        programs.mkdir()
        self.program("dbc-iac", f'exec {" ".join(map(repr, DBC_IAC))} "$@"\n')
        world = yaml.safe_load((EXAMPLE / "world.yaml").read_text())
        self.environ = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(folder),
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "DBC_WALLET_SEED": world["wallets"][0]["seed"],
            "TRAINER_PASSWORD": "canary-of-a-login",
        }

    def program(self, name: str, text: str) -> None:
        file = self.folder / "bin" / name
        file.write_text(f"#!/bin/bash\n{text}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def step(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """A step of the action, as GitHub's runner runs it."""
        [step] = [s for s in ACTION["runs"]["steps"] if s.get("name") == name]
        given = {k: v.get("default", "") for k, v in ACTION["inputs"].items()} | {"directory": "project"} | inputs
        environ = {k: re.sub(r"\$\{\{ inputs\.([a-z]+) \}\}", lambda m: given[m[1]], v) for k, v in step["env"].items()}
        return self.bash(step["run"], {**self.environ, **environ}, self.folder)

    def bash(self, script: str, environ: Mapping[str, str], where: Path) -> subprocess.CompletedProcess[str]:
        file = self.folder / "script"
        file.write_text(script)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)]
        return subprocess.run(command, env=dict(environ), cwd=where, capture_output=True, text=True, check=False)

    def output(self, name: str) -> str:
        lines = (self.folder / "output").read_text().splitlines()
        return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")][-1]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    with served(EXAMPLE / "world.yaml") as address:
        yield Job(tmp_path, address)


def test_on_github_a_plan_is_made_and_told_in_one_comment(job: Job) -> None:
    planned = job.step("Plan")
    assert planned.returncode == 0, planned.stderr
    assert (job.output("exit-code"), job.output("changes")) == ("2", "true")
    made = job.folder / "temp/dbc-iac"
    assert {p.name for p in made.iterdir()} == {"the.plan", "plan.md", "plan.html"}
    assert "### What the manifests ask for" in (job.folder / "summary").read_text()
    event = job.folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    with forge({1: "looks good"}) as hub:
        job.environ |= {
            "GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "me/lab", "GITHUB_API_URL": hub.url,
        }  # fmt: skip
        for _ in range(2):
            told = job.step("Comment", token="canary-of-a-token")
            assert told.returncode == 0, told.stderr
            assert "canary" not in told.stdout + told.stderr
        assert hub.bodies[1] == "looks good"
        assert hub.bodies[2].startswith("<!-- dbc-iac main/ -->\n## dbc-iac: plan of")
        assert len(hub.bodies) == 2
        assert [(m, p) for m, p, _ in hub.seen if m != "GET"] == [
            ("POST", "/repos/me/lab/issues/7/comments"), ("PATCH", "/repos/me/lab/issues/comments/2"),
        ]  # fmt: skip
        assert {token for _, _, token in hub.seen} == {"canary-of-a-token"}


def test_on_github_a_broken_project_fails_the_job_without_a_comment(job: Job) -> None:
    (job.folder / "project/manifests/vm.yaml").write_text("kind: [")
    assert job.step("Plan").returncode == 3
    assert (job.output("exit-code"), job.output("changes")) == ("3", "false")
    assert job.step("Comment").returncode == 0


def test_on_github_the_reviewed_plan_is_fetched_by_the_merged_commit(job: Job) -> None:
    job.environ |= {"GITHUB_REPOSITORY": "me/lab", "GITHUB_SHA": "abc", "GITHUB_WORKFLOW": "dbc-iac"}
    job.program(
        "gh",
        """echo "$@" >> calls
case "$1 $2" in
  "api repos/me/lab/commits/abc/pulls") echo feed ;;
  "run list") echo 4711 ;;
  "run download") mkdir -p "${@: -1}"; echo '{}' > "${@: -1}/the.plan" ;;
esac
""",
    )
    fetched = job.step("Fetch the plan that was reviewed")
    assert fetched.returncode == 0, fetched.stderr
    assert (job.folder / "temp/dbc-iac/the.plan").exists()
    calls = (job.folder / "calls").read_text().splitlines()
    assert "--commit feed --event pull_request --status success" in calls[1]
    assert calls[2].startswith("run download 4711 --repo me/lab --name dbc-iac-plan")
    job.program("gh", "true\n")
    refused = job.step("Fetch the plan that was reviewed")
    assert refused.returncode == 1
    assert "there is no plan that somebody reviewed" in refused.stdout


def test_on_github_drift_fails_the_job_and_is_told(job: Job) -> None:
    assert job.step("Drift").returncode == 0
    assert job.output("changes") == "false"


@pytest.mark.skipif(not CAN_EXPECT, reason="apply --expect is not there yet")
def test_on_github_what_was_reviewed_is_applied_and_nothing_else(job: Job) -> None:
    assert job.step("Plan").returncode == 0
    applied = job.step("Apply")
    assert applied.returncode == 0, applied.stderr
    made = job.folder / "temp/dbc-iac"
    events = [json.loads(line)["event"] for line in (made / "events.ndjson").read_text().splitlines()]
    assert (events[0], events[-1]) == ("begin", "end")
    assert "Apply ended" in (job.folder / "summary").read_text()
    changed = job.folder / "project/manifests/vm.yaml"
    changed.write_text(changed.read_text() + "# nothing else\n")
    assert job.step("Plan").returncode == 0
    assert job.output("changes") == "false"
    for path in job.folder.rglob("*"):
        if path.is_file() and path.name not in {"script"}:
            assert b"canary" not in path.read_bytes(), path


def lines_of(name: str) -> str:
    found: list[Any] = GITLAB[name]["script"]
    return "\n".join(found)


def test_on_gitlab_a_merge_request_is_checked_planned_and_told(job: Job) -> None:
    with forge(dict.fromkeys(range(1, 131), "talk")) as lab:
        environ = {
            **job.environ, "DBC_IAC_ENVIRONMENT": "", "GITLAB_CI": "true", "CI_API_V4_URL": f"{lab.url}/api/v4",
            "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "9", "GITLAB_TOKEN": "canary-of-a-token",
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
        assert lab.bodies[131].startswith("<!-- dbc-iac main/ -->")
        assert job.bash(lines_of("drift"), environ, where).returncode == 0


@pytest.mark.parametrize(("status", "code"), [(403, 4), (404, 4), (500, 1)])
def test_a_forge_that_refuses_is_told_without_the_token(status: int, code: int, tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text("x")
    with forge() as lab:
        lab.refuse = status
        environ = {"GITLAB_CI": "1", "CI_API_V4_URL": lab.url, "CI_PROJECT_ID": "5", "CI_MERGE_REQUEST_IID": "9",
                   "GITLAB_TOKEN": "canary"}  # fmt: skip
        result = Project(tmp_path, environ).run("comment", str(tmp_path / "plan.md"), "--json")
    assert (result.code, result.codes) == (code, ["comment-failed"])
    assert "canary" not in result.err


@pytest.mark.parametrize(
    ("environ", "code"),
    [({}, "no-ci"), ({"GITLAB_CI": "1"}, "no-ci"), ({"GITHUB_ACTIONS": "1", "GITHUB_TOKEN": "t"}, "no-ci")],
)
def test_outside_of_ci_it_says_what_is_missing(environ: dict[str, str], code: str, tmp_path: Path) -> None:
    assert Project(tmp_path, environ).run("comment", "plan.md", "--json").codes == [code]
