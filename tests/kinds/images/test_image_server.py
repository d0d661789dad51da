"""Image servers that do not answer."""

from __future__ import annotations

import asyncio

import pytest

from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.images.image_server import why_stalled
from tests.kinds.shown import ROUTE, reader


@pytest.mark.parametrize(
    ("answer", "percent", "text"),
    [
        (Unreadable("list images timeout"), 0, " (image server ID_1: list images timeout)"),
        (Unreadable("list images timeout"), 7, ""),
        ({}, 0, ""),
    ],
    ids=["silent", "silent, and the transfer goes on", "answers"],
)
def test_a_transfer_without_progress_names_its_silent_image_server(answer: object, percent: int, text: str) -> None:
    assert asyncio.run(why_stalled(reader(image_server=answer), ROUTE, "ID_1", percent)) == text
