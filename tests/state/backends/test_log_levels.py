"""A journal in levels: the cost of an addition, and what a reader finds after any of its writes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

import pytest

from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.log_levels import DEPTH, LogLevels, Numbered
from tests.state.places import Clock
from tests.state.servers import terraform_http


class Documents:
    """The document of each level, as a server keeps it."""

    def __init__(self) -> None:
        self.levels: list[Sequence[Numbered]] = [[] for _ in range(DEPTH)]
        self.written = 0

    def write(self, level: int, lines: Sequence[Numbered]) -> None:
        self.levels[level] = lines
        self.written += len(lines)


def added(numbers: range, kept: Documents) -> LogLevels:
    journal = LogLevels()
    for number in numbers:
        level = journal.add([f"{number} a", f"{number} b"])
        kept.write(level, sorted(journal.levels[level].items()))
        expected = [f"{n} {part}" for n in range(number + 1) for part in "ab"]
        if number % 7 == 0:
            assert LogLevels.read(kept.levels).lines == expected  # as a run finds it after a crash
    return journal


def test_every_write_leaves_a_whole_journal() -> None:
    added(range(700), Documents())


@pytest.mark.parametrize("cleared", range(1, DEPTH + 1))
def test_what_a_partial_clearing_leaves_is_the_beginning(cleared: int) -> None:
    kept = Documents()
    lines = added(range(100), kept).lines
    for level in range(cleared):
        kept.write(level, [])
    left = LogLevels.read(kept.levels).lines
    assert left == lines[: len(left)]


def test_the_written_lines_grow_with_n_log_n() -> None:
    small, large = Documents(), Documents()
    added(range(200), small)
    added(range(1_600), large)
    assert large.written < 8 * small.written * 1.5


def test_an_http_server_gets_two_requests_for_each_group_of_lines() -> None:
    with terraform_http.served() as (address, documents):
        backend = HttpBackend(HttpDocuments(address, "main"), Clock(), lambda: uuid.uuid4().hex)
        with backend.lock({}):
            backend.lines()
            before = documents.requests
            for number in range(100):
                backend.append(b"result", sync=False)
                backend.append(f"intent {number}".encode(), sync=True)
            assert documents.requests - before == 2 * 100
            assert len(backend.lines()) == 200
