"""The steps of the action, run as GitHub's runner runs them, on an emulated network."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dbc_iac.operations.pipelines import pipeline
from tests.cli.forge import DBC_IAC, POLLING, forge, served
from tests.cli.jobs import ACTION, EXAMPLE, GITLAB, ROOT, Job


@pytest.fixture(scope="module")
def network() -> Iterator[str]:
    """HOST:PORT of a client node."""
    with served(EXAMPLE / "world.yaml") as address:
        yield address


@pytest.fixture
def planning(tmp_path: Path, network: str) -> Job:
    """A job that may plan."""
    return Job(tmp_path, network)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job whose dbc-iac is a program of its test."""
    return Job(tmp_path)


def test_on_github_a_plan_is_made_and_told_in_one_comment(planning: Job) -> None:
    planned = planning.step("Plan")
    assert planned.returncode == 0, planned.stderr
    assert (planning.output("exit-code"), planning.output("changes")) == ("2", "true")
    made = planning.folder / "temp/dbc-iac"
    assert {p.name for p in made.iterdir()} == {"the.plan", "plan.md", "plan.html"}
    assert "### Changes" in (planning.folder / "summary").read_text()
    with forge(
        {1: "<!-- dbc-iac project main/ -->\nlooks good"}
    ) as hub:  # somebody's, who would like to be overwritten
        planning.pull_request(hub)
        for _ in range(2):
            told = planning.step("Comment", token="canary-of-a-token")
            assert told.returncode == 0, told.stderr
            assert "canary" not in told.stdout + told.stderr
        assert hub.bodies[1].endswith("looks good")
        assert hub.bodies[2].startswith("<!-- dbc-iac project main/ -->\n## dbc-iac: plan of")
        assert f"Commit feedbeef, [CI run]({hub.url}/me/lab/actions/runs/12)" in hub.bodies[2]
        assert len(hub.bodies) == 2
        assert [(m, p) for m, p, _ in hub.seen if m != "GET" and p != "/graphql"] == [
            ("POST", "/repos/me/lab/issues/7/comments"), ("PATCH", "/repos/me/lab/issues/comments/2"),
        ]  # fmt: skip
        assert {token for _, _, token in hub.seen} == {"canary-of-a-token"}


def test_on_github_a_plan_that_fails_replaces_the_older_one_in_the_comment(planning: Job) -> None:
    with forge() as hub:
        planning.pull_request(hub)
        planning.step("Plan")
        planning.step("Comment")
        assert "### Changes" in hub.bodies[1]
        (planning.folder / "project/manifests/vm.yaml").write_text("kind: [<b>")
        assert planning.step("Plan").returncode == 3
        assert (planning.output("exit-code"), planning.output("changes")) == ("3", "false")
        assert not (planning.folder / "temp/dbc-iac/the.plan").exists()
        assert planning.step("Comment").returncode == 0
        assert "## dbc-iac: plan failed\n\nThe plan failed with exit code 3" in hub.bodies[1]
        assert "error[yaml-syntax]" in hub.bodies[1]
        assert "### Changes" not in hub.bodies[1]
        assert "<b>" not in hub.bodies[1]
        planning.program(
            "dbc-iac", "case $* in *comment*) exec " + " ".join(map(repr, DBC_IAC)) + ' "$@" ;; *) exit 137 ;; esac\n'
        )
        assert planning.step("Plan").returncode == 137
        assert planning.step("Comment").returncode == 0
        assert "## dbc-iac: plan failed\n\n`dbc-iac plan` ended with exit code 137" in hub.bodies[1]
        assert len(hub.bodies) == 1


def test_on_github_each_project_and_environment_has_its_own_comment(job: Job) -> None:
    (job.folder / "temp/dbc-iac").mkdir(parents=True)
    job.program("dbc-iac", 'echo "$*" >> calls\n')
    for given in ({}, {"directory": "other place"}, {"environment": "prod"}, {"stack": "second"}):
        assert job.step("Comment", fork=False, **given).returncode == 0
    made = f"comment {job.folder}/temp/dbc-iac/plan.md"
    assert (job.folder / "calls").read_text().splitlines() == [
        f"-C {where} -e {environment} {f'--stack {stack} ' if stack else ''}{made}"
        for where, environment, stack in [
            ("project", "", ""), ("other place", "", ""), ("project", "prod", ""), ("project", "", "second"),
        ]
    ]  # fmt: skip


