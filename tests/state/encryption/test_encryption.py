"""Sealed documents open for their readers, and only complete: flipped, cut, moved or swapped they do not open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nacl.public import PrivateKey

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.secret import SecretText
from dbc_iac.state import Store
from dbc_iac.state.backends.local import LocalBackend
from dbc_iac.state.encryption import (
    EncryptedBackend,
    KeyReader,
    Keyring,
    Passphrase,
    Private,
    Recipient,
    SecretKey,
    Writes,
    new_secret_key,
    public_of,
)
from dbc_iac.state.encryption.keys import MEMORY, OPERATIONS  # imported before `tests/conftest.py` lowers them
from tests.examples import examples
from tests.state.places import PLACES, Place, stored_state
from tests.state.records import unbind

KEY = SecretKey(SecretText("ab" * 32))
OTHER = SecretKey(SecretText("cd" * 32))
PRIVATE = SecretText("ef" * 32)
PUBLIC = bytes(PrivateKey(bytes.fromhex("ef" * 32)).public_key).hex()
WRITER = SecretText("77" * 32)
WRITES = public_of(WRITER)
CANARY = "canary-name"
HOLDER = {"command": "apply"}


def for_both(writer: SecretText) -> list[KeyReader]:
    return [Recipient(WRITES, writer), Recipient(PUBLIC, writer)]


def store(directory: Path, keys: Keyring | None = None, writes: Writes = Writes.SEALED, stack: str = "main") -> Store:
    inner = LocalBackend(directory, stack)
    return Store(EncryptedBackend(inner, keys or Keyring([KEY]), stack, writes), stack)


def new_store(directory: Path, keys: Keyring | None = None, stack: str = "main") -> Store:
    """A state, and a journal of three records after it."""
    made = store(directory, keys, stack=stack)
    with made.locked(HOLDER):
        stored_state(made, project=CANARY, lineage="l" + stack)
        made.journal.begin(serial=0, plan="", owner={"host": CANARY})
        made.journal.append([{"type": "gone", "address": "VirtualMachine/" + CANARY, "id": "7x"}])
        made.journal.append([unbind("VirtualMachine/" + CANARY)])
    return made


READERS: dict[str, tuple[Callable[[], Keyring], Callable[[], Keyring]]] = {
    "key": (lambda: Keyring([KEY]), lambda: Keyring([KEY])),
    "passphrase": (lambda: Keyring([Passphrase(SecretText("correct horse"))]),) * 2,
    "recipient": (lambda: Keyring([Recipient(PUBLIC, PRIVATE)], [Private(PRIVATE)]),) * 2,
    "one of several": (lambda: Keyring([OTHER, Recipient(PUBLIC, PRIVATE)]), lambda: Keyring([Recipient("11" * 32)], [Private(PRIVATE)])),
    "another recipient": (lambda: Keyring(for_both(WRITER), [Private(WRITER)]), lambda: Keyring(for_both(PRIVATE), [Private(PRIVATE, frozenset({WRITES}))])),
    "an older key": (lambda: Keyring([OTHER]), lambda: Keyring([KEY], [OTHER])),
}  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_its_readers_open_it(tmp_path: Path, name: str) -> None:
    write, read = (make() for make in READERS[name])
    new_store(tmp_path, write)
    state = store(tmp_path, read).read()
    assert state is not None and state.project == CANARY
    everything = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert CANARY.encode() not in everything.replace(b"lock", b"")


def strangers() -> Iterator[tuple[str, KeyReader]]:
    yield "key", OTHER
    yield "passphrase", Passphrase(SecretText("wrong horse"))
    yield "private key", Private(SecretText("33" * 32))


@pytest.mark.parametrize("written", [KEY, Passphrase(SecretText("correct horse")), Recipient(PUBLIC, PRIVATE)])
@pytest.mark.parametrize("name", [name for name, _ in strangers()])
def test_nobody_else_does(tmp_path: Path, written: KeyReader, name: str) -> None:
    new_store(tmp_path, Keyring([written]))
    with pytest.raises(DiagnosticError) as refused:
        store(tmp_path, Keyring([dict(strangers())[name]])).read()
    assert refused.value.diagnostics[0].code == "wrong-key"


def test_who_knows_only_public_keys_cannot_write_for_them(tmp_path: Path) -> None:
    """Nor can somebody whose own key is none of the readers'."""
    keys = Keyring([Recipient(PUBLIC, PRIVATE)], [Private(PRIVATE, frozenset({PUBLIC}))])
    new_store(tmp_path, keys)
    forged = tmp_path / "forged"
    new_store(forged, Keyring([Recipient(PUBLIC, WRITER), Recipient(WRITES, WRITER)]))
    for file in ("main.json", "main.journal.jsonl"):
        (tmp_path / file).write_bytes((forged / file).read_bytes())
    with pytest.raises(DiagnosticError) as refusal:
        store(tmp_path, keys).read()
    assert refusal.value.diagnostics[0].code == "wrong-key"
    for ring in (Keyring([Recipient(PUBLIC)]), Keyring([KEY, Recipient(PUBLIC, WRITER)])):
        with pytest.raises(DiagnosticError) as unwritten:
            new_store(tmp_path / "none", ring)
        assert unwritten.value.diagnostics[0].code == "no-private-key"


