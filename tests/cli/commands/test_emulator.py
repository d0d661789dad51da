"""`emulator`: it reports its addresses once they are open."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.projects import Project


def test_a_port_in_use_is_refused_without_a_word_of_listening(tmp_path: Path) -> None:
    (tmp_path / "world.yaml").write_text("{}\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        result = Project(tmp_path).run("emulator", "--world", str(tmp_path / "world.yaml"), "--listen", address)
    assert result.code == 3
    assert f"cannot listen on {address}" in result.err
    assert "listens on" not in result.err


@pytest.mark.parametrize(
    ("world", "problem"),
    [
        ("gpuNodes: [{id: x, images: [{name: a.qcow2, sizeGib: 3}]}]\n", "unknown field sizeGib\n  --> {}:1:45"),
        ("wallets: [{name: tenant, sed: x}]\n", "unknown field sed\n  --> {}:1:26"),
        ("timeScale: fast\n", "timeScale: expected a number\n  --> {}:1:12"),
        ("wallets: [{name: tenant, seed: zz}]\n", "wallets.0.seed: expected 64 hexadecimal digits\n  --> {}:1:32"),
        ("wallets: [{name: tenant}]\n", "wallets.0: a wallet needs a seed or an address\n  --> {}:1:11"),
        ("managers: [{seed: zz}]\n", "managers.0.seed: expected 64 hexadecimal digits\n  --> {}:1:19"),
        ("start: today\n", "start: expected a date such as 2026-01-01 00:00:00\n  --> {}:1:8"),
        ("sessions: [{target: a, wallet: b, id: c}]\n", "sessions: there is no machine a"),
        ("managers: [{name: x}]\n", "docs/world.md describes the field"),
        ("gpuNodes:\n\t- id: x\n", "invalid YAML: a tab indents the line\n  --> {}:2:1"),
    ],
)
def test_a_mistake_in_a_world_file_has_its_place(world: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "world.yaml"
    file.write_text(world)
    result = Project(tmp_path).run("emulator", "--world", str(file), "--listen", "127.0.0.1:1")
    assert result.code == 3
    assert problem.format(file) in result.err
