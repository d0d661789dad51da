"""`emulator`: it reports its addresses once they are open."""

from __future__ import annotations

import socket
from pathlib import Path

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
