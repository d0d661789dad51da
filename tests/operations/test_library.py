"""The public API: its examples run, it loads nothing before it is used, and it prints nothing."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from msgspec.structs import replace

import dbc_iac
from dbc_iac import Action, ApplyOptions, DiagnosticError, Event, Plan, PlanOptions, Project, Report, Runtime
from dbc_iac.address import Address
from dbc_iac.emulator import EmbeddedNetwork, FaultSpec, load_world
from dbc_iac.plan.signature import new_key, public_key
from dbc_iac.state.store import Store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/library.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the project of an example as `infra`."""
    shutil.copytree(ROOT / "examples/one-gpu-vm", tmp_path / "infra")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def embedded(directory: Path) -> Iterator[EmbeddedNetwork]:
    with EmbeddedNetwork(directory / "infra/world.yaml") as network:
        yield network


@pytest.fixture
def runtime(directory: Path, embedded: EmbeddedNetwork) -> Runtime:
    environ = {
        "DBC_WALLET_SEED": load_world(directory / "infra/world.yaml").wallets[0].seed,
        "TRAINER_PASSWORD": "a-password-of-tests",
        "XDG_CACHE_HOME": str(directory / "cache"),
    }
    return Runtime(environ=environ, run=embedded.run, transport=embedded.network.transport)


@pytest.fixture
def loaded(runtime: Runtime) -> Project:
    return Project.load("infra", runtime=runtime)


def reached(value: object, seen: dict[int, object]) -> None:
    """Collect the structs that a value consists of."""
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner = [*value]
    else:
        inner = [getattr(value, name) for name in getattr(value, "__struct_fields__", ())]
        inner += getattr(value, "__dict__", {}).values() if type(value).__module__.startswith("dbc_iac.") else ()
    for one in inner:
        reached(one, seen)


def test_no_part_of_a_project_shows_a_secret_when_it_is_printed(loaded: Project) -> None:
    """Debuggers, test runners and error reports print the values of variables."""
    assert loaded.apply(loaded.plan()).exit_code == 0
    seen: dict[int, object] = {}
    reached(loaded, seen)
    parts = [one for one in seen.values() if type(one).__module__.startswith("dbc_iac.")]
    assert len({type(one) for one in parts}) > 20
    shown = {type(one).__name__ for one in parts for secret in loaded.runtime.environ.values() if secret in repr(one)}
    assert shown == set()


def test_every_public_name_can_be_imported() -> None:
    assert {*dbc_iac.__all__} <= {*dir(dbc_iac)}
    assert {name for name in dbc_iac.__all__ if getattr(dbc_iac, name, None) is None} == set()
    with pytest.raises(AttributeError, match="nothing"):
        dbc_iac.nothing  # noqa: B018


