"""Odd answers of a server: a backend raises only documented errors, and holds a lock only if it was granted."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from functools import cache
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import ObjectStore

from dbc_iac.api.http import Reply
from dbc_iac.api.transport import HttpClient
from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.state.backends.backend import Backend, MovedError
from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.objectstore import Object, ObjectStoreBackend, object_store
from tests.state.places import Clock

TOKENS = ("mine", "another")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*TOKENS, "\ud800", "9" * 5000]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
KEYS = ("ID", "Info", "Who", "serial", "id", "until", "holder", "lines", "token", "by", "n", "absent", "broken")
DOCUMENTS = st.one_of(
    VALUES,
    st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)),
    st.fixed_dictionaries({"lines": st.lists(st.lists(SCALARS, min_size=2, max_size=2), max_size=3)}),
    st.fixed_dictionaries(
        {"id": st.sampled_from(TOKENS), "until": st.sampled_from(["", "2020-01-01", "9999-12-31T23:59:59+00:00"])}
    ),
)
BODIES = st.one_of(
    DOCUMENTS.map(lambda value: json.dumps(value).encode()), st.binary(max_size=20), st.just(b"[" * 100_000)
)
DATES = st.sampled_from(
    ["Thu, 01 Jan 2026 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "x", ""]
)
REPLIES = st.builds(
    Reply,
    st.sampled_from([200, 200, 200, 204, 302, 400, 401, 404, 409, 423, 500]),
    DATES.map(lambda date: {"date": date}),
    BODIES,
)


def all_of(backend: Backend) -> None:
    """Every call, each ended by what it may raise."""
    for call in (backend.read, backend.lines, backend.kept, backend.stacks, backend.holder, backend.break_lock):
        with suppress(OSError, DiagnosticError):
            call()
    with suppress(OSError, DiagnosticError), backend.lock({"command": "apply"}):
        writes: tuple[Callable[[], Any], ...] = (
            lambda: backend.write(b"{}", 1, None),
            lambda: backend.append(b"line", sync=True),
            backend.renew,
            backend.clear,
        )
        for write in writes:
            with suppress(OSError, DiagnosticError, MovedError):
                write()


@given(replies=st.lists(REPLIES, min_size=1, max_size=9))
def test_an_http_server_may_answer_anything(replies: list[Reply]) -> None:
    following = cycle(replies)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpClient, "wait", lambda *_, **__: next(following))
        all_of(HttpBackend(HttpDocuments("http://127.0.0.1:9", "main"), Clock(), lambda: TOKENS[0]))


@cache
def unasked() -> ObjectStore:
    return object_store("s3://a/x", "http://127.0.0.1:9", "", {"access_key_id": "a", "secret_access_key": "b"})


OBJECTS = st.builds(
    Object,
    st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)),
    st.none() | BODIES,
    st.just({"e_tag": "x"}),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)


@given(objects=st.lists(OBJECTS, min_size=1, max_size=9))
def test_an_object_store_may_hold_anything(objects: list[Object]) -> None:
    following = cycle(objects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ObjectStoreBackend, "_get", lambda *_: next(following))
        patch.setattr(ObjectStoreBackend, "_put", lambda *_: {"e_tag": "x"})
        for listing in ("kept", "stacks"):
            patch.setattr(ObjectStoreBackend, listing, lambda _: [])
        all_of(ObjectStoreBackend(unasked(), "s3://a/x", "main", lambda: TOKENS[0]))
