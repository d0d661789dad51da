"""The comparison: equality and volatile values. No recordings needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator.http.answer import Response
from dbc_iac.emulator.http.node import HttpNode
from tests.conformance.bindings import Bindings
from tests.conformance.compare import differences, value_at
from tests.conformance.excuses import excuse_for, holds
from tests.conformance.recording import Event, Exchange, groups, read_recording
from tests.conformance.replay import Replay, replayed

TASK, OTHER_TASK = "7a7F4y4wjLSDUtK7nKQNNG", "7bbbby4wjLSDUtK7nKQNNG"


def exchange(body: Any, **more: Any) -> Exchange:
    text = body if isinstance(body, str) else json.dumps(body)
    line = {
        "i": 1,
        "name": "made up",
        "node": "client",
        "request": {"method": "POST", "path": "/api/v1/x", "headers": {}, "body": "{}"},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": text},
        **more,
    }
    return Exchange(line["i"], line["name"], line["node"], line)


def found(recorded: Any, replayed: Any, *volatile: str, **more: Any) -> list[str]:
    """Paths of the differences."""
    text = replayed if isinstance(replayed, str) else json.dumps(replayed)
    line = exchange(recorded, volatile=list(volatile), **more)
    return [path for path, _, _ in differences(line, Response(200, text), Bindings())]


@pytest.mark.parametrize(
    ("recorded", "replayed", "where"),
    [
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": "1"}, ["a"]),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": 1}, {}, ["a"]),
        ({}, {"a": None}, ["a"]),
        ({"a": [1, 2]}, {"a": [2, 1]}, ["a[0]", "a[1]"]),
        ({"a": [1]}, {"a": [1, 2]}, ["a"]),
        ('{"a":"b"c"}', '{"a":"b"c"}', []),
        ('{"a":"b"c"}', '{"a":"b\\"c"}', [""]),
        ('{"a":"b"}', '{"a":"b', [""]),
        ('{"a":NaN}', '{"a":NaN}', []),
        ('{"a":NaN}', '{"a":null}', [""]),
    ],
)
def test_bodies_are_compared_as_data_and_broken_ones_as_text(recorded: Any, replayed: Any, where: list[str]) -> None:
    assert found(recorded, replayed) == where


@pytest.mark.parametrize(
    ("recorded", "replayed", "good"),
    [
        (TASK, OTHER_TASK, True),
        (TASK, "short", False),
        ("ab" * 32, "cd" * 32, True),
        ("ab" * 32, "CD" * 32, False),
        ("2024-01-02 03:04:05", "2025-01-02 03:04:05", True),
        ("2024-01-02 03:04:05", "2025-01-02T03:04:05", False),
        ("52:54:00:aa:bb:cc", "52:54:00:00:00:01", True),
        ("52:54:00:aa:bb:cc", "52:54:01:00:00:01", False),
        ("12%", "99.5%", True),
        ("12%", "done", False),
        ("20.5G", "20G", True),
        ("20.5G", "20 GB", False),
        ("/data/vm_12_20240102030405.qcow2", "/data/vm_34567_20250102030405.qcow2", True),
        ("/data/vm_12_20240102030405.qcow2", "/tmp/vm_34567_20250102030405.qcow2", False),
        ("/data/vm_12_20240102030405.qcow2", "/data/data_34567_20250102030405.qcow2", False),
        (12, 13, True),
        (12, "12", False),
    ],
)
def test_a_volatile_value_keeps_its_shape(recorded: Any, replayed: Any, good: bool) -> None:
    assert found({"v": recorded}, {"v": replayed}, "v") == ([] if good else ["v"])


@pytest.mark.parametrize(
    ("recorded", "replayed", "where"),
    [
        ([TASK, TASK], [OTHER_TASK, OTHER_TASK], []),
        ([TASK, TASK], [OTHER_TASK, TASK], ["v[1]"]),
        ([TASK, OTHER_TASK], [OTHER_TASK, OTHER_TASK], ["v[1]"]),
        (["/data/vm_1_2.qcow2", "vm_1_2.qcow2"], ["/data/vm_3_4.qcow2", "vm_3_4.qcow2"], []),
        (["/data/vm_1_2.qcow2", "vm_1_2.qcow2"], ["/data/vm_3_4.qcow2", "vm_5_6.qcow2"], ["v[1]"]),
        (["100%", "100%"], ["0%", "100%"], []),
    ],
)
def test_names_are_bound_one_to_one(recorded: Any, replayed: Any, where: list[str]) -> None:
    assert found({"v": recorded}, {"v": replayed}, "v[*]") == where


def test_dates_are_bound_to_their_objects() -> None:
    def two(task: str, *dates: str) -> list[dict[str, str]]:
        return [{"task_id": task, "create_time": f"2024-01-01 00:00:0{date}"} for date in dates]

    recorded = [*two(TASK, "1", "1"), *two(OTHER_TASK, "1")]
    volatile = ("v[*].create_time",)
    assert found({"v": recorded}, {"v": [*two(TASK, "5", "5"), *two(OTHER_TASK, "6")]}, *volatile) == []
    changed = {"v": [*two(TASK, "5", "6"), *two(OTHER_TASK, "6")]}
    assert found({"v": recorded}, changed, *volatile) == ["v[1].create_time"]


def test_bound_names_are_replaced_as_whole_words_once() -> None:
    bindings = Bindings()
    assert bindings.bind(TASK, OTHER_TASK, "task_id", {}) == ""
    assert bindings.bind(OTHER_TASK, "3" * 22, "task_id", {}) == ""
    assert bindings.renamed(f"/tasks/{TASK}?{OTHER_TASK}") == f"/tasks/{OTHER_TASK}?{'3' * 22}"
    assert bindings.renamed(f"x{TASK}") == f"x{TASK}"


@pytest.mark.parametrize(
    ("line", "answer", "where"),
    [
        ({}, None, "answer"),
        ({}, Response(400, "{}"), "status"),
        ({}, Response(200, "{}", "text/html"), "content type"),
        ({}, Response(200, "{}", close=True), "connection closes"),
        ({"not_json": True}, Response(200, "{}"), "text"),
        ({"response": {"status": None, "headers": {}, "error": "closed"}}, Response(200, "{}"), "answer"),
    ],
)
def test_the_response_head_is_compared(line: dict[str, Any], answer: Response | None, where: str) -> None:
    assert [path for path, _, _ in differences(exchange("{}", **line), answer, Bindings())] == [where]


def test_volatile_parts_of_other_texts_are_bound() -> None:
    recorded = '{"id":"abc","desc":"say "hello""}'
    line = {"not_json": True, "volatile_text": ["abc"]}
    assert found(recorded, '{"id":"xyz","desc":"say "hello""}', **line) == []
    assert found(recorded, '{"id":"xyz","desc":"say "bye""}', **line) == ["text"]


def test_a_list_in_any_order_is_matched_by_its_key() -> None:
    recorded = {"m": [{"uuid": "a", "n": 1}, {"uuid": "b", "n": 2}]}
    turned = {"m": [{"uuid": "b", "n": 2}, {"uuid": "a", "n": 1}]}
    assert found(recorded, turned, any_order={"m": "uuid"}) == []
    assert found(recorded, {"m": [{"n": 1}, {"uuid": "b", "n": 2}]}, any_order={"m": "uuid"}) != []


@pytest.mark.parametrize(
    ("mark", "answer", "good"),
    [
        ("no", None, True),
        ("status and errcode only", Response(200, '{"errcode":0,"message":"other"}'), True),
        ("status and errcode only", Response(200, '{"errcode":1,"message":"ok"}'), False),
        ("status and errcode only", Response(500, '{"errcode":0,"message":"ok"}'), False),
        ("errcode and message only", Response(500, '{"errcode":0,"message":"ok"}'), True),
        ("errcode and message only", Response(200, '{"errcode":0,"message":"other"}'), False),
    ],
)
def test_a_mark_of_the_recording_excuses_a_difference(mark: str, answer: Response | None, good: bool) -> None:
    line = exchange({"errcode": 0, "message": "ok"}, compare=mark)
    excuse = excuse_for("a recording that nobody has", line)
    assert excuse is not None
    assert holds(excuse, line, answer) is good


def test_paths_may_contain_indexes() -> None:
    assert value_at({"message": [{"status": "none"}]}, "message[0].status") == "none"
    assert value_at({"message": []}, "message[0].status") is None


WORLD: dict[str, Any] = {
    "event": "world",
    "replay_notes": "three requests were sent at the same time",
    "recorded": "2024-01-01 00:00:00",
    "nodes": {
        name: {"node_id": number * 64, "state": "running", "name": name, "seed": "4" * 64}
        for name, number in (("client", "1"), ("gpu", "2"), ("bare_metal", "3"))
    },
    "hardware": {
        "gpu": {
            "mem": {"size": "16G", "free": "about 12G"},
            "cpu": {"cores": "4", "physical_cpus": "1", "type": "x", "hz": ""},
            "disk_data": [{"path": "/data", "type": "SSD", "size": "1000G"}],
            "gpu_pci": [],
            "os": "x",
        }
    },
    "wallets": {},
    "images": {},
    "bmcs": [],
    "bare_metal_servers": [],
    "chain": {},
}


def lines(*more: dict[str, Any]) -> str:
    return "\n".join(json.dumps(line) for line in (WORLD, *more)) + "\n"


def version(number: int, **more: Any) -> dict[str, Any]:
    body = '{"errcode": 0, "message": {"client_version": "0.4.1.8"}}'
    return {
        "i": number,
        "name": "version",
        "node": "client",
        "request": {"method": "POST", "path": "/api/v1/", "headers": {}, "body": ""},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": body},
        **more,
    }


def test_concurrent_requests_are_replayed_together(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    slow = {"elapsed_ms": 30_001}
    file.write_text(lines(version(1), version(2, **slow), version(3, **slow), {"event": "wait"}, version(4, **slow)))
    grouped = [
        [one.number if isinstance(one, Exchange) else one.kind for one in g] for g in groups(read_recording(file))
    ]
    assert grouped == [[1], [2, 3], ["wait"], [4]]


def test_an_error_of_the_emulator_is_a_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: HttpNode, *given: Any) -> Response:
        raise RuntimeError("a mistake")

    file = tmp_path / "a.jsonl"
    file.write_text(lines(version(1), {"event": "node", "node": "client", "state": "died"}, version(2)))
    outcome = Replay(file).run()
    assert (outcome.matched, list(outcome.differing)) == (1, [2])
    monkeypatch.setattr(HttpNode, "handle", fails)
    [[first], [second]] = Replay(file).run().differing.values()
    assert "a mistake" in str(first)
    assert "a mistake" in str(second)


def test_an_event_that_cannot_be_replayed_is_reported(tmp_path: Path) -> None:
    file, broken = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    file.write_text(lines({"event": "flood"}, version(1)))
    assert isinstance(read_recording(file).lines[0], Event)
    outcome = replayed(file)
    assert (outcome.matched, len(outcome.unreplayed)) == (1, 1)
    assert "no such event: flood" in outcome.unreplayed[0]
    broken.write_text("{}\n")
    assert replayed(broken).unreplayed[0].startswith("the world: ")
