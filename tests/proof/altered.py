"""Alterations of a plan file with a fresh digest, and the calls that its apply makes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from dbc_iac.plan.model import canonical_digest
from tests.projects import Result
from tests.proof.ends import MUTATING
from tests.proof.lab import apply_command, lab, write

Place = tuple[Any, ...]
WRONG: tuple[Any, ...] = (None, 7, "x", [], {}, ["x"], True)


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every place below a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*place, key)
        yield from places(item, (*place, key))


def alterable(plan: dict[str, Any]) -> list[Place]:
    """The places of a plan that say or decide what its apply does."""
    said = ("changes", "steps", "hooks", "moves", "closedOperations", "options", "diagnostics")
    return [place for place in places(plan) if place[0] in said]


def altered(plan: dict[str, Any], place: Place, value: Any = ...) -> dict[str, Any]:
    """The plan with another value at a place, or without it. A field is altered where it is shown, too."""
    result = copy.deepcopy(plan)
    _put(result, place, value)
    if len(place) == 4 and place[0] == "changes" and place[2] == "desired":
        change = result["changes"][place[1]]
        shown = [field for field in change["fields"] if field["path"] == place[3]]
        for field in shown:
            if value is ...:
                change["fields"].remove(field)
            else:
                field["after"] = value
    return with_digest(result)


def with_digest(plan: dict[str, Any]) -> dict[str, Any]:
    plan["digest"] = canonical_digest({k: v for k, v in plan.items() if k not in {"diagnostics", "digest"}})
    return plan


def _put(value: Any, place: Place, new: Any) -> None:
    for key in place[:-1]:
        value = value[key]
    if new is ...:
        del value[place[-1]]
    else:
        value[place[-1]] = new


class Trials:
    """Plan files that lead from one stage of the lab to the next, altered and applied. `plan` is the unaltered one.

    `calls` are those of its apply; `shown` is its text.
    """

    def __init__(self, directory: Path, before: str, after: str) -> None:
        self._directory, self._stages, self._number = directory, (before, after), 0
        self.file = directory / "the.plan"
        self._calls: list[str] = []
        self._begin()
        self.shown = self.show(self.plan)
        applied, self.calls = self.apply(self.plan)
        assert applied.code == 0, applied.err

    def _begin(self) -> None:
        """Begin a new world at the first stage, and plan."""
        self._number += 1
        directory = self._directory / str(self._number)
        directory.mkdir()
        self._emulated = lab(directory, self._stages[0])
        if self._stages[0] != "nothing":
            assert self._emulated.run(*apply_command(self._emulated)).code == 0
        write(self._emulated, self._stages[1])
        options = [o for o in apply_command(self._emulated)[2:] if o != "--allow-data-loss"]
        made = self._emulated.run("plan", "-o", str(self.file), *options)
        assert made.code == 0, made.err
        self.plan: dict[str, Any] = json.loads(self.file.read_text())

    def close(self) -> None:
        self._emulated.close()

    def show(self, plan: dict[str, Any]) -> str | None:
        """The text of `show`; None if it refuses the file."""
        self.file.write_text(json.dumps(plan))
        result = self._emulated.run("show", "--full", str(self.file))
        return result.out if result.code == 0 else None

    def apply(self, plan: dict[str, Any]) -> tuple[Result, list[str]]:
        """Apply a plan file: the result, and the calls that change something, in the order of their texts."""
        self.file.write_text(json.dumps(plan))
        self._calls = []
        run = self._emulated.loop.run_until_complete
        result = self._emulated.project.run("apply", str(self.file), "--json", transport=self._transport, run=run)
        calls = sorted(self._calls)
        if calls or result.code not in {3, 5}:
            self.close()
            self._begin()
        return result, calls

    def _transport(self, name: str) -> httpx.AsyncBaseTransport:
        return _Recording(self._emulated.network.transport(name), self._calls)


class _Recording(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, calls: list[str]) -> None:
        self._inner, self._calls = inner, calls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if MUTATING.match(request.url.path):
            body = json.loads(request.content)
            sent = {key: body.get(key) for key in ("peer_nodes_list", "additional", "rent_order")}
            if sent["additional"] != {"command": "status"}:
                self._calls.append(f"{request.url.path} {json.dumps(sent, sort_keys=True)}")
        return await self._inner.handle_async_request(request)
