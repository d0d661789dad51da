"""Rentals of a project: the chain node that dates their ends, and warnings of those that end soon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from dbc_iac.api.chain import ChainNode
from dbc_iac.diagnostics import Diagnostic, ExitCode, Locator, Severity
from dbc_iac.manifest.project import ChainSpec
from dbc_iac.operations.runtime import Runtime
from dbc_iac.plan.chain import ChainClock
from dbc_iac.plan.model import Rental
from dbc_iac.views.wording import end_text

PORT = "chain"
"""Name of the chain node for `Runtime.transport`."""


def chain_clock(spec: ChainSpec, runtime: Runtime, place: Locator) -> ChainClock:
    """The chain of a project."""
    node = ChainNode(spec.url, runtime.transport(PORT))
    return ChainClock(node, spec.block_time, runtime.now, place(("spec", "chain", "url")))


def ending_rentals(rentals: Iterable[Rental], within: float, now: datetime) -> Iterator[Diagnostic]:
    """A warning for each rental that ends `within` seconds, counted from `now`."""
    for rental in rentals:
        if not rental.ends_at:
            continue
        left = (datetime.fromisoformat(rental.ends_at) - now).total_seconds()
        if left < within:
            yield Diagnostic(
                "rental-ends",
                Severity.WARNING,
                f"the rental of {rental.node} {'ends soon' if left > 0 else 'has ended'}",
                f"Order {rental.order} {end_text(rental)} (block {rental.end_block:,}).",
                "Renew the rental on the chain, or move the resources to another machine before it ends.",
                address=rental.node,
                exit_code=ExitCode.OK,
            )
