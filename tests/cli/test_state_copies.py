"""Copies of a state: what could not be written, what is put back, and a state that moves to another place."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import PROJECT, Emulated, Project, document, project, start_state, vm
from tests.proof.ends import Interposed, Point
from tests.state.servers import terraform_http

KEY = "ab" * 32
ERRORED = "errored.main.0.state.json"


@pytest.fixture(params=["", "  encryption: {key: {env: KEY}}\n"], ids=["clear", "encrypted"])
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Emulated, terraform_http.Documents]]:
    with terraform_http.served() as (address, documents):
        emulated = Emulated(project(tmp_path / "lab", vm("one"), vm("two"), environ={"KEY": KEY}))
        text = f"{PROJECT}  state: {{backend: http, address: '{address}'}}\n{request.param}"
        emulated.project.write({"dbc-iac.yaml": text})
        yield emulated, documents
        emulated.close()


@pytest.mark.parametrize("writes", [2, 3, 6], ids=["before any call", "after the VMs", "the state itself"])
def test_what_could_not_be_written_is_kept_and_put_back(
    served: tuple[Emulated, terraform_http.Documents], writes: int
) -> None:
    emulated, documents = served
    emulated.project.write({"manifests/disk.yaml": document("Disk", "scratch", {"vm": "one", "size": "50Gi"})})
    start_state(emulated)
    documents.down_after = writes
    result = emulated.run("apply", "--yes", "--json")
    file = emulated.project.directory / ERRORED
    made = dict(emulated.vms)
    assert (result.code, len(made)) == (7, 0 if writes == 2 else 2)
    assert "errored-state" in result.codes
    assert file.stat().st_mode & 0o777 == 0o600
    assert ("VirtualMachine" in file.read_text()) is ("encryption" not in _project(emulated))
    documents.down_after = None
    emulated.settle()
    assert emulated.run("state", "unlock", "--yes").code == 0
    commands = [
        ["apply", "--yes"],
        ["plan"],
        ["destroy", "--yes"],
        ["state", "rm", "--yes", "VirtualMachine/one"],
        ["state", "mv", "VirtualMachine/one", "VirtualMachine/three"],
        ["state", "rebuild", "--yes"],
        ["import", "VirtualMachine/one", "x"],
        ["import", "--all", "--generate", "manifests/found"],
        *([["state", "rotate-key"]] if "encryption" in _project(emulated) else []),
    ]
    for command in commands[: None if writes == 3 else 1]:  # nothing before what is in the file
        early = emulated.run(*command, "--json")
        assert (early.code, "errored-state-waits" in early.codes, emulated.vms) == (5, True, made)
    put = emulated.run("state", "push", str(file))
    assert put.code == 0, put.err
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 2
    assert set(made) <= set(emulated.vms)
    again = emulated.run("state", "push", str(file), "--json")
    if writes == 6:  # the copy had all of it: it is the state
        assert again.code == 0
    else:
        assert (again.code, again.codes) == (5, ["push-serial"])


def test_a_call_that_was_not_made_without_its_record_is_not_pending(
    served: tuple[Emulated, terraform_http.Documents],
) -> None:
    emulated, documents = served
    start_state(emulated)
    documents.down_after = 2
    assert emulated.run("apply", "--yes").code == 7
    documents.down_after = None
    emulated.settle()
    assert (emulated.run("state", "unlock", "--yes").code, emulated.vms) == (0, {})
    assert emulated.run("state", "push", str(emulated.project.directory / ERRORED)).code == 0
    assert "Pending" not in emulated.run("state", "list").out


def test_no_file_takes_the_place_of_another_one(served: tuple[Emulated, terraform_http.Documents]) -> None:
    emulated, documents = served
    directory = emulated.project.directory
    assert emulated.run("plan").code == 0
    (directory / ERRORED).write_text("somebody's")
    refused = emulated.run("apply", "--yes", "--json")
    assert (refused.code, refused.codes[-1], emulated.vms) == (5, "errored-state-waits", {})
    (directory / ERRORED).write_text("of another history")
    (directory / ERRORED).rename(directory / "errored.other.0.state.json")
    documents.down_after = 4
    first = emulated.run("apply", "--yes", err=Beside(directory / ERRORED))
    assert first.code == 7
    assert (directory / ERRORED).read_text() == "came meanwhile"
    assert (directory / "errored.main.0-2.state.json").exists()
    assert (directory / "errored.other.0.state.json").read_text() == "of another history"


class Beside(io.StringIO):
    """Puts a file there while a command runs."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        self._file.write_text("came meanwhile")
        return super().write(text)


