"""Fetches and checkouts with real git: rewritten branches, signatures, sizes, links, and credentials."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from pathlib import Path

import pytest

from dbc_iac.controller.fleet import SourceSpec
from dbc_iac.controller.git import FetchLimits, Repository
from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic, DiagnosticError
from dbc_iac.secret import SecretText
from tests.controller.repositories import Origin
from tests.raw_server import raw_server

MIB = 1024**2


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin.create(tmp_path / "origin", {"a/one": "1", "b/two": "2"})


def mirror(origin: Origin, tmp_path: Path, size: int = 64 * MIB, signers: Path | None = None) -> Repository:
    source = SourceSpec(git=origin.url)
    return Repository(source, tmp_path / "mirror.git", FetchLimits(size, 60), signers=signers)


def problem_of(task: object) -> Diagnostic:
    with pytest.raises(DiagnosticError) as failed:
        asyncio.run(task)  # type: ignore[arg-type]
    [problem] = failed.value.diagnostics
    assert len(problem.summary) <= MAX_SUMMARY
    assert problem.remedy
    return problem


def test_a_rewritten_branch_is_followed_and_only_changed_trees_differ(origin: Origin, tmp_path: Path) -> None:
    async def task() -> None:
        made = mirror(origin, tmp_path)
        first = await made.fetch()
        origin.commit({"a/one": "changed"}, "--amend")
        second = await made.fetch()
        assert second == origin.git("rev-parse", "HEAD") != first
        assert await made.tree(first, "a") != await made.tree(second, "a")
        assert await made.tree(first, "b") == await made.tree(second, "b")
        assert await made.tree(second, ".") == origin.git("rev-parse", "HEAD^{tree}")
        assert await made.tree(second, "gone") == f"none {second}"
        assert await made.tree(second, "a/one") != ""

    asyncio.run(task())


def test_another_machine_fetches_a_commit_that_is_no_longer_at_the_ref(origin: Origin, tmp_path: Path) -> None:
    async def task() -> None:
        first = origin.git("rev-parse", "HEAD")
        origin.commit({"a/one": "changed"})
        made = mirror(origin, tmp_path)
        await made.require(first)
        await made.checkout(first, tmp_path / "out")
        assert (tmp_path / "out/a/one").read_text() == "1"

    asyncio.run(task())


def test_a_deleted_branch_is_a_problem_that_names_it(origin: Origin, tmp_path: Path) -> None:
    origin.git("checkout", "-q", "-b", "other")
    origin.git("branch", "-D", "main")
    problem = problem_of(mirror(origin, tmp_path).fetch())
    assert (problem.code, problem.summary) == ("git-fetch", "cannot fetch main")
    assert problem.detail == "couldn't find remote ref refs/heads/main"


def test_a_tag_does_not_replace_the_branch_of_its_name(origin: Origin, tmp_path: Path) -> None:
    branch = origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "other")
    origin.git("tag", "main", origin.commit({"a/one": "by a tag"}))
    assert asyncio.run(mirror(origin, tmp_path).fetch()) == branch


def test_only_commits_of_allowed_signers_are_accepted(origin: Origin, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"ann@example.org {key.with_suffix('.pub').read_text()}")
    made = mirror(origin, tmp_path, signers=signers)
    assert problem_of(made.fetch()).code == "git-signature"
    origin.git("config", "gpg.format", "ssh")
    origin.git("config", "user.signingKey", str(key))
    signed = origin.commit({}, "-S")
    assert asyncio.run(mirror(origin, tmp_path, signers=signers).fetch()) == signed


def test_a_missing_file_of_signers_is_named(origin: Origin, tmp_path: Path) -> None:
    signers = tmp_path / "signers"
    problem = problem_of(mirror(origin, tmp_path, signers=signers).fetch())
    assert problem.summary == "cannot read the file of allowed signers"
    assert problem.detail == f"{signers}: No such file or directory."


def test_a_large_file_is_refused_before_it_fills_the_disk(origin: Origin, tmp_path: Path) -> None:
    (origin.directory / "large").write_bytes(os.urandom(3 * MIB))
    origin.commit({})
    problem = problem_of(mirror(origin, tmp_path, MIB).fetch())
    assert (problem.code, problem.summary) == ("git-size", "the fetch has more than 1 MiB")
    assert sum(f.stat().st_size for f in (tmp_path / "mirror.git").rglob("*") if f.is_file()) <= 2 * MIB
    (origin.directory / "large").write_bytes(bytes(3 * MIB))  # small in the pack
    commit = origin.commit({}, "--amend")
    made = mirror(origin, tmp_path, MIB)
    asyncio.run(made.fetch())
    assert problem_of(made.checkout(commit, tmp_path / "out")).code == "git-size"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "a/../../x"])
def test_a_link_out_of_the_checkout_is_refused(target: str, origin: Origin, tmp_path: Path) -> None:
    (origin.directory / "link").symlink_to(target)
    commit = origin.commit({})
    made = mirror(origin, tmp_path)
    asyncio.run(made.fetch())
    problem = problem_of(made.checkout(commit, tmp_path / "out"))
    assert problem.summary == "the link link leads out of the repository"


def test_hooks_submodules_and_filters_of_a_repository_do_not_run(origin: Origin, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    origin.write({".gitattributes": "* filter=run\n", ".gitmodules": '[submodule "x"]\npath = x\nurl = ext::sh\n'})
    commit = origin.commit({})
    hook = origin.directory / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {trace}\n")
    hook.chmod(0o755)
    made = mirror(origin, tmp_path)
    asyncio.run(made.fetch())
    asyncio.run(made.checkout(commit, tmp_path / "out"))
    assert not trace.exists()
    assert not list((tmp_path / "mirror.git").glob("hooks/*"))


def test_credentials_are_in_no_argument_and_in_no_message(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, seen = tmp_path / "bin", tmp_path / "seen"
    programs.mkdir()
    fake = programs / "git"
    fake.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >> {seen}.args\nenv >> {seen}.env\n'
        'if [ "$1" = fetch ]; then env >&2; echo "fatal: no access" >&2; exit 128; fi\nexec /usr/bin/env -u PATH true\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DBC_IAC_DATABASE", "canary-of-the-controller")
    source = SourceSpec.model_validate({"git": "https://git.invalid/x.git", "credentials": {"env": "GIT_TOKEN"}})
    made = Repository(source, tmp_path / "mirror.git", FetchLimits(MIB, 60), SecretText("canary-token"))
    problem = problem_of(made.fetch())
    basic = base64.b64encode(b"git:canary-token").decode()
    told = f"{problem.summary}{problem.detail}{problem.remedy}{Path(f'{seen}.args').read_text()}"
    assert "canary" not in told
    assert basic not in told
    environ = Path(f"{seen}.env").read_text()
    assert f"Authorization: Basic {basic}" in environ
    assert "canary-of-the-controller" not in environ
    assert "GIT_TERMINAL_PROMPT=0" in environ


def test_a_fetch_uses_the_proxy_which_does_not_get_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with raw_server(b"HTTP/1.1 407 Denied\r\nContent-Length: 0\r\n\r\n") as (url, seen):
        monkeypatch.setenv("HTTPS_PROXY", url)
        source = SourceSpec(git="https://git.example.invalid/infra.git")
        made = Repository(source, tmp_path / "mirror.git", FetchLimits(MIB, 60), SecretText("canary-token"))
        assert "407" in problem_of(made.fetch()).detail
    assert seen[0].startswith(b"CONNECT git.example.invalid:443 ")
    assert b"Authorization" not in seen[0]
