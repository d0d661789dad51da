"""Share of the sampled examples that a run tries: a part in the suite, all of them in `make prove`."""

from __future__ import annotations

import os

PROVING = "PROVE_EXAMPLES" in os.environ


def examples(suite: int, proof: int) -> int:
    """The number of examples: of the suite, or of `make prove`."""
    return proof if PROVING else suite
