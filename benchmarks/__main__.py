"""All benchmarks in one table: `make bench`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from benchmarks import backends, calls, growth, processes
from benchmarks.table import HEAD, Row, machine


def exponents() -> Iterator[Row]:
    """The largest exponent of the phases of each situation."""
    for name, phases in growth.measured(growth.SITUATIONS, growth.SIZES):
        phase, worst = max(((phase, growth.fitted(points)) for phase, points in phases.items()), key=lambda one: one[1])
        yield Row(f"growth, {growth.SITUATIONS[name].about}", f"n^{worst:.2f} ({phase})", f"goal n^{growth.LIMIT}")


print(machine())
print(HEAD)
for row in chain(processes.rows(), calls.rows(), backends.rows(), exponents()):
    print(row, flush=True)
