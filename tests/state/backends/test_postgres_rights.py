"""Missing rights of a role are reported with PostgreSQL's text, and no unnecessary right is required."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dbc_iac.secret import SecretText
from dbc_iac.state.backends.backend import Stored
from dbc_iac.state.backends.postgres import Database, PostgresBackend
from tests.projects import PROJECT, Project, Result, project, vm
from tests.state.servers import postgres

PASSWORD = "canary: p@ss/w%?#"


class Schema:
    """A name of a schema that is not there, and a role that may make none."""

    def __init__(self, directory: Path) -> None:
        self.name = f"lab_{uuid.uuid4().hex}"
        self.role = f"ci_{uuid.uuid4().hex}"
        self.tell(f"create role {self.role} login password '{PASSWORD}'")
        self.project = project(directory, vm(), environ={"PW": PASSWORD})
        self.write(postgres.by_network(), self.name, self.role)

    def tell(self, statement: str) -> None:
        with psycopg.connect(postgres.address(), autocommit=True) as boss:
            boss.execute(statement)

    def write(self, address: str, schema: str, role: str) -> None:
        login = {"username": role, "password": {"env": "PW"}}
        state = {"backend": "postgres", "address": address, "schema": schema, **login}
        self.project.write({"dbc-iac.yaml": f"{PROJECT}  state: {json.dumps(state)}\n"})

    def run(self, *command: str) -> Result:
        result = self.project.run(*command)
        assert PASSWORD not in result.out + result.err
        assert "connection URL" not in result.err
        return result


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Schema]:
    made = Schema(tmp_path)
    yield made
    made.tell(f"drop schema if exists {made.name} cascade")
    made.tell(f"drop owned by {made.role}")
    made.tell(f"drop role {made.role}")


COMMANDS = (("state", "list"), ("plan", "--refresh=false"), ("plan",), ("state", "unlock", "--yes"))


def test_a_schema_that_was_prepared_for_a_role_without_the_right_to_make_one_is_used(lab: Schema) -> None:
    lab.tell(f"create schema {lab.name} authorization {lab.role}")
    assert lab.run("state", "list").code == 0
    assert lab.run("state", "unlock", "--yes").code == 0


def test_tables_that_were_prepared_need_no_right_to_make_any(lab: Schema) -> None:
    Database(postgres.address(), lab.name).connect().close()
    lab.tell(f"grant usage on schema {lab.name} to {lab.role}")
    lab.tell(f"grant select, insert, update, delete on all tables in schema {lab.name} to {lab.role}")
    assert lab.run("state", "list").code == 0


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_missing_right_to_create_a_schema_ends_with_4(lab: Schema, command: tuple[str, ...]) -> None:
    refused = lab.run(*command)
    assert (refused.code, "Permission denied for database" in refused.err) == (4, True), refused.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("rights", "said"),
    [
        ((), "Permission denied for schema"),
        (("grant usage on schema {0} to {1}",), "Permission denied for table"),
    ],
    ids=["no usage", "no select"],
)
def test_a_missing_right_to_use_a_schema_ends_with_4(
    lab: Schema, rights: tuple[str, ...], said: str, command: tuple[str, ...]
) -> None:
    Database(postgres.address(), lab.name).connect().close()
    for right in rights:
        lab.tell(right.format(lab.name, lab.role))
    refused = lab.run(*command)
    assert (refused.code, said in refused.err) == (4, True), refused.err


def test_a_missing_right_to_create_tables_is_reported(lab: Schema) -> None:
    lab.tell(f"create schema {lab.name}")
    lab.tell(f"grant usage on schema {lab.name} to {lab.role}")
    refused = lab.run("plan")
    assert (refused.code, "Permission denied for schema" in refused.err) == (4, True), refused.err


def test_a_read_only_session_is_reported_by_the_database(lab: Schema) -> None:
    lab.tell(f"create schema {lab.name} authorization {lab.role}")
    lab.tell(f"alter role {lab.role} set default_transaction_read_only = on")
    refused = lab.run("plan")
    assert (refused.code, "in a read-only transaction" in refused.err) == (1, True), refused.err


def test_a_read_only_session_reads_a_state(lab: Schema) -> None:
    lab.tell(f"create schema {lab.name} authorization {lab.role}")
    assert lab.run("state", "list").code == 0
    lab.tell(f"alter role {lab.role} set default_transaction_read_only = on")
    assert lab.run("state", "list").code == 0
    refused = lab.run("plan")
    assert (refused.code, "in a read-only transaction" in refused.err) == (1, True), refused.err


def test_foreign_tables_are_reported_by_the_database(lab: Schema) -> None:
    lab.tell(f"create schema {lab.name} authorization {lab.role}")
    lab.tell(f"create table {lab.name}.lease (a text)")
    refused = lab.run("state", "list")
    assert (refused.code, "does not exist" in refused.err) == (1, True), refused.err


def test_a_role_that_may_not_log_in_ends_with_4(lab: Schema) -> None:
    lab.tell(f"alter role {lab.role} nologin")
    refused = lab.run("plan")
    assert (refused.code, "is not permitted to log in" in refused.err) == (4, True), refused.err


def test_a_missing_database_is_reported(lab: Schema) -> None:
    lab.write(postgres.by_network() + "_none", lab.name, lab.role)
    refused = lab.run("plan")
    assert (refused.code, 'database "postgres_none" does not exist' in refused.err) == (1, True), refused.err


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://127.0.0.1/x?nope=canary",
        "postgresql://127.0.0.1/%zz",
        "postgresql://[::1/x",
        "postgresql://127.0.0.1/x?application_name=\udcff",
    ],
)
def test_an_invalid_address_is_reported_without_its_text(address: str) -> None:
    with pytest.raises(OSError, match="no connection URL of PostgreSQL") as caught:
        Database(address, "lab", "ci", SecretText(PASSWORD)).connect()
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("password", ["canary\0", "canary\n", "canary\udcff"])
def test_a_password_that_cannot_be_sent_is_reported_by_its_place(lab: Schema, password: str) -> None:
    made: Project = lab.project
    made.environ["PW"] = password
    refused = made.run("plan", "--json")
    assert (refused.code, refused.codes, "canary" in refused.err) == (3, ["unsafe-secret"], False), refused.err
    assert "state.password: the value of environment variable PW cannot be used" in refused.err


def test_a_database_in_another_encoding_keeps_a_state() -> None:
    name = f"ascii_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.address(), autocommit=True) as connection:
        new = "create database {} template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'"
        connection.execute(sql.SQL(new).format(sql.Identifier(name)))
    backend = PostgresBackend(
        Database(postgres.address().replace("/postgres?", f"/{name}?"), "dbc_iac"), "main", lambda: "token"
    )
    with backend.lock({"host": "é"}):
        backend.write(b"{}", 1, None)
        assert backend.holder() == {"host": "é"}
    assert backend.read() == Stored(b"{}", "0")
