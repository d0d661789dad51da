"""Servers of states that send too much, too slowly, or something else than was asked for."""

from __future__ import annotations

import gzip
import os
import signal
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from dbc_iac.api.http import MIB, Limits
from dbc_iac.state.backends import http_client, objectstore
from dbc_iac.state.backends.http_client import HttpDocuments
from dbc_iac.state.backends.objectstore import ObjectStoreBackend, object_store
from dbc_iac.state.backends.postgres import Database, PostgresBackend
from tests.raw_server import OK, Send, certificate, raw_server
from tests.state.servers import postgres

GZIPPED = gzip.compress(b"{}")
ENCODED = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(GZIPPED) + GZIPPED
DATED = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n'


def endless(send: Send) -> None:
    while True:
        send(b"x" * 65536)


def dribble(send: Send) -> None:
    while True:
        send(b"a")
        threading.Event().wait(0.02)


def failure(call: Callable[[], object]) -> str:
    with pytest.raises(OSError, match=r".") as caught:
        call()
    return str(caught.value.strerror)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            (b"HTTP/1.1 200 OK\r\n" + ENCODED,),
            "sent an answer that is refused: it has a Content-Encoding, which was not asked for",
        ),
        ((b"HTTP/1.1 200 OK\r\n\r\n", endless), "sent an answer that is refused: it is longer than 1 MiB"),
        ((b"HTTP/1.1 200 OK\r\nX-A: ", dribble), "gave no answer within 0.3 s"),
    ],
    ids=["encoded", "endless", "slow"],
)
def test_an_http_server_that_sends_too_much_or_too_slowly_is_reported(
    monkeypatch: pytest.MonkeyPatch, parts: tuple[bytes | Callable[[Send], None], ...], said: str
) -> None:
    monkeypatch.setattr(http_client, "LIMITS", Limits(0.3 if dribble in parts else 30.0, MIB))
    with raw_server(*parts) as (url, seen):
        documents = HttpDocuments(url, "main")
        record = {"ID": "a"}
        for call in (
            lambda: documents.get(""),
            lambda: documents.post("", b"{}", "a"),
            lambda: documents.lock("", record),
            lambda: documents.unlock("", record),
        ):
            assert failure(call) == f"its server {said}"
    assert all(b"accept-encoding: identity\r\n" in head.lower() for head in seen)


def test_an_object_with_a_content_encoding_or_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectstore, "MAX_BYTES", MIB)
    for parts, said in (
        ((DATED + ENCODED,), "its answer has a Content-Encoding, which was not asked for"),
        ((DATED + b"Content-Length: 100000000\r\n\r\n", endless), "its answer is longer than 1 MiB"),
    ):
        with raw_server(*parts) as (url, seen):
            store = object_store("s3://states/x", url, "us-east-1", {"access_key_id": "a", "secret_access_key": "b"})
            assert failure(ObjectStoreBackend(store, "s3://states/x", "main", str).read) == said
        assert b"accept-encoding" not in seen[0].lower()


@pytest.mark.parametrize("before", [DATED + b"X-A: ", DATED + b"Content-Length: 100000\r\n\r\n"])
def test_an_object_store_that_dribbles_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(objectstore, "DEADLINE", timedelta(seconds=0.3))
    with raw_server(before, dribble) as (url, _):
        store = object_store("s3://states/x", url, "us-east-1", {"access_key_id": "a", "secret_access_key": "b"})
        assert failure(ObjectStoreBackend(store, "s3://states/x", "main", str).read).startswith("no answer within")


def test_a_failing_object_store_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(endpoint: str) -> str:
        store = object_store("s3://states/x", endpoint, "us-east-1", {"access_key_id": "a", "secret_access_key": "b"})
        return failure(ObjectStoreBackend(store, "s3://states/x", "main", str).read)

    assert failing("http://127.0.0.1:9") == "connection refused"
    with raw_server(OK, certificate=certificate(tmp_path)) as (url, _):
        assert failing(url) == "its certificate is not trusted"
    with raw_server(b"HTTP/1.1 400 canary\r\nContent-Length: 6\r\n\r\ncanary") as (url, _):
        assert failing(url) == "it answered with HTTP 400"


def test_a_database_that_hangs_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbc_iac.state.backends.postgres.DEADLINE", 1)
    backend = PostgresBackend(Database(postgres.address(), "frozen"), "main", str)
    assert backend.read() is None
    assert backend._connection is not None
    process = backend._connection.info.backend_pid
    os.kill(process, signal.SIGSTOP)
    try:
        assert failure(backend.read) == "no answer within 1 s"
    finally:
        os.kill(process, signal.SIGCONT)
    assert backend.read() is None  # by a new connection


@pytest.mark.parametrize(
    "value", ["4000000000000::bigint", "'x'::text", "'[1]'::jsonb", "'{a}'::text[]", "'NaN'::numeric"]
)
def test_tables_of_another_program_are_refused(value: LiteralString) -> None:
    """A number as content would else be the size of a buffer."""
    schema = f"other_{len(value)}_{value[1:2]}"
    row = sql.SQL("select 'main' as stack, 1::bigint as number, 't' as token, ") + sql.SQL(value) + sql.SQL(" as ")
    with psycopg.connect(postgres.address(), autocommit=True) as server:
        server.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        for table, column in (("versions", "content"), ("journal", "line"), ("lease", "holder")):
            name = sql.Identifier(schema, table)
            server.execute(sql.SQL("create table {} as ").format(name) + row + sql.Identifier(column))
    backend = PostgresBackend(Database(postgres.address(), schema), "main", str)
    for call in (backend.read, backend.lines, *(() if value.endswith("text") else (backend.holder,))):
        assert failure(call) == "its tables are not those of dbc-iac"
