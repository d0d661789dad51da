"""Jobs that share nothing but a state on a server: plan in one directory, apply in another."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dbc_iac.plan.signature import public_key
from dbc_iac.secret import SecretText
from dbc_iac.state.backends.http import HttpBackend
from dbc_iac.state.backends.objectstore import ObjectStoreBackend
from dbc_iac.state.backends.postgres import Database, PostgresBackend
from dbc_iac.state.backends.remote import RemoteBackend
from tests.projects import PROJECT, Emulated, Project, project, vm
from tests.proof.ends import Interposed, Point
from tests.proof.test_two_at_once import Meanwhile, never
from tests.state.servers import postgres, s3, terraform_http


@pytest.fixture
def server() -> Iterator[tuple[str, terraform_http.Documents]]:
    with terraform_http.served() as found:
        yield found


@pytest.fixture
def jobs(tmp_path: Path, server: tuple[str, terraform_http.Documents]) -> Iterator[tuple[Emulated, Project]]:
    yield from two(tmp_path, {"backend": "http", "address": server[0]}, {})


KEPT_BY = ("local", "http", "postgres", "objectstore")
SIGNING = SecretText("5e" * 32)
SEALED = {
    "encryption": {"key": {"env": "STATE_KEY"}, "passphrase": {"env": "STATE_PHRASE"}},
    "trustedPlanKeys": [public_key(SIGNING)],
}
KEYS = {"STATE_KEY": "ab" * 32, "STATE_PHRASE": "a long enough phrase", "DBC_IAC_SIGNING_KEY": SIGNING.reveal()}


@pytest.fixture(params=[(name, sealed) for sealed in ("clear", "sealed and signed") for name in KEPT_BY], ids=" ".join)
def either(
    request: pytest.FixtureRequest, tmp_path: Path, server: tuple[str, terraform_http.Documents]
) -> Iterator[tuple[Emulated, Project]]:
    """Two jobs on each backend, in the clear, and with encryption and signed plans."""
    backend, sealed = request.param
    spec, environ = kept_by(backend, server[0], tmp_path)
    more = {} if sealed == "clear" else SEALED
    keys = {} if sealed == "clear" else KEYS
    yield from two(tmp_path, {"backend": backend, **spec}, {**environ, **keys}, more)


def kept_by(backend: str, http: str, directory: Path) -> tuple[dict[str, Any], dict[str, str]]:
    name = uuid.uuid4().hex
    if backend == "local":
        return {"path": str(directory / "shared")}, {}
    if backend == "http":
        return {"address": http}, {}
    if backend == "postgres":
        login = {"username": postgres.USER, "password": {"env": "STATE_PASSWORD"}}
        return {"address": postgres.by_network(), "schema": f"of_{name}", **login}, {
            "STATE_PASSWORD": postgres.PASSWORD
        }
    credentials = {key: {"env": key.upper()} for key in s3.KEYS}
    address = {"address": f"s3://{s3.BUCKET}/{name}", "endpoint": s3.endpoint(), "region": "us-east-1"}
    return {**address, "credentials": credentials}, {key.upper(): value for key, value in s3.KEYS.items()}


def two(
    tmp_path: Path, spec: Mapping[str, Any], environ: Mapping[str, str], more: Mapping[str, Any] | None = None
) -> Iterator[tuple[Emulated, Project]]:
    first = project(tmp_path / "first", vm(), environ=environ)
    fields = {"state": spec, **(more or {})}
    first.write(
        {"dbc-iac.yaml": PROJECT + "".join(f"  {name}: {json.dumps(value)}\n" for name, value in fields.items())}
    )
    emulated = Emulated(first)
    second = Project(tmp_path / "second", first.environ)
    shutil.copytree(first.directory, second.directory)
    yield emulated, second
    emulated.close()


def test_a_plan_of_one_job_is_applied_by_another(either: tuple[Emulated, Project], tmp_path: Path) -> None:
    emulated, second = either
    assert emulated.run("plan", "-o", str(tmp_path / "the.plan")).code == 0
    first, emulated.project = emulated.project, second
    applied = emulated.run("apply", str(tmp_path / "the.plan"))
    assert applied.code == 0, applied.err
    emulated.project = first
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 1
    pulled = json.loads(emulated.run("state", "pull").out)
    assert list(pulled["bindings"]) == ["VirtualMachine/trainer"]
    assert not (first.directory / "state").exists()
    assert not (second.directory / "state").exists()


def test_of_two_concurrent_jobs_one_reports_the_other(either: tuple[Emulated, Project]) -> None:
    emulated, second = either
    emulated.project.environ["CI_JOB_URL"] = "https://ci.example/jobs/7"
    other = Meanwhile("creating", lambda: second.run("apply", "--yes", run=never))
    first = emulated.run("apply", "--yes", err=other)
    assert (first.code, len(emulated.vms)) == (0, 1), first.err
    assert other.result is not None
    assert other.result.code == 6
    assert all(
        said in other.result.err for said in ("command apply", "host ", "pid ", "https://ci.example/jobs/7", "since")
    )
    assert emulated.run("state", "unlock", "--yes").out == "The state is not locked.\n"


def test_an_apply_that_was_killed_is_continued_by_another_job(
    either: tuple[Emulated, Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    emulated, second = either
    leased = "local" not in request.node.name  # a killed process takes its lock along, but not its lease
    file = str(tmp_path / "the.plan")
    assert emulated.run("plan", "-o", file).code == 0
    with monkeypatch.context() as patch:
        for backend in (HttpBackend, PostgresBackend, ObjectStoreBackend):
            patch.setattr(backend, "_release", _killed)
        assert Interposed(emulated, Point("call", 1, "after")).run("apply", file) is None
    emulated.project = second
    if leased:
        held = emulated.run("apply", file)
        assert (held.code, "command apply" in held.err) == (6, True)
        assert emulated.run("state", "unlock", "--yes").code == 0
    assert emulated.run("apply", file).code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 1


def test_a_plan_that_was_altered_or_overtaken_is_refused(either: tuple[Emulated, Project], tmp_path: Path) -> None:
    emulated, second = either
    file = tmp_path / "the.plan"
    assert emulated.run("plan", "-o", str(file)).code == 0
    content = file.read_bytes()
    at = len(content) * 3 // 4
    file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    altered = emulated.run("apply", str(file), "--json")
    assert altered.code in {3, 5}
    assert altered.codes[0] in {"plan-altered", "not-a-plan"}  # in the clear it may not even be JSON any more
    assert emulated.vms == {}
    file.write_bytes(content)
    first, emulated.project = emulated.project, second
    assert emulated.run("apply", "--yes").code == 0
    emulated.project = first
    stale = emulated.run("apply", str(file), "--json")
    assert (stale.code, stale.codes) == (5, ["plan-stale"])
    assert len(emulated.vms) == 1


def _killed(_: RemoteBackend) -> None:
    raise OSError


def test_a_run_reports_the_holder_of_the_lock_and_unlock_breaks_it(
    jobs: tuple[Emulated, Project], server: tuple[str, terraform_http.Documents]
) -> None:
    emulated, _ = jobs
    held = {"ID": "x", "Info": json.dumps({"command": "apply", "host": "ci-7"}), "Created": "2999-01-01T00:00:00+00:00"}
    server[1].locks["/state/lab-main"] = held
    refused = emulated.run("apply", "--yes")
    assert refused.code == 6
    assert "command apply, host ci-7" in refused.err
    assert emulated.vms == {}
    assert "host ci-7" in emulated.run("state", "unlock", "--yes").out
    assert "not locked" in emulated.run("state", "unlock", "--yes").out
    assert emulated.run("apply", "--yes").code == 0


def test_an_unreachable_backend_is_reported_before_any_call(jobs: tuple[Emulated, Project]) -> None:
    emulated, _ = jobs
    there = "state: {backend: http, address: 'http://127.0.0.1:9/none'}"
    emulated.project.write({"dbc-iac.yaml": f"{PROJECT}  {there}\n"})
    result = emulated.run("apply", "--yes", "--json")
    assert (result.code, result.codes, emulated.vms) == (1, ["state-not-lockable"], {})


@pytest.mark.parametrize(
    "written",
    [
        "{backend: local, address: 'http://127.0.0.1/x'}",
        "{backend: http}",
        "{backend: http, address: 'http://a.example/x'}",
        "{backend: postgres, address: 'https://a.example/x'}",
        "{backend: postgres, address: 'postgresql://ci:secret@a.example/x'}",
        "{backend: postgres, address: 'postgresql://a.example/x', region: x}",
        "{backend: postgres, address: 'postgresql://a.example/x?sslmode=verify-full&password=canary'}",
        "{backend: objectstore, address: 's3://a/x', credentials: {acces_key: {env: SEED}}}",
        "{backend: objectstore, address: 'ftp://a/x'}",
        "{backend: objectstore, address: 's3://a/x', endpoint: 'http://a.example'}",
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, written: str) -> None:
    made = project(tmp_path, vm()).write({"dbc-iac.yaml": f"{PROJECT}  state: {written}\n"})
    made.environ["SEED"] = "canary"
    refused = made.run("state", "list")
    assert (refused.code, "canary" in refused.err.replace("password=canary", "")) == (3, False), refused


@pytest.mark.parametrize("value", ["two\nlines", "\N{SNOWMAN}"])
def test_an_invalid_header_is_reported(tmp_path: Path, value: str) -> None:
    there = "state: {backend: http, address: 'http://127.0.0.1:9/x', headers: {X-Key: {env: KEY}}}"
    made = project(tmp_path, vm(), environ={"KEY": value}).write({"dbc-iac.yaml": f"{PROJECT}  {there}\n"})
    refused = made.run("plan", "--json")
    assert (refused.code, refused.codes, value in refused.err) == (3, ["unsafe-secret"], False)


def test_an_unknown_user_of_a_backend_is_reported(tmp_path: Path) -> None:
    emulated = Emulated(project(tmp_path, vm(), environ={"WRONG": "canary"}))
    login = {"username": "ci", "password": {"env": "WRONG"}}
    with terraform_http.served(terraform_http.GITLAB) as (address, _):
        gitlab = {"lockPath": "/lock", "lockMethod": "POST", "unlockMethod": "DELETE"}
        bucket = {"address": "s3://none/x", "endpoint": s3.endpoint(), "region": "us-east-1"}
        keys = {"credentials": {key: {"env": key.upper()} for key in s3.KEYS}}
        emulated.project.environ |= {key.upper(): value for key, value in s3.KEYS.items()}
        good = {"username": terraform_http.LOGIN[0], "password": {"env": "JOB"}}
        emulated.project.environ["JOB"] = terraform_http.LOGIN[1]
        for spec, code, said in (
            ({"backend": "postgres", "address": postgres.by_network(), **login}, 4, "authentication failed"),
            ({"backend": "http", "address": address, **gitlab, **login}, 4, "HTTP 401"),
            ({"backend": "http", "address": address, **good}, 1, "lockPath"),
            ({"backend": "objectstore", **bucket, **keys}, 1, "there is no such bucket"),
        ):
            emulated.project.write({"dbc-iac.yaml": f"{PROJECT}  state: {json.dumps(spec)}\n"})
            for command in (["plan"], ["apply", "--yes"], ["state", "list"], ["state", "unlock", "--yes"]):
                if code == 1 and command[0] == "state":
                    continue  # reading is another matter
                refused = emulated.run(*command)
                assert (refused.code, said in refused.err, "canary" in refused.err) == (code, True, False), refused
    emulated.close()


@pytest.mark.parametrize(
    ("address", "environ", "required"),
    [
        ("postgresql://db.example/x", {}, True),
        ("postgresql://127.0.0.1/x", {}, False),
        ("postgresql:///x", {}, False),
        ("postgresql:///x?host=/run/postgres", {}, False),
        ("postgresql:///x?host=db.example", {}, True),
        ("postgresql://localhost,db.example/x", {}, True),
        ("postgresql://localhost/x?hostaddr=192.0.2.1", {}, True),
        ("postgresql:///x?service=lab", {}, True),
        ("postgresql:///x", {"PGHOST": "db.example"}, True),
        ("postgresql://localhost/x", {"PGHOSTADDR": "192.0.2.1"}, True),
        ("postgresql://db.example/x?application_name=sslmode", {}, True),
        ("postgresql://db.example/x?sslmode=verify-full", {}, False),
        ("postgresql://db.example/x", {"PGSSLMODE": "verify-full"}, False),
    ],
)
def test_a_database_beyond_this_machine_is_asked_with_tls(
    monkeypatch: pytest.MonkeyPatch, address: str, environ: Mapping[str, str], required: bool
) -> None:
    said: dict[str, Any] = {}

    def connect(_: str, **given: Any) -> None:
        said.update(given)
        raise psycopg.OperationalError("no")

    monkeypatch.setattr(psycopg, "connect", connect)
    for name in ("PGHOST", "PGHOSTADDR", "PGSSLMODE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(OSError, match="no"):
        Database(address, "lab").connect()
    assert (said.get("sslmode") == "require") is required
