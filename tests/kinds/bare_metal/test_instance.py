"""Observation of a rented server, whose manifest applies while it is rented."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from dbc_iac.kinds import Observation, kind_of
from dbc_iac.kinds.bare_metal.instance import NOT_RENTED
from dbc_iac.kinds.framework.cached_reader import Unreadable
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.state.document import Binding
from tests.kinds.shown import DEVICE, ROUTE, TARGET, reader

AT = Lookup("BareMetalInstance/a", ROUTE, TARGET, 1)


def observe(lookup: Lookup = AT, **shown: object) -> Observation:
    return asyncio.run(kind_of("BareMetalInstance").observe(lookup, reader(**shown)))


def test_a_server_that_is_not_rented_is_present_and_has_nothing_to_compare() -> None:
    seen = observe(power=Unreadable("machine is not be rented", authority=True, not_rented=True))
    assert (seen.present, seen.notes, dict(seen.values)) == (True, (NOT_RENTED,), {})


def test_a_server_that_cannot_be_read_is_unknown() -> None:
    assert observe().present is None


def test_a_deeplink_password_that_is_not_shown_is_not_compared() -> None:
    assert observe(power="on").hidden == {"deeplink.password"}
    assert observe(power="on", deeplink=DEVICE).hidden == frozenset()


def test_a_server_that_is_not_registered_yet_is_unknown() -> None:
    assert observe(replace(AT, route=replace(ROUTE, target=""))).present is None


def test_a_manifest_that_names_another_server_leaves_the_old_one_alone() -> None:
    bound = Binding(address=AT.address, kind="BareMetalInstance", id="6" * 64, generation=1)
    seen = observe(replace(AT, binding=bound), power="on")
    assert (seen.present, "6" * 64 in seen.reason) == (False, True)
