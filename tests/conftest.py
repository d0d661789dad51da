"""Settings of the whole suite."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from dbc_iac.state.encryption import keys


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Leave file contents in the page cache, since no test loses power, and derive keys of passphrases at the lowest cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(keys, "OPERATIONS", 1)
        patch.setattr(keys, "MEMORY", 8192)
        yield
