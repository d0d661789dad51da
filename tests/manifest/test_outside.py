"""Files that a project names: inside it after resolving links, regular and bounded; no other file is printed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.projects import NODE, PROJECT, Project, project, vm

CANARY = "root:canary-of-a-line:0"


@pytest.fixture
def lab(tmp_path: Path) -> Project:
    (tmp_path / "outside.yaml").write_text(f"{CANARY}\n- {CANARY}\n")
    return project(tmp_path / "lab", vm(), environ={"SEED": "x"})


def refused(made: Project, *arguments: str, commands: tuple[str, ...] = ("validate", "plan")) -> None:
    for command in commands:
        result = made.run(*arguments, command, "--json")
        assert result.code == 3, result.err
        assert result.codes == ["outside-project"], result.err
        assert "canary" not in result.err + result.out


@pytest.mark.parametrize("name", ["../outside.yaml", "out.yaml", "away/outside.yaml", "ABSOLUTE"])
def test_a_variable_file_of_an_environment_outside_the_project_is_refused(lab: Project, name: str) -> None:
    outside = lab.directory.parent / "outside.yaml"
    (lab.directory / "out.yaml").symlink_to(outside)
    (lab.directory / "away").symlink_to(outside.parent)
    named = str(outside) if name == "ABSOLUTE" else name
    lab.write({"dbc-iac.yaml": PROJECT.replace("prod.yaml", named)})
    refused(lab, "-e", "prod")


def test_a_variable_file_of_the_command_line_may_be_outside_the_project(lab: Project) -> None:
    (lab.directory.parent / "more.yaml").write_text("count: 3\n")
    assert lab.run("--var-file", str(lab.directory.parent / "more.yaml"), "validate").code == 0


def test_a_variable_file_of_the_command_line_may_be_a_pipe(lab: Project) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"count: 3\n")
    os.close(writing)
    try:
        assert lab.run("--var-file", f"/dev/fd/{reading}", "validate").code == 0
    finally:
        os.close(reading)


def test_a_project_file_that_links_outside_is_refused(lab: Project) -> None:
    (lab.directory / "dbc-iac.yaml").unlink()
    (lab.directory / "dbc-iac.yaml").symlink_to(lab.directory.parent / "outside.yaml")
    refused(lab, commands=("validate", "plan", "fmt"))


def test_a_manifest_that_links_outside_is_refused_and_not_printed(lab: Project) -> None:
    (lab.directory / "manifests/out.yaml").symlink_to(lab.directory.parent / "outside.yaml")
    refused(lab)


@pytest.mark.parametrize("name", ["manifests/a.yaml", "prod.yaml", "dbc-iac.yaml"])
@pytest.mark.parametrize("what", ["pipe", "ring", "zero", "large"])
def test_a_pipe_device_or_huge_file_is_refused_at_once(lab: Project, name: str, what: str) -> None:
    lab.write({"prod.yaml": "count: 3\n"})
    path = lab.directory / name
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "large":
        path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    else:
        path.symlink_to(path.name if what == "ring" else "/dev/zero")
    result = lab.run("-e", "prod", "validate", "--json")
    expected = {"large": "too-large", "zero": "outside-project"}.get(what, "unreadable-file")
    missing = name == "dbc-iac.yaml" and what == "ring"
    assert (result.code, result.codes) == (3, ["no-project" if missing else expected])


def test_fmt_refuses_a_link_to_a_file_outside_the_project(lab: Project) -> None:
    outside = lab.directory.parent / "loose.yaml"
    outside.write_text("count:   3\n")
    (lab.directory / "manifests/out.yaml").symlink_to(outside)
    (lab.directory / "away").symlink_to(outside.parent)
    for names in (["manifests"], ["manifests/out.yaml"], ["away/loose.yaml"], ["away"]):
        result = lab.run("fmt", "--json", *(str(lab.directory / name) for name in names))
        assert "outside-project" in result.codes, names
        assert outside.read_text() == "count:   3\n"
    assert lab.run("fmt").code == 0
    assert outside.read_text() == "count:   3\n"
    assert "count" not in lab.run("fmt", "--diff", str(lab.directory / "manifests/out.yaml")).out


def test_fmt_keeps_a_link_within_the_project_and_formats_its_target(lab: Project) -> None:
    lab.write({"shared/node.yaml": NODE.replace("kind: Node", "kind:  Node")})
    (lab.directory / "manifests/all.yaml").unlink()
    (lab.directory / "manifests/all.yaml").symlink_to("../shared/node.yaml")
    assert lab.run("fmt").code == 0
    assert (lab.directory / "manifests/all.yaml").is_symlink()
    assert (lab.directory / "shared/node.yaml").read_text() == NODE


def test_fmt_formats_a_file_of_the_command_line_outside_the_project(lab: Project) -> None:
    outside = lab.directory.parent / "loose.yaml"
    outside.write_text("count:   3\n")
    assert lab.run("fmt", str(outside)).code == 0
    assert outside.read_text() == "count: 3\n"
