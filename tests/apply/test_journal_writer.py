"""Records of branches that are ready at the same moment are written as one group."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from dbc_iac.apply import JournalWriter
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.files.writing import write_all
from dbc_iac.state import Journal, PendingOperation
from dbc_iac.state.backends import local
from dbc_iac.state.journal import Record
from tests.state import records


class Syncs:
    """Syncs of files, which are counted; the disk may be full."""

    def __init__(self) -> None:
        self.count = 0
        self.full = False

    def sync(self, descriptor: int) -> None:
        self.count += 1
        if self.full:
            raise OSError(28, "No space left on device")


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> Syncs:
    counted = Syncs()
    monkeypatch.setattr(os, "fsync", counted.sync)
    return counted


class Groups(Journal):
    """A journal that notes the size of each group."""

    sizes: tuple[int, ...] = ()

    def append(self, records: Sequence[Record]) -> None:
        super().append(records)
        self.sizes += (len(records),)


def intent(number: int) -> Record:
    return records.intent(
        PendingOperation(
            number=number,
            address=f"Disk/{number}",
            goal="disk-exists",
            id=f"id{number}",
            generation=1,
            call_class="blind",
        )
    )


def journal(directory: Path) -> Groups:
    made = Groups(local.LocalBackend(directory, "main"))
    made.begin(serial=0, plan="", owner={})
    return made


def test_records_of_branches_that_are_ready_at_the_same_moment_are_one_group(tmp_path: Path) -> None:
    kept = journal(tmp_path)
    writer = JournalWriter(kept, {}, {}, 0)

    async def go() -> None:
        await asyncio.gather(*(writer.lost(number, "why") for number in range(5)))
        await writer.lost(5, "why")

    asyncio.run(go())
    writer.close()
    assert kept.sizes == (1, 5, 1)
    assert [r["number"] for r in kept.read()[1:]] == [0, 1, 2, 3, 4, 5]


def test_a_group_of_intents_is_synced_once_and_is_on_disk_at_its_end(tmp_path: Path, syncs: Syncs) -> None:
    kept = journal(tmp_path)
    before = syncs.count
    kept.append([intent(number) for number in range(5)])
    assert syncs.count == before + 1
    assert [r["operation"]["number"] for r in kept.read()[1:]] == [0, 1, 2, 3, 4]


def test_no_call_of_a_group_is_made_if_it_cannot_be_written(tmp_path: Path, syncs: Syncs) -> None:
    kept = journal(tmp_path)
    syncs.full = True
    with pytest.raises(DiagnosticError, match="No space left"):
        kept.append([intent(1), intent(2)])
    writer = JournalWriter(kept, {}, {}, 0)

    async def go() -> None:
        await asyncio.gather(writer.lost(1, "why"), writer.lost(2, "why"))

    asyncio.run(go())
    writer.close()
    assert [r["type"] for r in kept.records] == ["begin", "intent", "intent", "result", "result"]
    assert "result" not in (tmp_path / "main.journal.jsonl").read_text()


def test_the_next_apply_of_the_same_process_is_written_after_a_failure(tmp_path: Path, syncs: Syncs) -> None:
    kept = journal(tmp_path)
    syncs.full = True
    with pytest.raises(DiagnosticError, match="No space left"):
        kept.append([intent(1)])
    syncs.full = False
    kept.begin(serial=0, plan="", owner={})
    kept.append([intent(2)])
    assert kept.read()[-2:] == kept.records
    assert [r["type"] for r in kept.records] == ["begin", "intent"]


def test_an_unexpected_error_fails_its_group_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = journal(tmp_path)
    writer = JournalWriter(kept, {}, {}, 0)
    queued = threading.Event()

    def broken(descriptor: int, content: bytes) -> None:
        if b'"number":1,' in content:
            queued.wait()
            raise ValueError("broken")
        write_all(descriptor, content)

    monkeypatch.setattr(local, "write_all", broken)

    async def go() -> None:
        first = asyncio.ensure_future(writer.lost(1, "why"))
        for _ in range(2):  # until its group is being written
            await asyncio.sleep(0)
        second = asyncio.ensure_future(writer.lost(2, "why"))
        await asyncio.sleep(0)
        queued.set()
        with pytest.raises(ValueError, match="broken"):
            await first
        await second

    asyncio.run(go())
    writer.close()
    assert [r["number"] for r in kept.read()[1:]] == [2]
