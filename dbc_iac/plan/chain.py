"""The chain as a clock: its newest block dates the ends of rentals."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from msgspec import Struct

from dbc_iac.api.chain import ChainNode
from dbc_iac.api.http import ExchangeError
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity, SourceRange


class ChainClock(Struct, frozen=True):
    """The chain as a clock. `source`: place of its URL in the project file."""

    node: ChainNode
    block_seconds: int
    now: Callable[[], datetime]
    source: SourceRange | None = None

    async def head(self) -> ChainHead | Diagnostic:
        """The newest block, or a warning that it could not be read."""
        try:
            return ChainHead(await self.node.newest_block(), self.now().astimezone(UTC), self.block_seconds)
        except ExchangeError as error:
            return Diagnostic(
                "chain-unavailable",
                Severity.WARNING,
                "the current block of the chain is unknown",
                f"The chain node {self.node.url} {error}. Rentals are shown with their last block.",
                "Correct `chain.url` in the project file, or plan again later.",
                self.source,
                exit_code=ExitCode.OK,
            )


class ChainHead(Struct, frozen=True):
    """The newest block, at a time."""

    block: int
    at: datetime
    block_seconds: int

    def seconds_until(self, block: int) -> int:
        return (block - self.block) * self.block_seconds
