"""Records of branches that are ready at the same moment are written as one group."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from dbc_iac.apply import JournalWriter
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state import Journal, PendingOperation
from dbc_iac.state.backends.local import LocalBackend
from dbc_iac.state.files import Files
from dbc_iac.state.journal import Record
from tests.state import records


class Counted(Files):
    """Files that count syncs, and can be full."""

    def __init__(self) -> None:
        self.syncs = 0
        self.full = False

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.full:
            raise OSError(28, "No space left on device")
        super().sync(descriptor)


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


def journal(directory: Path, files: Counted | None = None) -> tuple[Groups, Counted]:
    files = files or Counted()
    made = Groups(LocalBackend(directory, "main", files))
    made.begin(serial=0, plan="", owner={})
    files.syncs = 0
    return made, files


def test_records_of_branches_that_are_ready_at_the_same_moment_are_one_group(tmp_path: Path) -> None:
    kept, _ = journal(tmp_path)
    writer = JournalWriter(kept, {}, {}, 0)

    async def go() -> None:
        await asyncio.gather(*(writer.lost(number, "why") for number in range(5)))
        await writer.lost(5, "why")

    asyncio.run(go())
    writer.close()
    assert kept.sizes == (1, 5, 1)
    assert [r["number"] for r in kept.read()[1:]] == [0, 1, 2, 3, 4, 5]


def test_a_group_of_intents_is_synced_once_and_is_on_disk_at_its_end(tmp_path: Path) -> None:
    kept, files = journal(tmp_path)
    kept.append([intent(number) for number in range(5)])
    assert files.syncs == 1
    assert [r["operation"]["number"] for r in kept.read()[1:]] == [0, 1, 2, 3, 4]


def test_no_call_of_a_group_is_made_if_it_cannot_be_written(tmp_path: Path) -> None:
    kept, files = journal(tmp_path)
    files.full = True
    with pytest.raises(DiagnosticError, match="No space left"):
        kept.append([intent(1), intent(2)])
    writer = JournalWriter(kept, {}, {}, 0)

    async def go() -> None:
        await asyncio.gather(writer.lost(1, "why"), writer.lost(2, "why"))

    asyncio.run(go())
    writer.close()
    assert [r["type"] for r in kept.records] == ["begin", "intent", "intent", "result", "result"]
    assert "result" not in (tmp_path / "main.journal.jsonl").read_text()


class Broken(Counted):
    """Files with a bug: the first record cannot be written."""

    def __init__(self) -> None:
        super().__init__()
        self.queued = threading.Event()

    def write(self, descriptor: int, content: bytes) -> None:
        if b'"number":1,' in content:
            self.queued.wait()
            raise ValueError("broken")
        super().write(descriptor, content)


def test_an_unexpected_error_fails_its_group_only(tmp_path: Path) -> None:
    files = Broken()
    kept, _ = journal(tmp_path, files)
    writer = JournalWriter(kept, {}, {}, 0)

    async def go() -> None:
        first = asyncio.ensure_future(writer.lost(1, "why"))
        for _ in range(2):  # until its group is being written
            await asyncio.sleep(0)
        second = asyncio.ensure_future(writer.lost(2, "why"))
        await asyncio.sleep(0)
        files.queued.set()
        with pytest.raises(ValueError, match="broken"):
            await first
        await second

    asyncio.run(go())
    writer.close()
    assert [r["number"] for r in kept.read()[1:]] == [2]
