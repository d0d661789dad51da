"""The mirrors of the sources of a fleet on this machine."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from msgspec import Struct, field

from dbc_iac.controller.fleet import Fleet, SourceSpec, byte_count
from dbc_iac.controller.git import FetchLimits, Repository
from dbc_iac.files.reading import real_path
from dbc_iac.manifest.secrets import SecretResolver


class Mirrors(Struct):
    """Repositories by source; `directory` has one mirror for each."""

    fleet: Fleet
    directory: Path
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def repository(self, name: str, source: SourceSpec) -> Repository:
        """The mirror of a source, with its credentials, which are read now. Raises DiagnosticError."""
        limits, base = self.fleet.spec.limits, self.fleet.directory
        credentials = None
        if source.credentials is not None:
            resolver = SecretResolver(os.environ, base)
            credentials = await asyncio.to_thread(resolver.resolve, source.credentials)
        return Repository(
            source,
            self.directory / f"{name}.git",
            FetchLimits(byte_count(limits.checkout), limits.fetch),
            credentials,
            None if source.signers is None else real_path(base / source.signers),
            self._turns.setdefault(name, asyncio.Lock()),
        )
