"""All benchmarks in one table: `make bench`. With --quick at small sizes, to see that every part runs."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain

from benchmarks import backends, calls, growth, processes
from benchmarks.table import HEAD, Row, machine


def exponents(sizes: Sequence[int]) -> Iterator[Row]:
    """The largest exponent of the phases of each situation."""
    for name, phases in growth.measured(growth.SITUATIONS, sizes):
        phase, worst = max(((phase, growth.fitted(points)) for phase, points in phases.items()), key=lambda one: one[1])
        yield Row(f"growth, {growth.SITUATIONS[name].about}", f"n^{worst:.2f} ({phase})", f"goal n^{growth.LIMIT}")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--quick", action="store_true", help="small sizes")
quick: bool = parser.parse_args().quick
print(machine())
print(HEAD)
for row in chain(
    processes.rows((1, 20) if quick else processes.SIZES),
    calls.rows(40 if quick else calls.COUNT),
    backends.rows((20,) if quick else backends.COUNTS),
    exponents((50, 100) if quick else growth.SIZES),
):
    print(row, flush=True)
