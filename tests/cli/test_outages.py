"""Targets that cannot be reached during an apply: progress names them with their URL, and when the apply gives up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli.trials import Action, act
from tests.projects import NODE_ID, Emulated, project, vm

SLOW = {"id": NODE_ID, "guest": {"bootSeconds": 3000}}


def applied(emulated: Emulated, *strikes: Action, after: float, options: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The events of an apply during which something happens."""

    async def strike() -> None:
        await asyncio.sleep(after)
        for action in strikes:
            await act(emulated, action)

    emulated.network.keep(emulated.loop.create_task(strike()))
    emulated.run("apply", "--yes", *options, "--events", str(emulated.project.directory / "events.jsonl"))
    text = (emulated.project.directory / "events.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def unread(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events that report a target without an answer."""
    return [e for e in events if "cannot be read, " in e.get("detail", {}).get("status", "")]


def test_a_client_node_that_cannot_be_reached_is_named_within_a_minute(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm()), {"gpuNodes": [SLOW], "restartSeconds": 5000})
    events = applied(emulated, ("/client", {"name": "default", "do": "die"}), after=30)
    told = unread(events)
    assert "client node default (http://127.0.0.1:5050) " in told[0]["detail"]["status"]
    assert 30 <= told[0]["at"] <= 90
    assert told[0]["detail"]["status"].startswith("cannot be read, timeout in 600 s: ")
    left = [int(e["detail"]["status"].split(" ")[5]) for e in told]
    assert left == sorted(left, reverse=True) and left[-1] < 120
    assert len(told) <= 12, "about one a minute"
    emulated.close()


@pytest.mark.parametrize(("options", "limit", "end"), [((), 600, 800), (("--wait-timeout", "200"), 200, 370)])
def test_a_node_that_dies_in_a_power_off_window_is_waited_for_once(
    tmp_path: Path, options: tuple[str, ...], limit: int, end: int
) -> None:
    """The start after the window, and the one at the end of the apply, do not wait as long again."""
    emulated = Emulated(project(tmp_path, vm()), {"restartSeconds": 0})
    assert emulated.run("apply", "--yes").code == 0
    project(tmp_path, vm(memory="16Gi"), environ=emulated.project.environ)
    events = applied(emulated, ("/node", {"id": NODE_ID, "do": "die"}), after=3, options=options)
    left = [int(e["detail"]["status"].split(" ")[5]) for e in unread(events)]
    assert limit - 40 <= left[0] <= limit and max(left[left.index(60) :]) == 60
    assert events[-1]["at"] < end
    assert {e["text"] for e in unread(events)} == {"powering off", "starting"}
    emulated.close()
