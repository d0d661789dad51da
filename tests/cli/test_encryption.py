"""Encryption as users meet it: the state of a project, its plan files, and the keys that change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.state.backends import local
from tests.projects import PROJECT, Emulated, project, start_state, vm
from tests.proof.ends import Interposed, Point

KEYS = {"KEY": "ab" * 32, "OLD": "cd" * 32, "PHRASE": "correct horse canary"}
CANARY = "canaryvm"
BY_KEY = "{key: {env: KEY}}"
BY_PHRASE = "{passphrase: {env: PHRASE}}"


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[Callable[..., Emulated]]:
    made: list[Emulated] = []

    def make(encryption: str = BY_KEY) -> Emulated:
        emulated = Emulated(project(tmp_path / "lab", vm(CANARY), environ=dict(KEYS)))
        made.append(emulated)
        write(emulated, encryption)
        return emulated

    yield make
    for emulated in made:
        emulated.close()


def write(emulated: Emulated, encryption: str) -> None:
    text = PROJECT + (f"  encryption: {encryption}\n" if encryption else "")
    emulated.project.write({"dbc-iac.yaml": text})


def kept(emulated: Emulated) -> bytes:
    """All that was written but the manifests."""
    directory = emulated.project.directory
    return b"".join(p.read_bytes() for p in directory.rglob("*") if p.is_file() and "manifests" not in p.parts)


def converges(emulated: Emulated) -> None:
    assert emulated.run("apply", "--yes").code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert len(emulated.vms) == 1


@pytest.mark.parametrize("encryption", [BY_KEY, BY_PHRASE])
def test_nothing_of_what_is_rented_is_kept_in_the_clear(encrypted: Callable[..., Emulated], encryption: str) -> None:
    emulated = encrypted(encryption)
    file = emulated.project.directory / "the.plan"
    assert emulated.run("plan", "-o", str(file)).code == 0
    assert emulated.run("apply", str(file)).code == 0
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    [identity] = emulated.vms
    assert [text for text in (CANARY, identity, *KEYS.values()) if text.encode() in kept(emulated)] == []
    assert CANARY in emulated.run("state", "list").out
    assert CANARY in emulated.run("show", str(file)).out
    assert "1 to create" in emulated.run("show", str(file)).out


def test_what_was_ended_is_continued_from_an_encrypted_journal(encrypted: Callable[..., Emulated]) -> None:
    emulated = encrypted()
    assert Interposed(emulated, Point("call", 1, "sent")).run("apply", "--yes") is None
    assert CANARY.encode() not in kept(emulated)
    converges(emulated)


def test_a_key_is_changed(encrypted: Callable[..., Emulated]) -> None:
    emulated = encrypted("{key: {env: OLD}}")
    converges(emulated)
    write(emulated, BY_KEY)
    refused = emulated.run("plan", "--json")
    assert (refused.code, refused.codes) == (3, ["wrong-key"])
    write(emulated, "{key: {env: KEY}, fallback: [{key: {env: OLD}}]}")
    assert emulated.run("plan", "--detailed-exitcode").code == 0
    assert "new key" in emulated.run("state", "rotate-key").out
    write(emulated, BY_KEY)
    converges(emulated)
    write(emulated, "{key: {env: OLD}}")
    assert emulated.run("plan", "--json").codes == ["wrong-key"]


def test_encryption_is_turned_on_and_off_by_commands_only(encrypted: Callable[..., Emulated]) -> None:
    emulated = encrypted("")
    converges(emulated)
    write(emulated, BY_KEY)
    assert emulated.run("apply", "--yes", "--json").codes == ["state-in-the-clear"]
    told = emulated.run("state", "encrypt")
    assert (told.code, "Older versions are not" in told.out) == (0, True)
    converges(emulated)
    write(emulated, "")
    assert emulated.run("plan", "--json").codes == ["state-encrypted"]
    write(emulated, BY_KEY)
    serial = emulated.run("show", "--json").json["serial"]
    assert "already" in emulated.run("state", "encrypt").out
    assert "Remove `encryption`" in emulated.run("state", "decrypt").out
    assert emulated.run("state", "rotate-key", "--json").codes == ["state-in-the-clear"]
    assert "already" in emulated.run("state", "decrypt").out
    assert emulated.run("plan", "--json").codes == ["state-in-the-clear"]
    write(emulated, "")
    assert emulated.run("show", "--json").json["serial"] == serial + 1
    converges(emulated)


BOTH = "{key: {env: KEY}, passphrase: {env: PHRASE}}"


def test_one_of_the_keys_is_enough_to_read_and_all_are_needed_to_write(encrypted: Callable[..., Emulated]) -> None:
    emulated = encrypted(BOTH)
    converges(emulated)
    project(emulated.project.directory, vm(CANARY, memory="16Gi"), environ=emulated.project.environ)
    write(emulated, BOTH)
    for name in ("KEY", "PHRASE"):
        value = emulated.project.environ.pop(name)
        assert CANARY in emulated.run("state", "list").out
        assert emulated.run("plan", "--detailed-exitcode").code == 2
        refused = emulated.run("apply", "--yes", "--json")
        assert (refused.code, refused.codes[-1]) == (3, "secret-missing"), refused.err
        emulated.project.environ[name] = value
    for name in ("KEY", "PHRASE"):
        del emulated.project.environ[name]
    none = emulated.run("state", "list", "--json")
    assert (none.code, none.codes) == (3, ["secret-missing", "secret-missing", "wrong-key"])


def test_each_reader_has_a_key_of_its_own(encrypted: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = encrypted()
    names = ("ann", "bob", "eve")
    public = {name: emulated.run("state", "new-key", str(tmp_path / name)).out.strip() for name in names}
    environ = emulated.project.environ
    readers = f"recipients: ['{public['ann']}', '{public['bob']}'], privateKey: {{env: MINE}}"
    for memory, name in enumerate(("ann", "bob", "ann"), 1):
        environ["MINE"] = (tmp_path / name).read_text()
        project(emulated.project.directory, vm(CANARY, memory=f"{8 * memory}Gi"), environ=environ)
        write(emulated, f"{{{readers}}}")
        converges(emulated)
    environ["MINE"] = (tmp_path / "eve").read_text()
    assert emulated.run("plan", "--json").codes == ["wrong-key"]
    environ["MINE"] = (tmp_path / "bob").read_text()
    write(emulated, f"{{recipients: ['{public['bob']}'], privateKey: {{env: MINE}}}}")
    assert emulated.run("plan", "--json").codes == ["wrong-key"]  # the last to write is not to be trusted any more
    retired = f"fallback: [{{recipient: '{public['ann']}'}}]"
    write(emulated, f"{{recipients: ['{public['bob']}'], privateKey: {{env: MINE}}, {retired}}}")
    assert emulated.run("state", "rotate-key").code == 0
    write(emulated, f"{{recipients: ['{public['bob']}'], privateKey: {{env: MINE}}}}")
    converges(emulated)


def test_files_in_the_clear_are_not_acted_on_where_a_project_encrypts(
    encrypted: Callable[..., Emulated], tmp_path: Path
) -> None:
    emulated = encrypted("")
    plan, copy = str(tmp_path / "the.plan"), str(tmp_path / "copy.json")
    start_state(emulated)
    assert emulated.run("plan", "-o", plan).code == 0
    assert emulated.run("state", "pull", "-o", copy).code == 0
    write(emulated, BY_KEY)
    assert emulated.run("state", "encrypt").code == 0
    for command in (["apply", plan], ["apply", "--yes", "--expect", plan], ["state", "push", copy]):
        refused = emulated.run(*command, "--json")
        assert (refused.code, refused.codes, emulated.vms) == (5, ["file-in-the-clear"], {})
    assert emulated.run("show", plan).code == 0


def test_a_crash_while_the_key_changes_leaves_the_old_or_the_new_one(
    encrypted: Callable[..., Emulated], monkeypatch: pytest.MonkeyPatch
) -> None:
    emulated = encrypted("{key: {env: OLD}}")
    converges(emulated)
    write(emulated, "{key: {env: KEY}, fallback: [{key: {env: OLD}}]}")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(local, "replace", full)
        assert emulated.run("state", "rotate-key").code == 7
    converges(emulated)


@pytest.mark.parametrize(
    ("encryption", "said"),
    [
        ("{}", "passphrase, key or recipients"),
        ("{recipients: [xyz]}", "recipients"),
        ("{key: secret}", "expected a reference"),
        ("{key: {env: KEY}, fallback: [{}]}", "Keep one of passphrase, key, privateKey and recipient"),
    ],
)
def test_invalid_encryption_is_reported(encrypted: Callable[..., Emulated], encryption: str, said: str) -> None:
    refused = encrypted(encryption).run("validate")
    assert (refused.code, said in refused.err) == (3, True), refused.err


def test_a_new_key_is_for_its_owner_only(encrypted: Callable[..., Emulated], tmp_path: Path) -> None:
    emulated = encrypted()
    file = tmp_path / "lab.key"
    public = emulated.run("state", "new-key", str(file)).out.strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert emulated.run("state", "new-key", str(file)).code != 0
    write(emulated, f"{{recipients: ['{public}'], privateKey: {{file: {file}}}}}")
    converges(emulated)
    assert file.read_text().strip().encode() not in kept(emulated)
    write(emulated, BY_KEY)
    assert emulated.run("plan", "--json").codes == ["wrong-key"]
    emulated.project.environ["KEY"] = "not a key"
    write(emulated, f"{{key: {{env: KEY}}, fallback: [{{privateKey: {{file: {file}}}}}]}}")
    refused = emulated.run("plan")
    assert (refused.code, "is not 64 hex digits" in refused.err) == (3, True), refused