def test_on_github_a_fork_is_planned_without_any_secret(planning: Job) -> None:
    del planning.environ["DBC_WALLET_SEED"], planning.environ["TRAINER_PASSWORD"]
    planned = planning.step("Plan", fork=True)
    assert planned.returncode == 0, planned.stderr
    assert planning.output("changes") == "true"
    assert "VirtualMachine/trainer" in (planning.folder / "summary").read_text()
    assert not (planning.folder / "temp/dbc-iac/the.plan").exists()


def test_on_github_nothing_is_installed_whose_origin_nobody_chose(job: Job) -> None:
    job.program("python", 'echo "$@" >> pip\n')
    workflow = yaml.safe_load(pipeline("github")[".github/workflows/dbc-iac.yaml"])
    refused = job.step("Install", package=workflow["env"]["DBC_IAC_PACKAGE"])
    assert (refused.returncode, (job.folder / "pip").exists()) == (1, False)
    assert "replace OWNER and COMMIT" in refused.stdout
    job.environ["GITHUB_ACTION_PATH"] = str(job.folder)
    copied = job.step("Install")
    assert (copied.returncode, (job.folder / "pip").exists()) == (1, False)
    job.environ["GITHUB_ACTION_PATH"] = str(ROOT)
    assert job.step("Install").returncode == 0
    assert job.step("Install", package="dbc-iac @ git+https://example.org/us/dbc-iac@0123").returncode == 0
    lock, own, check, _, chosen, _ = (job.folder / "pip").read_text().splitlines()
    assert lock == f"-m pip install --quiet --require-hashes -r {ROOT}/dbc_iac/operations/ci/requirements.txt"
    assert check == "-m pip check"
    assert own.endswith(f" {ROOT}[graph,mnemonic,objectstore,postgres]")
    assert chosen.endswith(" dbc-iac @ git+https://example.org/us/dbc-iac@0123")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"graph", "mnemonic", "objectstore", "postgres"} <= set(extras)
    used = [s["with"]["package"] for j in workflow["jobs"].values() for s in j["steps"] if "dbc-iac" in s["uses"]]
    assert used == ["${{ env.DBC_IAC_PACKAGE }}"] * 5


HUB = """echo "$@" >> calls
case "$1 $2" in
  "api repos/me/lab/commits/abc/pulls") cat pulls.json | jq -r "$4" ;;
  "api --paginate") cat artifacts.json | jq -r "$5" ;;
  "api repos/me/lab/actions/runs/"*) cat "run-${2##*/}.json" | jq -r "$4" ;;
  "run download") mkdir -p "${@: -1}"; echo '{}' > "${@: -1}/the.plan" ;;
esac
"""
"""A `gh` that answers from files."""


def artifact(number: int, head: str, at: str, *, home: int = 1, expired: bool = False) -> dict[str, Any]:
    run = {"id": number, "head_sha": head, "repository_id": 1, "head_repository_id": home}
    return {"expired": expired, "created_at": f"2026-01-0{at}T00:00:00Z", "workflow_run": run}


@pytest.mark.skipif(not shutil.which("jq"), reason="gh's filters are tried with jq")
def test_on_github_the_reviewed_plan_is_fetched_by_its_name_and_the_merged_commit(job: Job) -> None:
    job.environ |= {
        "GITHUB_REPOSITORY": "me/lab",
        "GITHUB_SHA": "abc",
        "GITHUB_WORKFLOW_REF": "me/lab/.github/workflows/dbc-iac.yaml@main",
    }
    job.program("gh", HUB)
    pulls = [
        {"merged_at": None, "merge_commit_sha": "abc", "head": {"sha": "open"}},
        {"merged_at": "x", "merge_commit_sha": "other", "head": {"sha": "backport"}},
        {"merged_at": "x", "merge_commit_sha": "abc", "head": {"sha": "feed"}},
    ]
    (job.folder / "pulls.json").write_text(json.dumps(pulls))
    made = [
        artifact(1, "feed", "1"), artifact(2, "feed", "3"), artifact(3, "feed", "2"), artifact(4, "open", "4"),
        artifact(5, "feed", "5", home=2), artifact(6, "feed", "6", expired=True), artifact(7, "feed", "7"),
        artifact(8, "feed", "8"),
    ]  # fmt: skip
    for run, event, path in ((2, "pull_request", "dbc-iac"), (7, "pull_request", "other"), (8, "push", "dbc-iac")):
        made_by = {"event": event, "path": f".github/workflows/{path}.yaml"}
        (job.folder / f"run-{run}.json").write_text(json.dumps(made_by))
    (job.folder / "artifacts.json").write_text(json.dumps({"artifacts": made}))
    left = job.folder / "temp/dbc-iac/plan.md"
    left.parent.mkdir(parents=True)
    left.write_text("of another use of the action")
    fetched = job.step("Fetch the plan that was reviewed")
    assert fetched.returncode == 0, fetched.stderr
    assert {p.name for p in (job.folder / "temp/dbc-iac").iterdir()} == {"the.plan"}
    calls = (job.folder / "calls").read_text()
    assert "actions/artifacts?name=dbc-iac-plan&per_page=100" in calls
    assert "\nrun download 2 --repo me/lab --name dbc-iac-plan" in calls
    for wrong in ([], [artifact(5, "feed", "5", home=2)]):
        (job.folder / "artifacts.json").write_text(json.dumps({"artifacts": wrong}))
        refused = job.step("Fetch the plan that was reviewed")
        assert refused.returncode == 1
        assert "no reviewed plan for this commit" in refused.stdout
        assert not (job.folder / "temp/dbc-iac").exists()


