"""`comment`: failures of forges and of a job's settings are reported with their reason."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dbc_iac.api.http import MIB, Limits
from dbc_iac.operations import pr_comment
from tests.cli.forge import ME, forge
from tests.cli.test_header_values import job
from tests.projects import Result
from tests.raw_server import OK, Send, certificate, raw_server

TOKENS = ("GITHUB_TOKEN", "GITLAB_TOKEN")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.lower().endswith("_proxy") or n.startswith("SSL")]:
        monkeypatch.delenv(name)


def commented(directory: Path, url: str, name: str = TOKENS[0]) -> Result:
    result = job(directory, url, name, "canary").run("comment", str(directory / "plan.md"))
    assert "canary" not in result.out + result.err
    return result


@pytest.mark.parametrize("token", TOKENS)
def test_a_comment_is_created_and_then_updated(tmp_path: Path, token: str) -> None:
    with forge({1: "<!-- dbc-iac somebody else's -->"}) as hub:
        for said in ("created", "updated"):
            assert commented(tmp_path, hub.url, token).out == f"Comment {said}.\n"
        assert (len(hub.bodies), hub.authors[2]) == (2, ME)
        assert "the plan" in hub.bodies[2]


def test_each_project_environment_and_stack_has_its_own_comment(tmp_path: Path) -> None:
    with forge() as hub:
        for where in ("lab", "other place"):
            (tmp_path / where).mkdir()
            made = job(tmp_path / where, hub.url, TOKENS[0], "canary")
            made.environ["GITHUB_WORKSPACE"] = str(tmp_path)
            for words in ([], ["-e", "prod"], ["--stack", "second"]):
                assert made.run(*words, "comment", str(tmp_path / where / "plan.md")).code == 0
        assert [body.splitlines()[0] for body in hub.bodies.values()] == [
            f"<!-- dbc-iac {where} {thread} -->"
            for where in ("lab", "other%20place")
            for thread in ("main/", "main/prod", "second/")
        ]


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (
            {"NO_PROXY": "localhost,[::1]"},
            1,
            "cannot write the comment: the server cannot be reached\n  Cause: connection refused.",
        ),
        (
            {"NO_PROXY": "fe80::/10"},
            1,
            "cannot write the comment: the server cannot be reached\n  Cause: connection refused.",
        ),
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, 1, "connection refused (through the proxy of HTTP_PROXY)"),
        ({"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.0/8"}, 1, "reached\n  Cause: connection refused.\n"),
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, 3, "the server was not asked\n  Cause: ALL_PROXY names a SOCKS proxy"),
        ({"ALL_PROXY": "nope://x"}, 3, "the server was not asked\n  Cause: ALL_PROXY is no address of a proxy"),
        ({"http_proxy": "http://[::1"}, 3, "the server was not asked\n  Cause: HTTP_PROXY is no address of a proxy"),
        (
            {"SSL_CERT_FILE": "/nonexistent"},
            1,
            "cannot write the comment: the server cannot be reached\n  Cause: connection refused.",
        ),
        (
            {"SSL_CERT_DIR": "/nonexistent"},
            1,
            "cannot write the comment: the server cannot be reached\n  Cause: connection refused.",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("token", TOKENS)
def test_settings_of_the_machine_are_understood_or_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], code: int, said: str, token: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    result = commented(tmp_path, "http://127.0.0.1:9", token)
    assert (result.code, said in result.err) == (code, True), result.err


def test_missing_certificates_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    result = commented(tmp_path, "https://127.0.0.1:9")
    assert (result.code, "SSL_CERT_FILE names a file that cannot be used" in result.err) == (3, True), result.err


def test_an_untrusted_forge_is_reported_and_gets_no_request(tmp_path: Path) -> None:
    with raw_server(OK, certificate=certificate(tmp_path)) as (url, seen):
        result = commented(tmp_path, url)
    assert (result.code, "its certificate is not trusted" in result.err, seen) == (1, True, []), result.err
    assert "SSL_CERT_FILE" in result.err


@pytest.mark.parametrize("url", ["", "http://[::1", "ftp://forge.example", "forge.example", "http://\udcff"])
def test_an_invalid_forge_url_is_reported(tmp_path: Path, url: str) -> None:
    result = commented(tmp_path, url)
    assert (result.code, "its address is not an http or https URL" in result.err) == (1, True), result.err


def endless(send: Send) -> None:
    while True:
        send(b"x" * 65536)


def dribble(send: Send) -> None:
    while True:
        send(b"a")
        threading.Event().wait(0.02)


BOMB = gzip.compress(b"[" * 10 * MIB)


@pytest.mark.parametrize(
    ("parts", "seconds", "said"),
    [
        (
            (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + BOMB,),
            30,
            "sent an answer that is refused\n  Cause: it has a Content-Encoding",
        ),
        ((b"HTTP/1.1 200 OK\r\n\r\n", endless), 30, "sent an answer that is refused\n  Cause: it is longer than 1 MiB"),
        ((b"HTTP/1.1 200 OK\r\n", dribble), 0.3, "gave no answer within 0.3 s"),
    ],
    ids=["encoded", "endless", "slow"],
)
@pytest.mark.parametrize("token", TOKENS)
def test_a_forge_over_the_limits_of_size_or_time_is_reported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: tuple[bytes | Callable[[Send], None], ...],
    seconds: float,
    said: str,
    token: str,
) -> None:
    monkeypatch.setattr(pr_comment, "_LIMITS", Limits(seconds, MIB))
    with raw_server(*parts) as (url, _):
        result = commented(tmp_path, url, token)
    assert (result.code, f"the server {said}" in result.err) == (1, True), result.err


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "null",
        "[]",
        "[[]]",
        '"x"',
        "7",
        "NaN",
        '{"username": "x", "data": []}',
        "[" * 100_000,
        '{"data": {"viewer": 7}}',
    ],
    ids=lambda text: text[:20] or "empty",
)
@pytest.mark.parametrize("token", TOKENS)
def test_an_answer_of_another_api_is_reported(tmp_path: Path, answer: str, token: str) -> None:
    body = answer.encode()
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as (url, _):
        result = commented(tmp_path, url, token)
    assert (result.code, "unexpected answer to the comment request" in result.err) == (1, True), result.err


def test_malformed_comments_are_reported(tmp_path: Path) -> None:
    rows = json.dumps([{"id": 1, "body": 7, "author": "somebody"}] * 3)
    body = ('{"username": "me"}', rows)
    parts = iter(body)

    def answer(send: Send) -> None:
        text = next(parts).encode()
        send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    with raw_server(answer) as (url, _):
        result = commented(tmp_path, url, "GITLAB_TOKEN")
    assert (result.code, "unexpected answer to the comment request" in result.err) == (1, True), result.err
