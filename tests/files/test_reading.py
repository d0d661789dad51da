"""Bounded reads: regular files only; files that a project names are inside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.files.reading import (
    OutsideProjectError,
    TooLargeError,
    file_problem,
    leads_out,
    read_file,
    read_given,
    read_inside,
)


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert len(read_file(tmp_path / "a")) == 3_000_000


@pytest.mark.parametrize("read", [read_file, read_given])
def test_a_file_over_its_limit_is_refused(tmp_path: Path, read: Callable[[Path, int], bytes]) -> None:
    (tmp_path / "a").write_bytes(b"x" * 2049)
    assert len(read(tmp_path / "a", 2049)) == 2049
    with pytest.raises(TooLargeError, match="larger than 2 KiB"):
        read(tmp_path / "a", 2048)


def test_a_file_over_its_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").touch()
    os.truncate(tmp_path / "a", 10**12)
    monkeypatch.delattr(os, "read")
    with pytest.raises(TooLargeError):
        read_file(tmp_path / "a")


def test_an_endless_device_of_the_command_line_is_read_to_the_limit() -> None:
    with pytest.raises(TooLargeError):
        read_given(Path("/dev/zero"), 4096)


def test_a_pipe_without_a_writer_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_file(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/stdin", "/dev/fd/0", "/proc/self/environ", "/dev"])
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_a_pipe_device_or_kernel_file_is_refused_even_behind_a_link(tmp_path: Path, name: str, link: bool) -> None:
    (tmp_path / "b").symlink_to(name)
    (tmp_path / "a").symlink_to("b")
    with pytest.raises(OSError, match=r"not a regular file|No such device"):
        read_file(tmp_path / "a" if link else Path(name))


@pytest.mark.skipif(sys.platform != "linux", reason="names of Linux")
def test_standard_input_is_refused_even_if_it_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("x")
    before = os.dup(0)
    with (tmp_path / "given").open() as stream:
        os.dup2(stream.fileno(), 0)
    try:
        with pytest.raises(OSError, match="not a regular file"):
            read_file(Path("/dev/stdin"))
        assert read_given(Path("/dev/stdin")) == b"x"
    finally:
        os.dup2(before, 0)
        os.close(before)


@pytest.mark.parametrize("name", ["../outside", "out", "away/outside"])
def test_a_file_outside_after_resolving_links_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (tmp_path / "outside").write_text("x")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "away").symlink_to(tmp_path)
    with pytest.raises(OutsideProjectError):
        read_inside(root / name, root)


def test_a_link_within_a_linked_project_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a").write_text("x")
    (tmp_path / "real/b").symlink_to("a")
    (tmp_path / "project").symlink_to("real")
    assert read_inside(tmp_path / "project/b", tmp_path / "project") == b"x"


@pytest.mark.parametrize("name", ["ring", "a\0b", "none"])
def test_an_invalid_or_missing_name_is_an_os_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(OSError, match=r"symbolic link|Invalid argument|No such file") as caught:
        read_inside(tmp_path / name, tmp_path)
    assert file_problem(tmp_path / name, caught.value).code == "unreadable-file"


def test_only_a_link_leads_out_of_the_project(tmp_path: Path) -> None:
    root = tmp_path / "project"
    (root / "sub").mkdir(parents=True)
    (root / "away").symlink_to(tmp_path)
    led = {name: leads_out(root / name, root) for name in ("away/x", "away", "sub/x", "../x", "sub/../x")}
    assert led == {"away/x": True, "away": True, "sub/x": False, "../x": False, "sub/../x": False}