def test_what_was_done_is_kept_where_the_state_could_not_be_written(job: Job) -> None:
    (job.folder / "temp/dbc-iac").mkdir(parents=True)
    job.program("dbc-iac", "echo '{}' > project/errored.main.7.state.json; exit 7\n")
    applied = job.step("Apply")
    assert (applied.returncode, job.output("exit-code")) == (7, "7")
    assert (job.folder / "temp/dbc-iac/errored.main.7.state.json").exists()
    assert "dbc-iac state push" in applied.stdout
    assert "$DBC_IAC_DIRECTORY/errored.*.state.json" in GITLAB["apply"]["artifacts"]["paths"]


def test_drift_fails_the_github_job_and_is_reported(planning: Job) -> None:
    assert planning.step("Drift").returncode == 0
    assert planning.output("changes") == "false"


def test_on_github_what_was_reviewed_is_applied_and_nothing_else(tmp_path: Path) -> None:
    with served(EXAMPLE / "world.yaml") as address:
        job = Job(tmp_path, address, POLLING)
        assert job.step("Plan").returncode == 0
        applied = job.step("Apply")
        assert applied.returncode == 0, applied.stderr
        made = job.folder / "temp/dbc-iac"
        events = [json.loads(line)["event"] for line in (made / "events.ndjson").read_text().splitlines()]
        assert (events[0], events[-1]) == ("begin", "end")
        assert "Apply complete" in (job.folder / "summary").read_text()
        changed = job.folder / "project/manifests/vm.yaml"
        changed.write_text(changed.read_text() + "# nothing else\n")
        assert job.step("Plan").returncode == 0
        assert job.output("changes") == "false"
        for path in job.folder.rglob("*"):
            if path.is_file() and path.name not in {"script"}:
                assert b"canary" not in path.read_bytes(), path


def test_a_pull_request_target_is_refused_before_anything_is_installed(job: Job) -> None:
    job.program("pip", "touch pip\n")
    job.program("python", "touch pip\n")
    job.environ |= {"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_ACTION_PATH": str(ROOT)}
    refused = job.step("Install")
    assert (refused.returncode, (job.folder / "pip").exists()) == (1, False)
    assert "pull_request_target gives secrets" in refused.stdout


def test_a_fork_is_planned_without_programs_and_secrets(job: Job) -> None:
    job.program("dbc-iac", 'echo "untrusted=$DBC_IAC_UNTRUSTED $*"\n')
    assert "untrusted=1 " in job.step("Plan", fork=True).stdout
    job.program("dbc-iac", 'echo "untrusted=${DBC_IAC_UNTRUSTED:-} $*"\n')
    assert "untrusted= " in job.step("Plan").stdout


def test_actions_are_pinned_to_commits_and_leave_no_token_in_the_checkout() -> None:
    workflow = yaml.safe_load((ROOT / "dbc_iac/operations/ci/github.yaml").read_text())
    steps = [*ACTION["runs"]["steps"], *(s for j in workflow["jobs"].values() for s in j["steps"])]
    used = [s for s in steps if "uses" in s and not s["uses"].startswith("./")]
    assert used
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", s["uses"]) for s in used)
    checkouts = [s for s in used if s["uses"].startswith("actions/checkout@")]
    assert [s["with"]["persist-credentials"] for s in checkouts] == [False] * 5


def test_on_github_manifests_are_checked_without_any_secret(job: Job) -> None:
    job.environ = {name: job.environ[name] for name in ("PATH", "HOME")}
    for command in ("validate", "fmt"):
        ran = job.step("Check", command=command)
        assert ran.returncode == 0, ran.stderr
    (job.folder / "project/manifests/vm.yaml").write_text("kind:  Node\n")
    assert [job.step("Check", command=command).returncode for command in ("validate", "fmt")] == [3, 1]