def test_a_state_of_a_removed_reader_is_encrypted_again_for_the_readers_only(tmp_path: Path) -> None:
    new_store(tmp_path, Keyring(for_both(WRITER), [Private(WRITER)]))
    left = Keyring([Recipient(PUBLIC, PRIVATE)], [Private(PRIVATE, frozenset({PUBLIC}))])
    with pytest.raises(DiagnosticError):
        store(tmp_path, left).read()
    retired = Keyring(left.readers, [Private(PRIVATE, frozenset({PUBLIC, WRITES})), Recipient(WRITES)])
    rotating = store(tmp_path, retired, Writes.NEW_KEY)
    with rotating.locked(HOLDER):
        state = rotating.read()
        assert state is not None
        rotating.commit(state)
    assert store(tmp_path, left).read() is not None


def test_a_journal_that_is_labelled_as_an_older_one_is_seen(tmp_path: Path) -> None:
    new_store(tmp_path)
    file = tmp_path / "main.journal.jsonl"
    lines = [json.loads(line) for line in file.read_bytes().splitlines()]
    relabelled = [json.dumps({**line, "key": "0" * 16, "serial": -1}) for line in lines]
    in_the_clear = ['{"type":"unbind","address":"x"}'] * 3
    for forged in (relabelled, in_the_clear):
        file.write_text("".join(line + "\n" for line in forged))
        assert refused(tmp_path)


def test_only_the_very_journal_that_a_new_key_has_ended_is_passed_over(tmp_path: Path) -> None:
    new_store(tmp_path)
    file = tmp_path / "main.journal.jsonl"
    lines = file.read_bytes()
    changing = store(tmp_path, writes=Writes.NEW_KEY)
    with changing.locked(HOLDER):
        state = changing.read()
        assert state is not None
        changing.commit(state)
    file.write_bytes(lines)
    assert store(tmp_path).read() is not None
    file.write_bytes(b"".join(lines.splitlines(keepends=True)[:2]))
    assert refused(tmp_path)


def test_a_key_is_not_changed_of_what_is_in_the_clear(tmp_path: Path) -> None:
    clear = Store(LocalBackend(tmp_path, "main"), "main")
    with clear.locked(HOLDER):
        stored_state(clear)
    with pytest.raises(DiagnosticError) as refusal:
        store(tmp_path, writes=Writes.NEW_KEY).read()
    assert refusal.value.diagnostics[0].code == "state-in-the-clear"
    for text in (b"", b"garbage", b"[]", b'{"formatVersion": 1', b"[" * 100_000):
        (tmp_path / "main.json").write_bytes(text)
        with pytest.raises(DiagnosticError) as none:
            store(tmp_path).read()
        assert none.value.diagnostics[0].code == "state-altered"


def refused(directory: Path) -> bool:
    try:
        store(directory).read()
    except DiagnosticError as error:
        assert error.diagnostics[0].code in {
            "state-altered",
            "wrong-key",
            "state-newer",
            "state-corrupt",
            "state-encrypted",
            "state-in-the-clear",
        }
        return True
    return False


@settings(
    max_examples=examples(suite=50, proof=300),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_byte_that_is_changed_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("sealed")
    new_store(directory)
    file = data.draw(st.sampled_from([directory / "main.json", directory / "main.journal.jsonl"]))
    content = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(content) - 2))
    content[at] ^= data.draw(st.integers(1, 255))
    if content.count(b"\n") != file.read_bytes().count(b"\n") or bytes(content).split() == file.read_bytes().split():
        return  # a journal without its last line end is one that a crash cut short
    before = store(directory).read()
    file.write_bytes(content)
    if not refused(directory):  # JSON may be written in more than one way: then it says the same
        assert store(directory).read() == before
        assert _meant(bytes(content)) == _meant(bytes(content))


def _meant(content: bytes) -> list[object]:
    return [json.loads(line) for line in content.splitlines()]


@settings(max_examples=60)
@given(st.data())
def test_a_state_that_is_cut_short_is_seen(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    directory = tmp_path_factory.mktemp("sealed")
    new_store(directory)
    file = directory / "main.json"
    content = file.read_bytes()
    file.write_bytes(content[: data.draw(st.integers(1, len(content) - 3))])
    assert refused(directory)


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2, 1], [0, 2], [1, 2], [0, 0, 1, 2], [0, 1, 1]])
def test_lines_that_are_moved_missing_or_repeated_are_seen(tmp_path: Path, order: list[int]) -> None:
    new_store(tmp_path)
    file = tmp_path / "main.journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[n] for n in order))
    assert refused(tmp_path)


def test_a_line_in_the_clear_takes_the_place_of_none(tmp_path: Path) -> None:
    new_store(tmp_path)
    file = tmp_path / "main.journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    for stale in (b'{"type":"unbind","address":"x"}\n', b'{"key":"00","serial":-1,"sealed":""}\n'):
        file.write_bytes(lines[0] + stale + lines[2])
        assert refused(tmp_path)


