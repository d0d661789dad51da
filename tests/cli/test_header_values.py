"""Secrets with characters that no header can have: refused with their field, before any call."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.forge import forge
from tests.projects import PROJECT, SEED, Project, Result, project, vm
from tests.raw_server import OK, raw_server

UNSENDABLE = [
    "canary\n",
    "canary\r\nX-Other: y",
    "canäry",
    "канарейка",
    "canary\t\x00",
    "\udcff\udcfe canary",
    " canary",
]
CLIENT = PROJECT.replace('5050"}', '5050", headers: {X-Key: {env: KEY}}}')


def told(result: Result, value: str, said: str) -> None:
    assert (result.code, result.codes) == (3, ["unsafe-secret"]), result.err
    problem = json.loads(result.err)["diagnostics"][0]
    field, _, summary = said.partition(": ")
    assert summary in problem["summary"]
    assert field in problem["summary"] + problem["detail"]
    assert value.strip() not in result.out + result.err
    assert "canary" not in result.out + result.err


def nowhere(name: str) -> httpx.AsyncBaseTransport:
    def sent(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"a request was sent to {name}")

    return httpx.MockTransport(sent)


@pytest.mark.parametrize("value", UNSENDABLE, ids=repr)
@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), ("node", "list"), ("drift",)], ids=" ".join)
def test_the_header_of_a_client_node_is_named(tmp_path: Path, value: str, command: tuple[str, ...]) -> None:
    made = project(tmp_path, vm(), environ={"SEED": SEED, "KEY": value}).write({"dbc-iac.yaml": CLIENT})
    told(
        made.run(*command, "--json", transport=nowhere),
        value,
        "clients.default.headers.X-Key: the value of environment variable KEY cannot be used",
    )


@pytest.mark.parametrize("value", ["canäry\n", "canary\ncanary"], ids=repr)
def test_the_file_of_a_header_is_named(tmp_path: Path, value: str) -> None:
    text = CLIENT.replace("{env: KEY}", "{file: key}")
    made = project(tmp_path, vm(), environ={"SEED": SEED}).write({"dbc-iac.yaml": text, "key": value})
    told(made.run("plan", "--json", transport=nowhere), value, "X-Key: the value of file key")


def test_a_client_node_is_not_asked_for_what_needs_none(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), environ={"KEY": "canary\n"}).write({"dbc-iac.yaml": CLIENT})
    assert made.run("plan", "--refresh=false", transport=nowhere).code == 0


@pytest.mark.parametrize("value", UNSENDABLE, ids=repr)
def test_the_header_of_a_state_is_named(tmp_path: Path, value: str) -> None:
    with raw_server(OK) as (url, seen):
        state = {"backend": "http", "address": url, "headers": {"Authorization": {"env": "KEY"}}}
        result = kept(tmp_path, state, KEY=value).run("plan", "--json", transport=nowhere)
        told(result, value, "state.headers.Authorization: the value of environment variable KEY cannot be used")
        assert seen == []


@pytest.mark.parametrize("value", ["canary\n", "a\r\ncanary", "canary\x00", "\udcff canary", "canary\x85"], ids=repr)
def test_the_password_of_a_state_is_named(tmp_path: Path, value: str) -> None:
    with raw_server(OK) as (url, seen):
        state = {"backend": "http", "address": url, "username": "ci", "password": {"env": "PW"}}
        for command in (("plan",), ("state", "list")):
            result = kept(tmp_path, state, PW=value).run(*command, "--json", transport=nowhere)
            told(result, value, "state.password: the value of environment variable PW cannot be used")
        assert seen == []


def test_a_password_of_other_letters_is_sent_as_utf_8(tmp_path: Path) -> None:
    with raw_server(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n") as (url, seen):
        state = {"backend": "http", "address": url, "username": "ci", "password": {"env": "PW"}}
        assert kept(tmp_path, state, PW="pässwörd").run("state", "list").code == 0
    assert b"Authorization: Basic " + b64encode("ci:pässwörd".encode()) in seen[0]


@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key", "session_token"])
def test_the_credential_of_an_object_store_is_named(tmp_path: Path, field: str) -> None:
    state = {
        "backend": "objectstore", "address": "s3://a/x", "endpoint": "http://127.0.0.1:9",
        "credentials": {"access_key_id": {"env": "A"}, "secret_access_key": {"env": "A"}, field: {"env": "KEY"}},
    }  # fmt: skip
    for value in UNSENDABLE:
        result = kept(tmp_path, state, A="a", KEY=value).run("state", "list", "--json")
        told(result, value, f"state.credentials.{field}: the value of environment variable KEY cannot be used")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
def test_the_environment_variable_of_a_cloud_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The store reads it itself, and would panic."""
    monkeypatch.setenv(name, "canary\n")
    state = {"backend": "objectstore", "address": "s3://a/x", "endpoint": "http://127.0.0.1:9"}
    result = kept(tmp_path, state).run("state", "list", "--json")
    assert (result.code, result.codes, "canary" in result.err) == (3, ["invalid-backend"], False)
    assert name in result.err


