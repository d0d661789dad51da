"""Hooks of `beforeOffline` on a real event loop: a virtual one waits for nothing in a thread."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from dbc_iac.apply import hook as hooks
from dbc_iac.apply.hook import Hook, keeps_on
from dbc_iac.apply.waiting import Stop

ENDS = "trap 'echo ended >> log; exit 0' TERM"
IGNORES = "trap 'echo ignored >> log' TERM"


@pytest.mark.parametrize(("trap", "wrote"), [(ENDS, "ended\n"), (IGNORES, "ignored\n")], ids=["ends", "ignores it"])
def test_a_signal_ends_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str, wrote: str) -> None:
    monkeypatch.setattr(hooks, "GRACE", 5.0 if trap == ENDS else 0.2)
    os.mkfifo(tmp_path / "ready")
    command = ("sh", "-c", f"{trap}; echo $$ > ready; while :; do sleep 60 & wait; done")
    hook = Hook(command, 60.0, False, tmp_path, {"PATH": os.environ["PATH"]})

    async def interrupted() -> tuple[str, int]:
        stop, notes = Stop(), list[str]()
        running = asyncio.ensure_future(keeps_on(hook, notes.append, stop))
        process = int(await asyncio.to_thread((tmp_path / "ready").read_text))
        stop.set()
        assert notes == []
        return await running, process

    why, process = asyncio.run(interrupted())  # waits for the thread that ends the hook
    assert why == ""  # the apply is interrupted: nothing is powered off
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    assert (tmp_path / "log").read_text() == wrote
