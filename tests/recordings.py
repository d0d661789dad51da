"""Location of the recordings of real nodes: the directory that RECORDINGS names, else ../shared next to the checkout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_NAMED = os.environ.get("RECORDINGS", "")
RECORDINGS = Path(_NAMED) if _NAMED else Path(__file__).parents[2] / "shared" / "recordings"
needs_recordings = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="there are no recordings beside this checkout: RECORDINGS=DIRECTORY says where"
)
if _NAMED and not RECORDINGS.is_dir():
    raise NotADirectoryError(f"RECORDINGS={_NAMED} is no directory of recordings")
