"""Output files: checked before anything is done, never over what a project is made of, written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.cli import output_files
from dbc_iac.files import writing
from tests.projects import PROJECT, Emulated, project, vm

OPTIONS: dict[str, list[str]] = {
    "plan -o": ["plan", "-o"],
    "plan --markdown": ["plan", "--markdown"],
    "plan --html": ["plan", "--html"],
    "apply --markdown": ["apply", "--yes", "--markdown"],
    "apply --html": ["apply", "--yes", "--html"],
    "apply --events": ["apply", "--yes", "--events"],
    "apply --report": ["apply", "--yes", "--report"],
    "destroy --events": ["destroy", "--yes", "--events"],
    "destroy --report": ["destroy", "--yes", "--report"],
    "graph -o": ["graph", "-o"],
    "graph PLAN -o": ["graph", "PLAN", "-o"],
    "show PLAN --markdown": ["show", "PLAN", "--markdown"],
    "show PLAN --html": ["show", "PLAN", "--html"],
    "state pull -o": ["state", "pull", "-o"],
}
PROTECTED = [
    "dbc-iac.yaml",
    "manifests/all.yaml",
    "prod.yaml",
    "given.yaml",
    "password.txt",
    "state/main.json",
    "state/main.lock",
    "state/main.journal.jsonl",
    "state/history/main.1.json",
    "errored.main.1.state.json",
    "a-link.md",
    "a-second-name.md",
]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """An applied project with a pending change, whose directory is the current one."""
    monkeypatch.chdir(tmp_path)
    login = {"password": {"file": "password.txt"}}
    emulated = Emulated(project(tmp_path, vm(login=login)))
    emulated.project.write({"password.txt": "Made-up-1\n", "prod.yaml": "count: 3\n", "given.yaml": "count: 4\n"})
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm(login=login, cpus=8), environ=emulated.project.environ)
    assert emulated.run("plan", "-o", "PLAN").code == 0
    emulated.project.write({"errored.main.1.state.json": "{}"})
    Path("a-link.md").symlink_to("manifests/all.yaml")
    Path("a-second-name.md").hardlink_to("manifests/all.yaml")
    yield emulated
    emulated.close()


def content(emulated: Emulated) -> dict[str, bytes]:
    """All files but the lock's and the session cache's."""
    files = (p for p in emulated.project.directory.rglob("*") if p.is_file() and ".cache" not in p.parts)
    return {str(p): p.read_bytes() for p in files}


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_no_output_goes_over_what_the_project_is_made_of(lab: Emulated, option: str) -> None:
    before, vms = content(lab), lab.vms
    (lab.project.directory / "errored.main.1.state.json").rename("kept")  # a state that waits stops each plan
    for protected in PROTECTED:
        if protected.startswith("errored"):
            Path("kept").rename(protected)
        arguments = ["--var-file", "given.yaml", *OPTIONS[option], protected]
        result = lab.run(*arguments, "--json")
        assert (result.code, result.codes) == (3, ["output-over-input"]), (protected, result.err)
    assert content(lab) == before
    assert lab.vms == vms


@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_a_place_that_cannot_be_written_is_found_before_anything_is_done(
    lab: Emulated, option: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Path("out").symlink_to(elsewhere)
    Path("errored.main.1.state.json").unlink()
    before, vms = content(lab), lab.vms
    for place in ("none/x", "dbc-iac.yaml/x", "manifests", "/proc/none", "out/x"):
        result = lab.run(*OPTIONS[option], place, "--json")
        assert result.code == 3, (place, result.err)
        if result.err:  # click itself refuses directories and says so with the same code
            assert set(result.codes) <= {"unwritable-file", "outside-project", "usage"}, (place, result.err)
    assert content(lab) == before
    assert lab.vms == vms
    assert [*elsewhere.iterdir()] == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply", "PLAN", "--report", "PLAN"],
        ["apply", "--yes", "--expect", "PLAN", "--markdown", "PLAN"],
        ["plan", "--signing-key", "key", "-o", "key"],
        ["plan", "--refresh=false", "--state", "copy.json", "--html", "copy.json"],
        ["show", "PLAN", "--html", "PLAN"],
        ["graph", "PLAN", "-o", "PLAN"],
        ["plan", "--markdown", "x", "--html", "./x"],
        ["apply", "--yes", "--events", "x", "--report", "x"],
    ],
)
def test_no_output_goes_over_an_input_or_another_output_of_its_command(lab: Emulated, arguments: list[str]) -> None:
    Path("errored.main.1.state.json").unlink()
    assert lab.run("signing-key", "new", "key").code == 0
    assert lab.run("state", "pull", "-o", "copy.json").code == 0
    before, vms = content(lab), lab.vms
    result = lab.run(*arguments, "--json")
    assert (result.code, result.codes) == (3, ["output-over-input"]), result.err
    assert content(lab) == before
    assert lab.vms == vms


@pytest.mark.parametrize("name", ["manifests/all.yaml", "dbc-iac.yaml", "state/main.json"])
@pytest.mark.parametrize("broken", ["manifests/all.yaml", "dbc-iac.yaml"])
def test_the_failure_of_a_plan_is_not_written_over_a_broken_project(lab: Emulated, name: str, broken: str) -> None:
    lab.project.write({broken: "kind: ["})
    before = content(lab)
    result = lab.run("plan", "--markdown", name, "--json")
    assert (result.code, result.codes[-1]) == (3, "output-over-input")
    assert "yaml-syntax" in result.codes
    assert content(lab) == before


def test_the_first_state_is_protected_before_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    emulated = Emulated(project(tmp_path, vm()))
    assert emulated.run("apply", "--yes", "--report", "state/main.json", "--json").codes[0] in {
        "output-over-input",
        "unwritable-file",
    }
    (tmp_path / "state").mkdir()
    assert emulated.run("apply", "--yes", "--report", "state/main.json", "--json").codes == ["output-over-input"]
    assert not emulated.vms
    emulated.close()


def test_markdown_below_a_folder_that_is_not_there_is_no_bug(lab: Emulated) -> None:
    """Other parts of a long plan are looked for in the folder."""
    result = lab.run("plan", "--markdown", "none/../x.md", "--json")
    assert (result.code, result.codes) == (3, ["unwritable-file"])


def test_later_parts_of_a_plan_go_over_no_manifest(lab: Emulated) -> None:
    lab.project.write({"dbc-iac.yaml": PROJECT + "  manifests: [manifests/*]\n", "manifests/plan-2.md": vm("other")})
    result = lab.run("plan", "--markdown", "manifests/plan.md", "--json")
    assert result.codes == ["output-over-input"]


@pytest.mark.parametrize(
    "option", ["plan -o", "plan --markdown", "plan --html", "graph -o", "show PLAN --html", "state pull -o"]
)
def test_a_full_disk_leaves_the_output_of_before_and_no_half_one(
    lab: Emulated, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(descriptor: int, text: bytes) -> None:
        os.write(descriptor, text[: len(text) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("errored.main.1.state.json").unlink()
    Path("old").write_text("of before")
    before = content(lab)
    monkeypatch.setattr(writing, "write_all", half)
    for name in ("old", "new"):
        result = lab.run(*OPTIONS[option], name, "--json")
        assert (result.code, result.codes[-1]) == (3, "unwritable-file"), result.err
    assert content(lab) == before


def test_an_apply_whose_report_cannot_be_written_any_more_does_not_end_with_0(
    lab: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    Path("errored.main.1.state.json").unlink()
    monkeypatch.setattr(output_files, "write_whole", full)
    result = lab.run("apply", "--yes", "--report", "report.md", "--json")
    assert (result.code, result.codes) == (1, ["unwritable-file"])
    assert result.json["report"] is not None
    assert lab.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_apply_without_changes_replaces_the_report_of_the_last_one(lab: Emulated, options: list[str]) -> None:
    Path("errored.main.1.state.json").unlink()
    command = ["apply", "--yes", "--report", "report.md", *options]
    assert lab.run(*command).code == 0
    changed = Path("report.md").read_text()
    assert "1 updated" in changed
    assert lab.run(*command).code == 0
    assert "0 updated" in Path("report.md").read_text()


def test_outputs_of_before_are_replaced_and_devices_are_written_to(lab: Emulated) -> None:
    Path("errored.main.1.state.json").unlink()
    for _ in range(2):
        assert lab.run("plan", "-o", "p", "--markdown", "p.md", "--html", "/dev/null").code == 0
    assert Path("p.md").read_text()
    assert lab.run("apply", "p", "--events", "/dev/null", "--report", "/dev/null", "--markdown", "/dev/null").code == 0


@pytest.mark.parametrize("folder", ["dbc-iac.yaml/sub", "dbc-iac.yaml", "/proc/none", "out/new", "manifests/out"])
def test_manifests_are_generated_only_into_a_folder_that_can_be_made(
    lab: Emulated, folder: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Path("errored.main.1.state.json").unlink()
    Path("out").symlink_to(elsewhere)
    Path("manifests/out").symlink_to(elsewhere / "none")
    (lab.project.directory / "manifests/out").unlink() if folder != "manifests/out" else None
    result = lab.run("import", "--all", "--generate", folder, "--json")
    assert result.code == 3, result.err
    assert set(result.codes) <= {"unwritable-file", "outside-project", "usage", "unreadable-file"}, result.err
    assert [*elsewhere.iterdir()] == []
