"""The commands of the controller, on a store with known content."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbc_iac.cli.commands.controller.run import _own
from dbc_iac.controller.records import Outcome, Phase, RunResult
from dbc_iac.controller.store import Store
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.views.text.diagnostics import diagnostics_json
from tests.controller.fleets import fleet, new_schema, on_store
from tests.projects import Project, Result
from tests.state.servers import postgres
from tests.views.plans import plan

PLAN = plan()
DIGEST = PLAN.digest
PROBLEM = Diagnostic("no-project", Severity.ERROR, "no dbc-iac.yaml in .", "Detail.", "Correct `path`.")


@dataclass
class Fleet:
    project: Project
    schema: str
    file: Path

    def run(self, *arguments: str) -> Result:
        return self.project.run("controller", *arguments, "--fleet", str(self.file))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    directory = tmp_path_factory.mktemp("fleet")
    read = fleet(
        directory, {"name": "a", "source": "infra", "mode": "approve"}, {"name": "b", "source": "infra", "path": "b"}
    )
    schema = new_schema()

    async def fill(store: Store) -> None:
        await store.register(read)
        await store.synced("research", "infra", "c" * 40, {"a": "t1"}, 60)
        started = await store.begin_run("a", "host:1", 60)
        assert started is not None
        await store.add_events(started.id, [(0, {"event": "note", "address": "Disk/x", "text": "was read"})])
        await store.end_run(
            started.id,
            RunResult(
                Outcome.PLANNED,
                Phase.APPROVAL,
                600,
                "Plan: 1 to create.",
                DIGEST,
                json.dumps(PLAN.to_json()),
                approval="mode approve",
            ),
        )

        await store.synced("research", "infra", "c" * 40, {"b": "t1"}, 60)
        failed = await store.begin_run("b", "host:1", 60)
        assert failed is not None
        problems = json.dumps(diagnostics_json([PROBLEM]))
        await store.end_run(
            failed.id, RunResult(Outcome.FAILED, Phase.FAILED, 60, PROBLEM.summary, diagnostics=problems)
        )

    on_store(fill, schema)
    environ = {"DBC_IAC_DATABASE": postgres.address(), "DBC_IAC_CONTROLLER_SCHEMA": schema}
    yield Fleet(Project(directory, environ), schema, directory / "research.yaml")


def test_status_shows_phase_commits_and_the_digest_that_waits(made: Fleet) -> None:
    header, first, second = made.run("status").out.splitlines()
    assert header.split() == ["stack", "phase", "mode", "commit", "applied", "last", "run", "next", "run", "message"]
    assert first.split()[:5] == ["a", "approval", "approve", "cccccccc", "-"]
    assert first.endswith(f"Plan: 1 to create. Digest: {DIGEST}")
    assert second.split()[:3] == ["b", "failed", "observe"]
    [stack] = made.run("status", "a", "--json").json
    assert (stack["phase"], stack["approval"], stack["running"]) == ("approval", DIGEST, False)


def test_options_of_commands_are_no_mistaken_ones_of_the_group(made: Fleet) -> None:
    assert made.run("status", "--watch", "--help").code == 0
    refused = made.run("history", "a", "--watch")
    assert (refused.code, "controller history has no option --watch" in refused.err) == (3, True)


def test_history_and_logs_show_a_run(made: Fleet) -> None:
    [run] = made.run("history", "a", "--json").json
    assert (run["outcome"], run["worker"]) == ("planned", "host:1")
    assert "planned" in made.run("history", "a").out
    printed = made.run("logs", str(run["id"]), "--follow").out
    assert "note Disk/x was read\n" in printed
    assert "No changes." in printed
    assert printed.endswith(f"run {run['id']} of a: planned: Plan: 1 to create.\n")
    [failed] = made.run("history", "b", "--json").json
    assert made.run("logs", str(failed["id"])).out == (
        "error[no-project]: no dbc-iac.yaml in .\n  Detail.\n  help: Correct `path`.\n"
        f"run {failed['id']} of b: failed: no dbc-iac.yaml in .\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "summary"),
    [
        (("status", "c"), "unknown-stack", "unknown stack c"),
        (("history", "aa"), "unknown-stack", "unknown stack aa"),
        (("logs", "9999999"), "unknown-run", "unknown run 9999999"),
        (("approve", "a", "e" * 64), "not-waiting", "the plan eeeeeeeeeeee of a does not wait for approval"),
        (("reject", "b", DIGEST), "not-waiting", f"the plan {DIGEST[:12]} of b does not wait for approval"),
    ],
)
def test_a_wrong_name_is_a_problem_with_a_remedy(
    arguments: tuple[str, ...], code: str, summary: str, made: Fleet
) -> None:
    result = made.run(*arguments, "--json")
    [problem] = json.loads(result.err)["diagnostics"]
    assert (problem["code"], problem["summary"]) == (code, summary)
    assert problem["remedy"]


def test_a_plan_is_approved_once_and_the_stack_runs(made: Fleet) -> None:
    assert made.run("suspend", "a").out == "a: suspended.\n"
    refused = made.run("reconcile", "a")
    assert (refused.code, refused.out) == (5, "")
    assert "error[suspended]: a is suspended" in refused.err
    assert made.run("resume", "a", "--json").json["suspended"] is False
    assert made.run("approve", "a", DIGEST).out.startswith(f"a: plan {DIGEST[:12]} approved by ")
    again = made.run("approve", "a", DIGEST)
    assert again.code == 5
    assert "It was approved by" in again.err
    assert DIGEST not in made.run("status", "a").out
    assert "approval, approved" in made.run("status", "a").out
    assert made.run("reconcile", "a").out == "a: requested.\n"


def test_a_database_that_cannot_be_reached_is_a_problem(made: Fleet) -> None:
    environ = {"DBC_IAC_DATABASE": "postgresql://me:canary@127.0.0.1:1/x"}
    result = Project(made.project.directory, environ).run("controller", "status", "--fleet", str(made.file))
    assert result.code == 1
    assert "cannot use the database of the controller" in result.err
    assert "canary" not in result.err
    missing = Project(made.project.directory).run("controller", "status", "--fleet", str(made.file))
    assert "environment variable DBC_IAC_DATABASE is not set" in missing.err


def test_settings_that_cannot_be_used_are_refused_at_the_start(made: Fleet) -> None:
    result = made.run("run", "--data", f"{made.file}/data")
    assert (result.code, "error[data-directory]" in result.err) == (3, True)
    result = made.run("run", "--data", f"{made.file}/data", "--json")
    assert (result.out, json.loads(result.err)["diagnostics"][0]["code"]) == ("", "data-directory")
    environ = {**made.project.environ, "DBC_IAC_CONTROLLER_SCHEMA": "a b;c"}
    wrong = Project(made.project.directory, environ).run("controller", "status", "--fleet", str(made.file))
    assert (wrong.code, "error[database-schema]" in wrong.err) == (3, True)


def test_a_second_worker_on_the_same_data_directory_is_refused(made: Fleet, tmp_path: Path) -> None:
    with _own(tmp_path):
        refused = made.run("run", "--data", str(tmp_path), "--json")
        [problem] = json.loads(refused.err)["diagnostics"]
        assert (refused.code, problem["code"], problem["detail"]) == (5, "data-directory", f"{tmp_path}.")
        assert problem["remedy"] == "Give each worker a directory of its own with --data."
    with _own(tmp_path):  # it is free after the end of a worker
        pass


def test_no_other_command_imports_the_controller() -> None:
    line = "import sys; from dbc_iac.cli.commands import dbc_iac; print([m for m in sys.modules if m.startswith(('dbc_iac.controller', 'psycopg', 'procrastinate'))])"
    assert subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True).stdout == "[]\n"