def test_importing_the_package_loads_nothing_else() -> None:
    code = (
        "import sys, dbc_iac; print(sorted(m for m in sys.modules if m.startswith(('dbc_iac', 'pydantic', 'httpx'))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['dbc_iac']\n"


def test_the_examples_of_the_page_run(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All but the last, which is a test suite of its own; on the emulator instead of the network."""
    load = Project.load

    def on_emulator(directory: str, **options: Any) -> Project:
        return load(directory, **{"runtime": runtime, **options})

    monkeypatch.setattr(Project, "load", on_emulator)
    names: dict[str, Any] = {}
    for example in EXAMPLES[:-1]:
        exec(compile(example, "docs/library.md", "exec"), names)  # noqa: S102
    printed = capsys.readouterr().out
    assert "['Node/gpu-a', 'VirtualMachine/trainer']" in printed
    assert names["report"].exit_code == 0
    assert "['VirtualMachine/trainer'] {} 0" in printed
    assert names["drift"].drifts == ()


def test_the_fixture_of_the_page_works_in_a_suite_of_its_own(directory: Path) -> None:
    (directory / "test_infra.py").write_text(EXAMPLES[-1])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # those of this suite take seconds to import
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, env=environ)
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_an_apply_reports_events_and_a_second_plan_of_the_same_project_is_empty(
    loaded: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    events: list[Event] = []
    plan = loaded.plan()
    assert plan.count(Action.CREATE) == 1
    report = loaded.apply(plan, on_event=events.append)
    assert (report.exit_code, report.done) == (0, {"VirtualMachine/trainer": "create"})
    assert {"step-started", "step-done", "call"} <= {event.kind for event in events}
    assert loaded.plan().empty
    assert loaded.state.bindings.keys() == {"VirtualMachine/trainer"}
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_a_loaded_project_shows_no_secret_in_its_repr(loaded: Project) -> None:
    loaded.plan()
    assert loaded.runtime.environ["DBC_WALLET_SEED"] not in repr(loaded)
    assert "a-password-of-tests" not in repr(loaded)


def test_events_hold_no_secret_that_a_node_says_back(loaded: Project, embedded: EmbeddedNetwork) -> None:
    events: list[Event] = []
    fault = FaultSpec(op="tasks.create", kind="refuse", text="no a-password-of-tests", times=9)
    embedded.network.faults.add(fault)
    report = loaded.apply(loaded.plan(), on_event=events.append)
    assert "no ***" in repr(events)
    assert "a-password-of-tests" not in repr(events) + repr(report)


def test_an_apply_is_finished_where_the_callback_raises(loaded: Project, caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise ValueError("broken callback")

    assert loaded.apply(loaded.plan(), on_event=broken).exit_code == 0
    assert caplog.text.count("ValueError: broken callback") == 1


def test_a_plan_made_from_the_state_alone_is_not_applied(loaded: Project) -> None:
    loaded.apply(loaded.plan())
    plan = loaded.plan(PlanOptions(offline=True, destroy=True))
    with pytest.raises(DiagnosticError) as caught:
        loaded.apply(plan)
    assert [d.code for d in caught.value.diagnostics] == ["plan-not-fresh"]


def test_an_interrupted_apply_is_completed_by_a_new_plan(
    loaded: Project, directory: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Store, "commit", Mock(side_effect=RuntimeError("killed")))
        loaded.apply(loaded.plan())
    later = Project.load(directory / "infra", runtime=runtime)
    later.apply(later.plan())
    assert later.plan().empty


def test_a_plan_is_refused_after_another_apply(loaded: Project) -> None:
    plan, other = loaded.plan(), loaded.plan()
    loaded.apply(other)
    with pytest.raises(DiagnosticError) as caught:
        loaded.apply(plan)
    assert [d.code for d in caught.value.diagnostics] == ["plan-stale"]


def test_an_empty_plan_is_applied_without_a_call(loaded: Project) -> None:
    loaded.apply(loaded.plan())
    serial = loaded.state.serial
    report = loaded.apply(loaded.plan())
    assert (report.exit_code, report.calls, loaded.state.serial) == (0, 0, serial)


def test_a_plan_with_errors_is_not_applied(loaded: Project, directory: Path, runtime: Runtime) -> None:
    file = directory / "infra/dbc-iac.yaml"
    policies = "  policies: [{name: none, deny: 'true', message: no creations}]\n"
    file.write_text(file.read_text() + policies)
    refused = Project.load("infra", runtime=runtime)
    plan = refused.plan()
    with pytest.raises(DiagnosticError):
        refused.apply(plan)
    assert not refused.state.bindings


def test_destroying_deletes_everything(loaded: Project, embedded: EmbeddedNetwork) -> None:
    loaded.apply(loaded.plan())
    plan: Plan = loaded.plan(PlanOptions(destroy=True))
    assert loaded.apply(plan).exit_code == 0
    assert [node.truth()["vms"] for node in embedded.network.nodes.values()] == [{}]


def test_a_stack_name_that_is_a_path_is_refused(runtime: Runtime) -> None:
    with pytest.raises(DiagnosticError) as caught:
        Project.load("infra", stack="../main", runtime=runtime)
    assert [d.code for d in caught.value.diagnostics] == ["stack-name"]


def test_a_plan_with_other_steps_than_its_changes_need_is_not_applied(loaded: Project) -> None:
    plan = loaded.plan()
    with pytest.raises(DiagnosticError) as refused:
        loaded.apply(replace(plan, steps=plan.steps[:-1]))
    assert [d.code for d in refused.value.diagnostics] == ["plan-stale"]
    assert loaded.state.bindings == {}


def test_the_page_lists_the_fields_of_options_and_report() -> None:
    for one, more in ((PlanOptions, set()), (ApplyOptions, set()), (Report, {"exit_code"})):
        [table] = re.findall(rf"^\| `{one.__name__}` \|.*\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
        named = [name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])]
        assert sorted(named) == sorted({*one.__struct_fields__, *more})


@pytest.mark.filterwarnings("error")
def test_a_call_in_a_running_event_loop_is_refused_and_works_in_a_thread(loaded: Project) -> None:
    made = loaded.plan()
    calls: dict[str, Callable[[], object]] = {
        "plan": loaded.plan,
        "apply": lambda: loaded.apply(made, lock_timeout=9),
        "drift": loaded.drift,
    }

    async def called() -> Plan:
        for name, call in calls.items():
            with loaded.locked("test"), pytest.raises(DiagnosticError) as refused:  # locked: it is not waited for
                call()
            [problem] = refused.value.diagnostics
            assert problem.code == "running-event-loop"
            assert f"asyncio.to_thread(project.{name}, ...)" in problem.remedy
        return await asyncio.to_thread(loaded.plan)

    assert asyncio.run(called()).digest == made.digest


@pytest.mark.parametrize("collection", [list, tuple, set, iter])
def test_options_accept_any_collection_of_addresses(collection: Any) -> None:
    options = PlanOptions(targets=collection(["Disk/b", Address("Disk/a")]), unprotect=collection([]))
    assert options == PlanOptions(targets=frozenset({"Disk/a", "Disk/b"}))
    assert {type(address) for address in options.targets} == {str}


def test_lists_of_addresses_select_the_changes(loaded: Project) -> None:
    trainer = ["VirtualMachine/trainer"]
    assert loaded.plan(PlanOptions(targets=trainer)).count(Action.CREATE) == 1
    assert loaded.plan(PlanOptions(excludes=trainer)).count(Action.CREATE) == 0
    report = loaded.apply(loaded.plan(PlanOptions(targets=trainer)))
    assert report.exit_code == 0
    assert loaded.plan(PlanOptions(replace=trainer, unprotect=trainer)).count(Action.REPLACE) == 1


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"targets": "Disk/a"}, "targets: expected a list of addresses, got str"),
        ({"replace": 7}, "replace: expected a list of addresses, got int"),
        ({"excludes": [b"Disk/a"]}, "excludes: expected a list of addresses, got one with bytes"),
    ],
)
def test_an_option_that_is_no_list_of_addresses_is_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(DiagnosticError, match=expected) as refused:
        PlanOptions(**options)
    assert f"Write `{next(iter(options))}=[...]`" in refused.value.diagnostics[0].remedy


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"variable_files": "prod.yaml"}, "variable_files: expected a list of files, got str"),
        ({"variable_files": Path("prod.yaml")}, "variable_files: expected a list of files, got PosixPath"),
        ({"variable_files": [3]}, "variable_files: expected a list of files, got one with int"),
        ({"variables": {"count": 3}}, "variables: expected a mapping from name to text"),
        ({"variables": ["count=3"]}, "variables: expected a mapping from name to text"),
    ],
)
def test_an_option_of_load_of_a_wrong_type_is_refused(runtime: Runtime, options: Any, expected: str) -> None:
    with pytest.raises(DiagnosticError, match=expected) as refused:
        Project.load("infra", runtime=runtime, **options)
    assert [d.code for d in refused.value.diagnostics] == ["option-type"]


def test_variable_files_are_a_list_of_names(directory: Path, runtime: Runtime) -> None:
    file = directory / "infra/dbc-iac.yaml"
    file.write_text(file.read_text() + "  variables: {team: {default: vision}}\n")
    (directory / "more.yaml").write_text("team: speech\n")
    loaded = Project.load("infra", runtime=runtime, variable_files=["more.yaml"])
    assert loaded.loaded.names["var"] == {"team": "speech"}


def test_the_project_file_in_place_of_its_directory_is_refused() -> None:
    file = ROOT / "examples/one-gpu-vm/dbc-iac.yaml"
    with pytest.raises(DiagnosticError, match="expected a project directory, got the file dbc-iac") as refused:
        Project.load(file)
    assert refused.value.diagnostics[0].remedy == "Name the directory that contains dbc-iac.yaml."


def test_a_saved_plan_is_applied_by_another_project_and_refused_once_stale(loaded: Project, runtime: Runtime) -> None:
    loaded.save_plan(loaded.plan(), "plan.json")
    assert Path("plan.json").stat().st_mode & 0o777 == 0o600
    other = Project.load("infra", runtime=runtime)
    assert other.apply(other.load_plan("plan.json")).exit_code == 0
    with pytest.raises(DiagnosticError) as refused:
        other.apply(other.load_plan("plan.json"))
    assert [d.code for d in refused.value.diagnostics] == ["plan-stale"]


def test_an_altered_plan_is_not_loaded(loaded: Project) -> None:
    loaded.save_plan(loaded.plan(), "plan.json")
    file = Path("plan.json")
    file.write_text(file.read_text().replace('"allow_empty": false', '"allow_empty": true'))
    with pytest.raises(DiagnosticError) as refused:
        loaded.load_plan(file)
    assert [d.code for d in refused.value.diagnostics] == ["plan-altered"]


def test_a_plan_is_signed_and_its_signature_required_as_the_project_says(directory: Path, runtime: Runtime) -> None:
    key, file = new_key(), directory / "infra/dbc-iac.yaml"
    file.write_text(file.read_text() + f"  trustedPlanKeys: [{public_key(key)}]\n")
    Path("key").write_text(key.reveal())
    trusting = Project.load("infra", runtime=runtime)
    plan = trusting.plan()
    trusting.save_plan(plan, "signed.json", signing_key="key")
    assert trusting.load_plan("signed.json") == plan
    trusting.save_plan(plan, "unsigned.json")
    with pytest.raises(DiagnosticError) as refused:
        trusting.load_plan("unsigned.json")
    assert [d.code for d in refused.value.diagnostics] == ["plan-unsigned"]


def test_a_plan_made_from_the_state_alone_is_not_saved(loaded: Project) -> None:
    with pytest.raises(DiagnosticError) as refused:
        loaded.save_plan(loaded.plan(PlanOptions(offline=True)), "plan.json")
    assert [d.code for d in refused.value.diagnostics] == ["plan-not-fresh"]
    assert not Path("plan.json").exists()


def test_a_warning_of_the_library_is_not_printed_where_logging_is_not_configured() -> None:
    """Python prints it otherwise. Under pytest the root logger has handlers."""
    code = "import logging, dbc_iac; dbc_iac.Project; logging.getLogger('dbc_iac.apply').error('printed')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_records_name_files_locks_states_and_journal_without_their_contents(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "dbc_iac"):
        logged = Project.load("infra", runtime=runtime)
        logged.apply(logged.plan())
    records = [f"{record.name} {record.levelname} {record.getMessage()}" for record in caplog.records]
    state, journal = logged.store.backend.place, logged.store.backend.journal_place
    for expected in (
        "dbc_iac.manifest DEBUG read infra/dbc-iac.yaml: 1 documents",
        "dbc_iac.operations INFO loaded infra: 2 resources, environment -, stack main",
        f"dbc_iac.state DEBUG locked {state} for plan",
        f"dbc_iac.state DEBUG {state} does not exist yet",
        f"dbc_iac.state DEBUG unlocking {state}",
        f"dbc_iac.state INFO wrote {state}: serial 1, 1 resources",
        f"dbc_iac.state DEBUG appended to {journal}: intent 1 VirtualMachine/trainer vm-exists",
        f"dbc_iac.state DEBUG appended to {journal}: result 1 done",
    ):
        assert expected in records
    for secret in runtime.environ["DBC_WALLET_SEED"], runtime.environ["TRAINER_PASSWORD"]:
        assert secret not in "".join(records)
