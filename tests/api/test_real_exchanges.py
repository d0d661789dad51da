"""Answers of real nodes (0.4.1.8), one for each shape and text that a complete run of every kind met: `real_exchanges.jsonl`.

Secrets are replaced. Every answer is decoded by the endpoint that asks for it.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from dbc_iac.api.endpoints import ALL, Endpoint
from dbc_iac.api.outcome import Done, Outcome, Refused, Unknown, classify
from dbc_iac.api.refusals import RefusalKind

EXCHANGES = [json.loads(line) for line in Path(__file__).with_name("real_exchanges.jsonl").read_text().splitlines()]
UNUSED: Mapping[str, set[str]] = {
    "create_vm": {"create_time", "desc", "status"},
    "list_networks": {"bridge_name", "dhcp_interface", "native_flags", "vxlan_name"},
    "network": {"bridge_name", "dhcp_interface", "native_flags", "vxlan_name"},
    "node_hardware": {"disk_system", "hz", "used_usage"},
    "vm_details": {"disk_system", "type"},
    "vm_logs": {"task_id"},
}
"""By endpoint the keys of its answer that no decoder reads, because nothing is decided by them."""


class Read(dict[str, Any]):
    """A JSON object that notes which of its keys are read."""

    def __init__(self, value: Mapping[str, Any], read: set[str]) -> None:
        super().__init__({k: noted(v, read) for k, v in value.items()})
        self.read = read

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


def noted(value: Any, read: set[str]) -> Any:
    if isinstance(value, dict):
        return Read(value, read)
    return [noted(v, read) for v in value] if isinstance(value, list) else value


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from keys(part)


def asking(path: str) -> list[Endpoint[Any, Any]]:
    """The endpoints of a path: those whose fixed segments are the most."""
    bare = path.partition("?")[0]
    fits = [e for e in ALL if re.fullmatch(re.sub(r"\{\w+\}", "[^/]*", e.path), bare)]
    fewest = min((e.path.count("{") for e in fits), default=0)
    return [e for e in fits if e.name != "obtain_session" and e.path.count("{") == fewest]


def answers(exchange: Mapping[str, Any]) -> Iterator[tuple[Endpoint[Any, Any], Outcome[Any], set[str]]]:
    """The answer as decoded by each endpoint of the path, and the keys that were read."""
    operation = "/".join(exchange["path"].strip("/").partition("?")[0].split("/")[:2])
    outcome = classify(exchange["status"], exchange["contentType"], exchange["body"].encode(), operation)
    for endpoint in asking(exchange["path"]):
        read: set[str] = set()

        async def call(*_: object, read: set[str] = read, **__: object) -> Outcome[Any]:
            return Done(noted(outcome.value, read)) if isinstance(outcome, Done) else outcome

        double = MagicMock(side_effect=call)
        yield endpoint, asyncio.run(answered(endpoint.function(double, *arguments(endpoint, exchange)))), read


async def answered(asking: Awaitable[Outcome[Any]]) -> Outcome[Any]:
    return await asking


def arguments(endpoint: Endpoint[Any, Any], exchange: Mapping[str, Any]) -> Iterator[object]:
    """Arguments that reproduce the answered request of an endpoint, as far as its decoder compares them."""
    path = exchange["path"].partition("?")[0]
    segments = re.fullmatch(re.sub(r"\{\w+\}", "([^/]*)", endpoint.path), path)
    texts = iter(segments.groups() if segments else ())
    message = json.loads(exchange["body"])["message"]
    first: Mapping[str, Any] = (
        next(iter(message.get("bare_metal_nodes", [message])), {}) if isinstance(message, dict) else {}
    )
    for parameter in list(inspect.signature(endpoint.function).parameters.values())[1:]:
        if parameter.default is not inspect.Parameter.empty:
            return
        yield next(texts, "f" * 64) if parameter.annotation == "str" else MagicMock(**first)


def name(exchange: Mapping[str, Any]) -> str:
    return f"{exchange['path'][:40]} {exchange['status']} {exchange['body'][:60]}"


@pytest.mark.parametrize("exchange", EXCHANGES, ids=name)
def test_an_answer_of_a_real_node_is_understood(exchange: Mapping[str, Any]) -> None:
    found = list(answers(exchange))
    assert found, "no endpoint has this path"
    reply = json.loads(exchange["body"])
    outcomes = [o for _, o, _ in found]
    understood = [o for o in outcomes if not isinstance(o, Unknown)]
    if exchange["status"] == 500:  # a time-out: the call may have been carried out
        assert not understood
        return
    assert understood, outcomes
    if reply["errcode"] != 0:  # an absent object may be an answer; no other refusal is a value
        assert not [o for o in understood if isinstance(o, Done) and o.value is not None]
    if reply["errcode"] == 0:
        lost = set(keys(reply["message"])) - set().union(*(read | UNUSED.get(e.name, set()) for e, _, read in found))
        assert not lost, [e.name for e, _, _ in found]


def test_an_empty_image_server_may_be_one_that_cannot_be_reached() -> None:
    [exchange] = [e for e in EXCHANGES if e["path"] == "/images" and json.loads(e["body"])["message"] == []]
    assert {e.name: type(o) for e, o, _ in answers(exchange)} == {
        "list_image_server_files": Unknown,
        "list_node_images": Done,
    }


def test_a_key_that_is_listed_as_unused_is_answered_and_never_read() -> None:
    answered_keys: dict[str, set[str]] = {name: set() for name in UNUSED}
    for exchange in EXCHANGES:
        message = json.loads(exchange["body"])["message"]
        for endpoint, _, read in answers(exchange):
            assert not read & UNUSED.get(endpoint.name, set())
            answered_keys.setdefault(endpoint.name, set()).update(keys(message))
    assert [(n, stale) for n, unused in UNUSED.items() if (stale := unused - answered_keys[n])] == []


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("tasks", "check authority failed: machine has already expired", RefusalKind.AUTHORITY),
        ("tasks", "check authority failed: wallet not rented", RefusalKind.AUTHORITY),
        ("tasks/ID", "task_id not exist", RefusalKind.ABSENT),
        ("tasks/delete", "task not exist", RefusalKind.ABSENT),
        ("lan/reallan1", "network name not exist", RefusalKind.ABSENT),
    ],
)
def test_a_refusal_of_a_real_node_has_its_kind(path: str, text: str, kind: RefusalKind) -> None:
    outcome = classify(200, "application/json", json.dumps({"errcode": -3, "message": text}).encode(), path)
    assert isinstance(outcome, Refused)
    assert outcome.kind is kind
