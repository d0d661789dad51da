"""Reads are cached, and a failed one is sent once more unless it occupies its node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from dbc_iac.api.channel import Channel
from dbc_iac.api.outcome import Unknown
from dbc_iac.kinds.framework import cached_reader
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.route import Route
from tests.kinds.shown import ROUTE, VM, RecordingChannel

Ask = Callable[[CachedReader], Awaitable[object]]


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached_reader, "_PAUSE", 0)


def asked(answer: object, *reads: Ask, repeats: bool = True) -> tuple[list[object], list[str]]:
    """The answers of one reader, and the paths of the calls that it sent."""
    channel = RecordingChannel(answer)

    async def connect(route: Route) -> Channel:
        return cast(Channel, channel)

    async def course() -> list[object]:
        reader = CachedReader(connect, repeats=repeats)
        found = [await read(reader) for read in reads]
        assert reader.calls == len(channel.calls)
        return found

    return asyncio.run(course()), [path for path, _ in channel.calls]


def vms(reader: CachedReader) -> Awaitable[Any]:
    return reader.vms(ROUTE)


def snapshots(reader: CachedReader) -> Awaitable[Any]:
    return reader.snapshots(ROUTE, VM)


def test_a_second_read_is_answered_from_the_cache_until_it_is_forgotten() -> None:
    async def forgotten(reader: CachedReader) -> None:
        reader.forget(target=ROUTE.target)

    answers, paths = asked([], vms, vms, forgotten, vms)
    assert answers == [Known({}), Known({}), None, Known({})]
    assert len(paths) == 2


def test_a_failed_read_is_sent_twice_and_the_next_one_of_its_target_once() -> None:
    answers, paths = asked(Unknown("no answer"), vms, snapshots)
    assert answers == [Unreadable("no answer")] * 2
    assert [path.split("/")[1] for path in paths] == ["tasks", "tasks", "snapshot"]


def test_a_failed_read_is_sent_once_by_a_reader_that_looks_again_anyway() -> None:
    assert len(asked(Unknown("no answer"), vms, repeats=False)[1]) == 1


@pytest.mark.parametrize(
    "read", [lambda r: r.image_server(ROUTE, "ID_1"), lambda r: r.node_images(ROUTE, "ID_1")], ids=["server", "node"]
)
def test_a_failed_list_of_images_is_sent_once_because_it_occupies_the_node(read: Ask) -> None:
    answers, paths = asked(Unknown("no answer"), read)
    assert (answers, paths) == ([Unreadable("no answer")], ["/images"])
