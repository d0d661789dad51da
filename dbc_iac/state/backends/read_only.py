"""A copy of a state as a read-only backend: for planning without access to the backend itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import NoReturn

from dbc_iac.json import Json
from dbc_iac.state.backends.backend import Stored, unreachable
from dbc_iac.state.journal import StateBackup


class ReadOnlyBackend:
    """A copy in place of its backend. Writes raise OSError."""

    lease = None

    def __init__(self, copy: StateBackup, place: str) -> None:
        self._copy = copy
        self.place = self.journal_place = self.whole_place = place

    def read(self) -> Stored:
        return Stored(self._copy.state.model_dump_json(by_alias=True).encode(), "")

    def write(self, content: bytes, serial: int, expected: str | None) -> NoReturn:
        self._refuse()

    def stacks(self) -> None:
        """None: a copy does not list stacks."""

    def kept(self) -> list[int]:
        return []

    def version_place(self, serial: int) -> str:
        return f"serial {serial}"

    def lines(self) -> list[bytes]:
        return [json.dumps(record).encode() for record in self._copy.records]

    def append(self, line: bytes, *, sync: bool) -> None:
        self._refuse()

    def clear(self) -> None:
        self._refuse()

    def lock(self, holder: Mapping[str, Json]) -> AbstractContextManager[None]:
        self._refuse()

    def holder(self) -> None:
        """None: a copy is never locked."""

    def break_lock(self) -> None:
        """Nothing to do."""

    def renew(self) -> None:
        """Nothing to do."""

    def _refuse(self) -> NoReturn:
        raise unreachable("it is a read-only copy")