@pytest.mark.parametrize("writes", [2, 3])
def test_the_copy_of_an_apply_that_continued_an_ended_one_is_put_back(
    served: tuple[Emulated, terraform_http.Documents], writes: int
) -> None:
    emulated, documents = served
    assert Interposed(emulated, Point("call", 1, "after")).run("apply", "--yes") is None
    pulled = emulated.project.directory / "pulled.json"
    assert emulated.run("state", "pull", "-o", str(pulled)).code == 0
    documents.down_after = writes
    assert emulated.run("apply", "--yes").code == 7
    documents.down_after = None
    emulated.settle()
    assert emulated.run("state", "unlock", "--yes").code == 0
    put = emulated.run("state", "push", str(emulated.project.directory / ERRORED))
    assert put.code == 0, put.err
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 2


def test_what_was_pulled_after_an_apply_was_ended_is_put_back(
    served: tuple[Emulated, terraform_http.Documents],
) -> None:
    emulated, _ = served
    assert Interposed(emulated, Point("call", 1, "after")).run("apply", "--yes") is None
    pulled = str(emulated.project.directory / "pulled.json")
    assert emulated.run("state", "pull", "-o", pulled).code == 0
    assert emulated.run("state", "push", pulled).code == 0
    assert emulated.run("apply", "--yes").code == 0
    assert len(emulated.vms) == 2


def test_a_write_that_was_done_and_not_answered_is_none_to_be_put_back(
    served: tuple[Emulated, terraform_http.Documents],
) -> None:
    emulated, documents = served
    start_state(emulated)
    documents.unanswered = "/state/lab-main"
    assert emulated.run("apply", "--yes").code == 7
    documents.unanswered = ""
    assert emulated.run("plan", "--detailed-exitcode").code == 0  # it is there already, and holds nobody up
    put = emulated.run("state", "push", str(emulated.project.directory / ERRORED))
    assert (put.code, "now has serial 1" in put.out) == (0, True), put.err


def test_who_has_no_secret_plans_from_a_copy_of_the_state(served: tuple[Emulated, terraform_http.Documents]) -> None:
    """A pull request of a fork: no key of the state, no wallet, and a server that would refuse it all."""
    emulated, documents = served
    directory = emulated.project.directory
    assert emulated.run("apply", "--yes").code == 0
    copy = directory / "copy.json"
    copy.write_text(emulated.run("state", "pull").out)
    gateway = _project(emulated).replace(':5050"', ':5050", headers: {X-Key: {env: GATEWAY}}')
    emulated.project.write({"dbc-iac.yaml": gateway})
    project(directory, vm("one", memory="16Gi"), environ={})
    emulated.project.write({"dbc-iac.yaml": gateway})
    fork = Project(directory, {})
    before = documents.written
    documents.down_after = 0
    planned = fork.run("plan", "--refresh=false", "--state", str(copy), "--json")
    assert planned.code == 0, planned.err
    pending = {c["address"]: c["action"] for c in planned.json["changes"] if c["action"] != "no-op"}
    assert pending == {"VirtualMachine/one": "update", "VirtualMachine/two": "delete"}
    assert documents.written == before
    assert fork.run("plan", "--state", str(copy), "--json").codes == ["usage"]
    assert fork.run("--stack", "x", "plan", "--refresh=false", "--state", str(copy), "--json").codes == [
        "state-foreign"
    ]


def test_a_plan_from_the_state_alone_needs_no_lock_and_writes_nothing(
    served: tuple[Emulated, terraform_http.Documents],
) -> None:
    emulated, documents = served
    assert emulated.run("plan", "--refresh=false", "--detailed-exitcode").code == 2
    assert (documents.kept, documents.locks, documents.written) == ({}, {}, 0)
    documents.locks["/state/lab-main"] = {"ID": "x", "Info": "{}"}
    assert emulated.run("plan", "--refresh=false", "--detailed-exitcode").code == 2


def test_a_stack_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path / "lab", vm()))
    for stack in ("main", "other"):
        start_state(emulated, "--stack", stack)
    (tmp_path / "lab/state/other.json").write_text("{")
    listed = emulated.run("stack", "list")
    assert (listed.code, "main" in listed.out) == (1, True)
    assert "stack other" in listed.err
    emulated.close()


