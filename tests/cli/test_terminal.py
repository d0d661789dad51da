"""The whole demo in a real pseudo-terminal, narrow and wide, with and without colours, read back from a screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pyte
import pytest

COMMAND = [sys.executable, "-c", "from dbc_iac.__main__ import main; main()", "demo"]
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def on_a_terminal(columns: int, directory: Path, **environ: str) -> tuple[str, list[str]]:
    """Lines on a terminal after the demo, scrolled ones included."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "", **environ}
    child = subprocess.Popen(COMMAND, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=directory, close_fds=True)
    os.close(slave)
    written = b""
    while True:
        try:
            part = os.read(master, 65_536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        written += part
    os.close(master)
    text = written.decode()
    assert child.wait() == 0, text[-2000:]
    screen = pyte.HistoryScreen(columns, 50, history=100_000, ratio=1)
    pyte.Stream(screen).feed(text)
    scrolled = ["".join(line[x].data for x in range(columns)) for line in screen.history.top]
    return text, [line.rstrip() for line in [*scrolled, *screen.display]]


@pytest.mark.parametrize(
    ("columns", "environ"),
    [(80, {}), (140, {}), (80, {"NO_COLOR": "1"}), (140, {"TERM": "dumb"})],
    ids=["narrow", "wide", "no colour", "dumb"],
)
def test_the_screen_of_a_terminal(columns: int, environ: dict[str, str], tmp_path: Path) -> None:
    text, lines = on_a_terminal(columns, tmp_path, **environ)
    (tmp_path / "screen.txt").write_text("\n".join(lines))
    assert bool(COLOUR.search(text.replace("\x1b[0m", "").replace("\x1b[39m", ""))) == (not environ)
    assert any(line.startswith("Demo complete: no objects remain.") for line in lines)
    assert any(line.startswith("Plan: ") for line in lines)
    assert any(re.match(r"VirtualMachine/trainer: created after \d+ s", line) for line in lines)
    assert not any("changes finished" in line for line in lines), "the tree is gone at the end"
    if "TERM" not in environ:
        assert " changes finished" in COLOUR.sub("", text), "the tree was there"
        assert "\x1b[?25h" in text, "the cursor is shown again"
