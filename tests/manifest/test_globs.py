"""Globs of manifests: cost and matches with nested directories, links and several `**`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.files.reading import real_path
from dbc_iac.manifest.globs import matching


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Directories that were listed."""
    seen: list[Path] = []
    whole = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        seen.append(path)
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    return seen


@pytest.mark.parametrize("pattern", ["**/" * 8 + "*.yaml", "**/*/" * 4 + "**/*.yaml"])
def test_several_wildcards_list_each_directory_a_few_times(tmp_path: Path, listed: list[Path], pattern: str) -> None:
    deep = tmp_path
    for _ in range(12):
        deep /= "d"
        deep.mkdir()
    (deep / "a.yaml").touch()
    assert matching(tmp_path.resolve(), pattern, Diagnostics()) == [deep / "a.yaml"]
    assert len(listed) < 13 * 10


def test_links_to_directories_do_not_multiply(tmp_path: Path, listed: list[Path]) -> None:
    for number in range(10):
        (tmp_path / f"link{number}").symlink_to(".")
    (tmp_path / "a.yaml").touch()
    assert len(matching(tmp_path, "*/*/*/*/*/*.yaml", Diagnostics())) == 1
    assert len(listed) < 10


def test_a_directory_that_two_wildcards_reach_is_matched_once(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("top.yaml", "a/one.yaml", "a/b/two.yaml"):
        (tmp_path / name).touch()
    found = matching(tmp_path, "**/**/*.yaml", Diagnostics())
    assert found == sorted(tmp_path / name for name in ("top.yaml", "a/one.yaml", "a/b/two.yaml"))


@pytest.mark.parametrize(
    "pattern", ["../*/*.yaml", "../**/*.yaml", "a/../../*/*.yaml", "away/*.yaml", "a*/*.yaml", "**/*.yaml"]
)
def test_no_directory_outside_the_project_is_listed(tmp_path: Path, listed: list[Path], pattern: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    for directory in (project / "a", outside):
        directory.mkdir(parents=True)
    (outside / "canary.yaml").touch()
    (project / "away").symlink_to(outside)
    found = Diagnostics()
    assert matching(project, pattern, found) == []
    assert [problem.code for problem in found] == ["outside-project"]
    assert all(real_path(directory).is_relative_to(project) for directory in listed)
