"""The demo of the controller, as `make fleet-demo` runs it: its story, and nothing that remains."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools.fleet_demo.__main__ import main

ROOT = Path(__file__).parents[2]
QUICK = "import dbc_iac.controller.running as r; r.LEASE = 10.0; from dbc_iac.__main__ import main; main()"


def gone(printed: str) -> bool:
    """Whether no server of a demo answers any more, and its directory is removed."""
    [directory] = re.findall(r"^\$ cd (\S+)$", printed, re.MULTILINE)
    ports = {urlsplit(url).port for url in re.findall(r"(?:postgresql|http)://127.0.0.1:[0-9]+", printed)}
    ports |= {int(port) for port in re.findall(r"(?:listen|admin) 127.0.0.1:([0-9]+)", printed)}
    for port in filter(None, ports):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return False
    return len(ports) >= 5 and not Path(directory).exists()


def test_a_worker_is_killed_and_another_takes_over(capsys: pytest.CaptureFixture[str]) -> None:
    code = main((sys.executable, "-c", QUICK))
    printed = capsys.readouterr()
    assert (code, printed.err) == (0, "")
    for expected in (
        "The Fleet file is valid: 5 stacks.",
        r"\nlab-net +approval .* Digest: [0-9a-f]{64}\n",
        r"\nlegacy +out-of-sync +observe .* Plan: 1 to create.\n",
        r"\$ kill -KILL [0-9]+\n",
        r"\| A plan waits for approval\n",
        r"\| Approve this plan\n",
        r"lab-net: plan [0-9a-f]{12} approved by ",
        r"VirtualMachine/inference setting firewall to \[\]\n",
        r" lost .* is gone\n",
        r"\ntrainer +synced .*\n",
        r"Demo complete. No process and no file remains.\n",
    ):
        assert re.search(expected, printed.out), (expected, printed.out)
    assert gone(printed.out)


def test_ctrl_c_ends_everything() -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "tools.fleet_demo"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    printed = ""
    while "data/two" not in printed:
        line = running.stdout.readline()
        assert line, printed
        printed += line
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (130, "error: Interrupted.\n")
    assert gone(printed + out)