def test_the_state_of_another_stack_or_an_older_one_is_seen(tmp_path: Path) -> None:
    made = new_store(tmp_path)
    new_store(tmp_path, stack="other")
    mine = (tmp_path / "main.json").read_bytes()
    (tmp_path / "main.json").write_bytes((tmp_path / "other.json").read_bytes())
    assert refused(tmp_path)
    (tmp_path / "main.json").write_bytes(mine)
    with made.locked(HOLDER):
        state = made.read()
        assert state is not None
        made.journal.begin(serial=made.commit(state).serial, plan="", owner={})
    (tmp_path / "main.json").write_bytes(mine)
    with pytest.raises(DiagnosticError) as behind:
        store(tmp_path).read()
    assert behind.value.diagnostics[0].code == "state-behind"


def test_an_older_state_is_seen_by_the_versions_that_are_kept(tmp_path: Path) -> None:
    made = new_store(tmp_path)
    with made.locked(HOLDER):
        state = made.read()
        assert state is not None
        made.commit(made.commit(state))
    for serial in (0, 1):
        (tmp_path / "main.json").write_bytes((tmp_path / "history" / f"main.{serial}.json").read_bytes())
        with pytest.raises(DiagnosticError) as older:
            store(tmp_path).read()
        assert older.value.diagnostics[0].code == "state-older"


def test_a_state_in_the_clear_is_not_taken_for_an_encrypted_one(tmp_path: Path) -> None:
    clear = Store(LocalBackend(tmp_path, "main"), "main")
    with clear.locked(HOLDER):
        stored_state(clear)
    with pytest.raises(DiagnosticError) as refusal:
        store(tmp_path).read()
    assert refusal.value.diagnostics[0].code == "state-in-the-clear"


@pytest.mark.parametrize("writes", [Writes.NEW_KEY, Writes.FIRST, Writes.CLEAR])
def test_a_crash_before_the_journal_is_cleared_leaves_no_line_that_counts(tmp_path: Path, writes: Writes) -> None:
    new_store(tmp_path)
    lines = (tmp_path / "main.journal.jsonl").read_bytes()
    changing = store(tmp_path, writes=writes)
    with changing.locked(HOLDER):
        state = changing.read()
        assert state is not None
        following = changing.commit(state)
    (tmp_path / "main.journal.jsonl").write_bytes(lines)
    again = store(tmp_path, writes=writes)
    assert again.read() == following
    with again.locked(HOLDER):
        again.journal.begin(serial=following.serial, plan="", owner={})
    assert again.read() == following


def test_a_header_cannot_ask_for_more_memory_than_there_is(tmp_path: Path) -> None:
    phrase = Keyring([Passphrase(SecretText("correct horse"))])
    new_store(tmp_path, phrase)
    file = tmp_path / "main.json"
    said = json.loads(file.read_text())
    said["keys"][0]["memory"] = 1 << 50
    file.write_text(json.dumps(said))
    with pytest.raises(DiagnosticError) as refusal:
        store(tmp_path, phrase).read()
    assert refusal.value.diagnostics[0].code == "wrong-key"


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


def test_every_place_keeps_it(place: Place) -> None:
    def sealed() -> Store:
        return Store(EncryptedBackend(place.open(), Keyring([KEY]), "main"), "main")

    first = sealed()
    with first.locked(HOLDER):
        stored_state(first, project=CANARY)
        first.journal.begin(serial=0, plan="", owner={"host": CANARY})
    second = sealed()
    with second.locked(HOLDER):
        state = second.read()
        assert state is not None
        assert second.last_plan == ""
        second.commit(state)
    stored = place.open().read()
    assert stored is not None and CANARY.encode() not in stored.content
    assert json.loads(stored.content)["serial"] == 1


@pytest.mark.parametrize(
    ("kind", "many", "words"),
    [("passphrase", 5, r"5 passphrases \(at most 4\)"), ("key", 65, r"65 keys \(at most 64\)")],
)
def test_a_header_with_too_many_keys_is_refused_before_any_is_tried(
    tmp_path: Path, kind: str, many: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Passphrase(SecretText("correct horse")) if kind == "passphrase" else SecretKey(new_secret_key())
    new_store(tmp_path, Keyring([reader]))
    file = tmp_path / "main.json"
    said = json.loads(file.read_text())
    said["keys"] *= many
    file.write_text(json.dumps(said))
    monkeypatch.setattr(type(reader), "unwrap", None)
    with pytest.raises(DiagnosticError, match=words):
        store(tmp_path, Keyring([reader])).read()


@pytest.mark.parametrize("public", ["0" * 64, "01" + "0" * 62, "ec" + "f" * 60 + "7f"])
def test_a_public_key_that_everybody_can_open_is_no_recipient(public: str) -> None:
    with pytest.raises(DiagnosticError, match="is not a usable public key"):
        Recipient(public, new_secret_key())


def test_a_passphrase_costs_as_much_as_rfc_9106_recommends() -> None:
    assert (OPERATIONS >= 3, MEMORY >= 64 * 1024 * 1024) == (True, True)
