"""Answers of nodes, and states, with any value in any place: a problem at most; no bug, no control character, no secret."""

from __future__ import annotations

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.projects import SEED, Emulated, Result, project, vm

PASSWORD = "canary-of-a-login"
VALUES: list[Any] = [
    None, True, -1, 2**64, 1.5, float("inf"), "", "\0", "\x1b]0;title\x07\x1b[2J", "\u202eabc", "\n\nerror: x", "a" * 5000,
    "9" * 5000, "{{ 7 * 7 }}", "../../etc/passwd", 'a"b', "a/b", "-oProxyCommand=x", "\ud800", [], {}, [{}], [[]], {"": ""},
    "7.81G", "512M", "1K", "99999999999999999999P",
]  # fmt: skip
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")
COMMANDS = [
    ("plan",), ("plan", "--json"), ("drift",), ("vm", "list"), ("vm", "show", "trainer"), ("output",), ("output", "--ssh-config"),
    ("orphans",), ("node", "list"), ("node", "show", "gpu-a"), ("image", "list"), ("disk", "list", "trainer"),
    ("snapshot", "list", "trainer"), ("network", "list"), ("state", "list"), ("show",), ("state", "pull"),
    ("apply", "--yes"), ("destroy", "--yes"),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def changed(value: Any, chance: random.Random) -> Any:
    """A copy with another value in one place, or without it."""
    whole = [copy.deepcopy(value)]
    *way, last = (0, *chance.choice(places(value)))
    at: Any = whole
    for key in way:
        at = at[key]
    if way and chance.random() < 0.2:
        del at[last]
    else:
        at[last] = copy.deepcopy(chance.choice(VALUES))
    return whole[0]


class Hostile(httpx.AsyncBaseTransport):
    """A node whose answers are changed on the way."""

    def __init__(self, node: httpx.AsyncBaseTransport, chance: random.Random) -> None:
        self._node, self._chance = node, chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = json.loads(await (await self._node.handle_async_request(request)).aread())
        sent = changed(answer, self._chance) if self._chance.random() < 0.5 else answer
        return httpx.Response(200, headers={"Content-Type": "application/json"}, content=json.dumps(sent).encode())


def check(result: Result, what: object) -> None:
    shown = result.out + result.err
    assert result.code != 70, (what, shown)
    assert not CONTROL.search(shown), (what, shown)
    assert SEED not in shown, what
    assert PASSWORD not in shown, what


def applied(directory: Path) -> Emulated:
    documents = vm(login={"username": "ubuntu", "password": {"env": "PASSWORD"}}), vm("second", power="off")
    emulated = Emulated(project(directory, *documents, environ={"PASSWORD": PASSWORD}))
    assert emulated.run("apply", "--yes").code == 0
    return emulated


@pytest.mark.parametrize("seed", range(6))
def test_an_answer_with_any_value_is_a_problem_at_most(tmp_path: Path, seed: int) -> None:
    chance, emulated = random.Random(seed), applied(tmp_path)
    network = emulated.network.transport
    for command in chance.sample(COMMANDS, 12):
        result = emulated.project.run(
            *command, transport=lambda name: Hostile(network(name), chance), run=emulated.loop.run_until_complete
        )
        check(result, (seed, command))
    emulated.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_state_with_any_value_is_a_problem_at_most(tmp_path: Path, seed: int) -> None:
    chance, emulated = random.Random(seed), applied(tmp_path)
    file = tmp_path / "state/main.json"
    whole = json.loads(file.read_text())
    for command in chance.sample(COMMANDS, 12):
        file.write_text(json.dumps(changed(whole, chance)))
        (tmp_path / "state/main.journal.jsonl").unlink(missing_ok=True)
        check(emulated.run(*command), (seed, command, file.read_text()))
    emulated.close()