@pytest.mark.parametrize("value", UNSENDABLE, ids=repr)
@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GITLAB_TOKEN"])
def test_the_token_of_a_forge_is_named(tmp_path: Path, name: str, value: str) -> None:
    with forge() as hub:
        result = job(tmp_path, hub.url, name, value).run("comment", str(tmp_path / "plan.md"), "--json")
        told(result, value, f"environment variable {name} cannot be sent in a header")
        assert hub.seen == []


@pytest.mark.parametrize("name", ["X Key", "X:", "Ключ", "", "Content-Length", "accept-encoding", "Transfer-Encoding"])
def test_a_reserved_header_is_refused_with_its_source_range(tmp_path: Path, name: str) -> None:
    for text in (
        CLIENT.replace("X-Key", json.dumps(name)),
        f"{PROJECT}  state: {json.dumps({'backend': 'http', 'address': 'http://127.0.0.1:9', 'headers': {name: {'env': 'KEY'}}})}\n",
    ):
        result = project(tmp_path, vm()).write({"dbc-iac.yaml": text}).run("validate", "--json")
        (problem,) = json.loads(result.err)["diagnostics"]
        assert (result.code, bool(problem["source"]), "header" in problem["summary"]) == (3, True, True), problem


@pytest.mark.parametrize("name", ["a:b", "a\nb", "\x00"])
def test_an_invalid_username_for_basic_authentication_is_refused(tmp_path: Path, name: str) -> None:
    state = {"backend": "http", "address": "http://127.0.0.1:9", "username": name, "password": {"env": "PW"}}
    result = kept(tmp_path, state, PW="x").run("validate", "--json")
    assert (result.code, "must not contain :" in result.err) == (3, True), result.err


def kept(directory: Path, state: dict[str, Any], **environ: str) -> Project:
    made = project(directory, vm(), environ={"SEED": SEED, **environ})
    return made.write({"dbc-iac.yaml": f"{PROJECT}  state: {json.dumps(state)}\n"})


def job(directory: Path, url: str, name: str, token: str) -> Project:
    """A project in a job of the forge whose token has this name."""
    event = directory / "event.json"
    event.write_text('{"pull_request": {"number": 7}}')
    environ = {
        "GITHUB_TOKEN": {
            "GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(event), "GITHUB_REPOSITORY": "me/lab",
            "GITHUB_API_URL": url, "GITHUB_GRAPHQL_URL": f"{url}/graphql",
        },
        "GITLAB_TOKEN": {
            "GITLAB_CI": "true", "CI_API_V4_URL": f"{url}/api/v4", "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3",
        },
    }[name]  # fmt: skip
    made = project(directory, vm(), environ={**environ, name: token})
    return made.write({"plan.md": "the plan"})