def test_what_is_nested_too_deeply_is_no_copy_and_no_plan(tmp_path: Path) -> None:
    made = project(tmp_path / "lab", vm())
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    for command, code in ((["state", "push", str(deep)], "not-a-state"), (["apply", str(deep)], "not-a-plan")):
        assert made.run(*command, "--json").codes == [code]


def _project(emulated: Emulated) -> str:
    return (emulated.project.directory / "dbc-iac.yaml").read_text()


def test_a_copy_is_put_back_only_where_nothing_has_happened(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path / "lab", vm()))
    copy = tmp_path / "copy.json"
    try:
        assert emulated.run("apply", "--yes").code == 0
        assert emulated.run("state", "pull", "-o", str(copy)).code == 0
        assert emulated.run("state", "push", str(copy)).code == 0
        assert emulated.run("state", "push", str(copy)).code == 0  # it is there already
        assert emulated.run("state", "mv", "VirtualMachine/trainer", "VirtualMachine/other").code == 0
        assert emulated.run("state", "mv", "VirtualMachine/other", "VirtualMachine/trainer").code == 0
        stale = emulated.run("state", "push", str(copy), "--json")
        assert (stale.code, stale.codes) == (5, ["push-serial"])
        for changed, code in (({"lineage": "x"}, "push-lineage"), ({"project": "x"}, "state-foreign")):
            value = json.loads(copy.read_text())
            value["state"] |= changed
            (tmp_path / "changed.json").write_text(json.dumps(value))
            refused = emulated.run("state", "push", str(tmp_path / "changed.json"), "--json")
            assert (refused.code, refused.codes) == (5, [code])
        for text in ("", "{}", "[1]", '{"formatVersion": 99}'):
            (tmp_path / "none.json").write_text(text)
            refused = emulated.run("state", "push", str(tmp_path / "none.json"), "--json")
            assert (refused.code, len(refused.codes)) == (5, 1)
        assert emulated.run("plan", "--detailed-exitcode").code == 0
    finally:
        emulated.close()


def test_a_copy_does_not_undo_what_an_ended_apply_has_written(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path / "lab", vm("one")))
    copy = tmp_path / "copy.json"
    try:
        assert emulated.run("apply", "--yes").code == 0
        assert emulated.run("state", "pull", "-o", str(copy)).code == 0
        project(tmp_path / "lab", vm("one"), vm("two"), environ=emulated.project.environ)
        assert Interposed(emulated, Point("call", 1, "after")).run("apply", "--yes") is None
        refused = emulated.run("state", "push", str(copy), "--json")
        assert (refused.code, refused.codes) == (5, ["push-journal"])
        assert emulated.run("apply", "--yes").code == 0
        assert len(emulated.vms) == 2
    finally:
        emulated.close()


def test_a_state_moves_to_another_place(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path / "lab", vm()))
    try:
        assert emulated.run("apply", "--yes").code == 0
        with terraform_http.served() as (address, _):
            old = tmp_path / "old.yaml"
            old.write_text("state: {backend: local, path: state}\n")
            emulated.project.write({"dbc-iac.yaml": f"{PROJECT}  state: {{backend: http, address: '{address}'}}\n"})
            moved = emulated.run("state", "migrate", str(old), "project")
            assert (moved.code, "is unchanged" in moved.out) == (0, True), moved.err
            assert emulated.run("plan", "--detailed-exitcode").code == 0
            again = emulated.run("state", "migrate", str(old), "project", "--json")
            assert (again.code, again.codes) == (5, ["not-empty"])
            (tmp_path / "new.yaml").write_text("{backend: local, path: elsewhere}\n")
            assert emulated.run("state", "migrate", "project", str(tmp_path / "new.yaml")).code == 0
            assert (emulated.project.directory / "elsewhere" / "main.json").exists()
            same = emulated.run("state", "migrate", "project", "project", "--json")
            assert (same.code, same.codes) == (5, ["same-backend"])
            for text in ("{backend: nowhere}", "[", "path: 7", "7", "state:\n  backend: http\n  address: nowhere"):
                old.write_text(text)
                wrong = emulated.run("state", "migrate", str(old), "project")
                assert wrong.code in {3, 5}
                assert text == "7" or f"{old}:" in wrong.err, wrong.err
                assert "pydantic" not in wrong.err
                assert "StateSpec" not in wrong.err
    finally:
        emulated.close()
