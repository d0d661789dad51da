"""Lookup of servers at a manager, whose list has a limit and hides values from strangers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from dbc_iac.api.storage_responses import ServerView
from dbc_iac.kinds import kind_of
from dbc_iac.kinds.bare_metal.server import CAP, find_server
from dbc_iac.kinds.framework.cached_reader import Known, Unreadable
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.secret import SecretText
from tests.kinds.shown import ROUTE, SERVER, SILENT, reader

LISTED = {SERVER.node_id: SERVER}
FULL: dict[str, ServerView] = {f"{n:064x}": replace(SERVER, node_id=f"{n:064x}", uuid=f"uuid-x{n}") for n in range(CAP)}


def find(shown: dict[str, object], **by: str) -> Any:
    found = asyncio.run(find_server(reader(**shown), ROUTE, **by))
    return found.value if isinstance(found, Known) else found


@pytest.mark.parametrize("by", [{"node_id": SERVER.node_id}, {"uuid": SERVER.uuid}])
def test_a_server_is_found_by_id_or_uuid(by: dict[str, str]) -> None:
    assert find({"servers": LISTED}, **by) is SERVER


def test_a_server_that_a_short_list_lacks_does_not_exist() -> None:
    assert find({"servers": {}, "server": SERVER}, uuid=SERVER.uuid) is None


def test_a_server_beyond_the_limit_of_the_list_is_read_by_itself() -> None:
    assert find({"servers": FULL, "server": SERVER}, uuid=SERVER.uuid) is SERVER
    assert find({"servers": FULL}, uuid=SERVER.uuid) is SILENT


def test_an_unreadable_list_is_not_an_absent_server() -> None:
    assert isinstance(find({}, uuid=SERVER.uuid), Unreadable)


def test_masked_values_are_no_observation() -> None:
    masked = replace(SERVER, ipmi_username="****", ipmi_password=SecretText("****"))
    lookup = Lookup("BareMetalServer/a", ROUTE, SERVER.node_id, 1)
    seen = asyncio.run(kind_of("BareMetalServer").observe(lookup, reader(servers={SERVER.node_id: masked})))
    assert (seen.present, seen.authority, dict(seen.values)) == (None, True, {})
