"""The way to a target: envelopes, client nodes in order, lanes, sessions, events."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from dbc_iac.api.auth.credentials import (
    CollectedSignature,
    MultisigCredentials,
    NodeKeyCredentials,
    SessionCredentials,
    WalletCredentials,
)
from dbc_iac.api.auth.keys import verify
from dbc_iac.api.auth.sessions import SessionStore
from dbc_iac.api.channel import Channel, bad_session_id
from dbc_iac.api.idempotency import CallClass, CallEvent
from dbc_iac.api.outcome import Done, NotSent, RefusalKind, Refused, Unknown
from dbc_iac.api.transport import MAX_BYTES
from dbc_iac.api.wire_types import UnsafeWireValue
from dbc_iac.secret import SecretText
from tests.api.support import TARGET, Script, channel, connections, key, nonce, ok, run, session_id

RENTER = WalletCredentials(key("renter"))
SESSION = SessionCredentials(SecretText("the-id"), SecretText("the-sign"))
SESSION_ID = "3bRdLmvPMrHVBBL97N8Qpceq3DnziLNAaDJzfpsayiqXN3bHpeW2ANv"
OK = ok("ok")
OBTAINED = ok({"session_id": SESSION_ID})
INVALID = ok("check authority failed: session_id is invalid", -3)
UNKNOWN_TARGET = ok("create node request failed", -32701, 400)
NO_PEERS = ok("broadcast request failed", -32701, 400)
TIMEOUT = ok("start task timeout", -1, 500)


# Envelopes


def test_a_session_is_put_into_the_envelope_with_the_rent_order() -> None:
    script = Script(OK)
    run(channel(script, credentials=SESSION, rent_order="112").act("/tasks", {}, CallClass.READ))
    assert script.bodies == [
        {
            "peer_nodes_list": [TARGET],
            "additional": {},
            "session_id": "the-id",
            "session_id_sign": "the-sign",
            "rent_order": "112",
        }
    ]


def test_what_anyone_may_see_is_asked_without_credentials() -> None:
    script = Script(OK)
    run(channel(script, credentials=RENTER, rent_order="112").read_public("/mining_nodes"))
    assert script.bodies == [{"peer_nodes_list": [TARGET], "additional": {}, "rent_order": "112"}]


def test_the_client_node_itself_is_asked_with_an_empty_list() -> None:
    script = Script(OK)
    run(channel(script).ask_client("/mining_nodes"))
    assert script.bodies == [{"peer_nodes_list": [], "additional": {}}]


def test_text_beyond_ascii_is_sent_as_json() -> None:
    script = Script(OK)
    run(channel(script, credentials=SESSION).act("/tasks/start", {"desc": "在 ü"}, CallClass.KEYED))
    assert script.bodies[0]["additional"] == {"desc": "在 ü"}
    json.loads(script.requests[0].content)


@pytest.mark.parametrize("target", ["", "abc", TARGET.upper(), TARGET + "0", 5, None])
def test_a_target_that_is_no_node_id_is_never_sent(target: Any) -> None:
    script = Script(OK)
    way = channel(script, credentials=SESSION)
    with pytest.raises(UnsafeWireValue):
        run(Channel(way.connections, target, SESSION, way.clients).act("/tasks", {}, CallClass.READ))
    assert script.requests == []


@pytest.mark.parametrize("rent_order", ["none", "1 or 2", "-1", "1" * 21, "١"])
def test_a_rent_order_that_is_no_number_is_never_sent(rent_order: str) -> None:
    script = Script(OK)
    with pytest.raises(UnsafeWireValue):
        run(channel(script, credentials=SESSION, rent_order=rent_order).act("/tasks", {}, CallClass.READ))
    assert script.requests == []


@pytest.mark.parametrize(
    "additional", [{"a": True}, {"a": 1.5}, {"a": None}, {"a": 'x"'}, {"a": [2**31]}, {"a\n": "b"}]
)
def test_an_unsafe_value_is_never_sent(additional: dict[str, Any]) -> None:
    script = Script(OK)
    with pytest.raises(UnsafeWireValue):
        run(channel(script, credentials=SESSION).act("/tasks/start", additional, CallClass.KEYED))
    assert script.requests == []


# Client nodes in order


@pytest.mark.parametrize(
    "missed", [UNKNOWN_TARGET, NO_PEERS, httpx.ConnectError("refused")], ids=["id", "peers", "tcp"]
)
def test_the_next_client_node_is_taken_where_one_did_not_pass_it_on(missed: Any) -> None:
    first, second = Script(missed), Script(OK)
    outcome = run(channel(first, second, credentials=SESSION).act("/lan/create", {}, CallClass.KEYED))
    assert outcome == Done("ok")
    assert (len(first.requests), len(second.requests)) == (1, 1)


@pytest.mark.parametrize(
    "answer",
    [TIMEOUT, httpx.ReadError("reset"), ok("task is running", 1), ok("bad", -25, 400), httpx.Response(200, text="?")],
    ids=["timeout", "broken", "refused", "local", "nonsense"],
)
def test_no_other_client_node_is_taken_when_the_target_may_have_heard(answer: Any) -> None:
    first, second = Script(answer), Script(OK)
    outcome = run(channel(first, second, credentials=SESSION).act("/tasks/start", {}, CallClass.KEYED))
    assert isinstance(outcome, Unknown | Refused)
    assert second.requests == []


@pytest.mark.parametrize(
    ("call_class", "broken", "sent"),
    [
        (CallClass.READ, [httpx.ReadError("reset")], 2),
        (CallClass.READ, [httpx.ReadError("reset"), httpx.RemoteProtocolError("gone")], 2),
        (CallClass.READ, [TIMEOUT], 1),
        (CallClass.READ, [httpx.ConnectError("refused")], 1),
        (CallClass.IDEMPOTENT, [httpx.ReadError("reset")], 1),
        (CallClass.KEYED, [httpx.ReadError("reset")], 1),
        (CallClass.BLIND, [httpx.ReadError("reset")], 1),
    ],
)
def test_only_what_looks_is_sent_once_more_when_its_connection_broke(
    call_class: CallClass, broken: list[Any], sent: int
) -> None:
    script = Script(*broken, OK)
    outcome = run(channel(script, credentials=SESSION).act("/tasks", {}, call_class))
    assert len(script.requests) == sent
    assert (outcome == Done("ok")) is (sent > len(broken))


def test_a_session_is_asked_for_once_more_with_a_fresh_nonce_when_the_connection_broke() -> None:
    script = Script(httpx.ReadError("reset"), OBTAINED, OK)
    assert run(channel(script, credentials=WalletCredentials(key("tenant"))).act("/tasks", {}, CallClass.READ)) == Done(
        "ok"
    )
    assert script.paths == ["/mining_nodes/session_id", "/mining_nodes/session_id", "/tasks"]
    assert script.bodies[0]["nonce"] != script.bodies[1]["nonce"]


def test_refusals_of_all_client_nodes_are_reported_together() -> None:
    outcome = run(
        channel(Script(UNKNOWN_TARGET), Script(httpx.ConnectError("x")), credentials=SESSION).act(
            "/tasks", {}, CallClass.READ
        )
    )
    assert isinstance(outcome, NotSent)
    assert outcome.target_unknown
    assert outcome.retry_after is None
    assert run(channel().act("/tasks", {}, CallClass.READ)) == NotSent("no client node is configured")


def test_a_client_node_without_peers_rests_and_the_others_do_not() -> None:
    async def work() -> None:
        first, second = Script(NO_PEERS, OK), Script(OK)
        way = channel(first, second, credentials=SESSION)
        await way.act("/tasks", {}, CallClass.READ)
        await way.act("/tasks", {}, CallClass.READ)
        assert (len(first.requests), len(second.requests)) == (1, 2)
        await asyncio.sleep(60.1)
        await way.act("/tasks", {}, CallClass.READ)
        assert (len(first.requests), len(second.requests)) == (2, 2)

    run(work())


def test_the_shortest_rest_of_all_client_nodes_is_reported() -> None:
    async def work() -> None:
        way = channel(Script(NO_PEERS), Script(NO_PEERS), credentials=SESSION)
        assert await way.act("/tasks", {}, CallClass.READ) == NotSent("broadcast request failed", 60.0)
        await asyncio.sleep(10)
        again = await way.act("/tasks", {}, CallClass.READ)
        assert isinstance(again, NotSent)
        assert again.retry_after == pytest.approx(50, abs=0.1)

    run(work())


# Silent client nodes


OTHERS = [f"{n:064x}" for n in range(20)]


async def hang(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(1000)
    return OK


async def silent_client(*answers: Any, credentials: Any = SESSION) -> tuple[Script, list[Channel]]:
    """A client node that had no answer for reads of two targets and gives `answers` next, and channels through it."""
    script = Script(hang, hang, *answers)
    shared = connections(script.node("a"))
    first, second = (Channel(shared, target, SESSION, ["a"]) for target in OTHERS[:2])
    assert isinstance(await first.act("/tasks", {}, CallClass.READ), Unknown)
    assert isinstance(await second.act("/tasks", {}, CallClass.READ), Unknown)
    return script, [Channel(shared, target, credentials, ["a"]) for target in OTHERS]


@pytest.mark.parametrize("places", [1, 4])
def test_all_reads_through_a_silent_client_node_end_within_two_deadlines(places: int) -> None:
    script = Script(hang)

    async def work() -> float:
        shared = connections(script.node("a", max_in_flight=places))
        ways = [Channel(shared, target, RENTER, ["a"]) for target in OTHERS]
        outcomes = await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for way in ways for _ in range(5)))
        assert not [one for one in outcomes if not isinstance(one, NotSent)]
        assert outcomes[-1] == NotSent(
            "client node a (http://127.0.0.1:5050) does not answer; reads resume in 60 s", retry_after=60
        )
        return asyncio.get_running_loop().time()

    assert run(work()) <= 81
    assert len(script.requests) == max(2, places)


def test_a_silent_target_does_not_stop_reads_of_others() -> None:
    async def one_hangs(request: httpx.Request) -> httpx.Response:
        return await hang(request) if json.loads(request.content)["peer_nodes_list"] == [TARGET] else OK

    async def work() -> None:
        shared = connections(Script(one_hangs).node("a"))
        silent, other = (Channel(shared, target, SESSION, ["a"]) for target in (TARGET, OTHERS[0]))
        for _ in range(3):
            assert isinstance(await silent.act("/tasks", {}, CallClass.READ), Unknown)
        for _ in range(3):
            assert await other.act("/tasks", {}, CallClass.READ) == Done("ok")
            assert isinstance(await silent.act("/tasks", {}, CallClass.READ), Unknown)

    run(work())


@pytest.mark.parametrize(
    "answer", [OK, TIMEOUT, httpx.Response(200, content=bytes(MAX_BYTES + 1))], ids=["done", "timeout", "too-long"]
)
def test_two_silent_targets_with_an_answer_in_between_do_not_stop_reads(answer: httpx.Response) -> None:
    async def work() -> None:
        shared = connections(Script(hang, answer, hang, OK).node("a"))
        ways = [Channel(shared, target, SESSION, ["a"]) for target in OTHERS[:4]]
        outcomes = [await way.act("/tasks", {}, CallClass.READ) for way in ways]
        assert outcomes[3] == Done("ok")

    run(work())


def test_broken_connections_do_not_stop_reads() -> None:
    async def work() -> None:
        shared = connections(Script(*[httpx.ReadError("reset")] * 4, OK).node("a"))
        ways = [Channel(shared, target, SESSION, ["a"]) for target in OTHERS[:3]]
        outcomes = [await way.act("/tasks", {}, CallClass.READ) for way in ways]
        assert [type(one) for one in outcomes] == [Unknown, Unknown, Done]

    run(work())


def test_servers_of_one_silent_manager_are_one_silent_target() -> None:
    async def work() -> None:
        shared = connections(Script(hang, hang, OK).node("a"))
        for target in OTHERS[:2]:
            server = Channel(shared, target, SESSION, ["a"], lane=TARGET)
            assert isinstance(await server.act("/power", {}, CallClass.READ), Unknown)
        assert await Channel(shared, OTHERS[2], SESSION, ["a"]).act("/tasks", {}, CallClass.READ) == Done("ok")

    run(work())


def test_reads_go_to_the_next_client_node_while_the_first_is_silent() -> None:
    async def work() -> None:
        first, second = Script(hang), Script(OK)
        shared = connections(first.node("a"), second.node("b"))
        ways = [Channel(shared, target, SESSION, ["a", "b"]) for target in OTHERS]
        outcomes = [await way.act("/tasks", {}, CallClass.READ) for way in ways]
        assert [type(one) for one in outcomes] == [Unknown, Unknown] + [Done] * 18
        assert (len(first.requests), len(second.requests)) == (2, 18)

    run(work())


@pytest.mark.parametrize("call_class", [CallClass.IDEMPOTENT, CallClass.KEYED, CallClass.BLIND])
def test_a_change_and_its_session_are_sent_to_a_silent_client_node(call_class: CallClass) -> None:
    async def work() -> None:
        script, ways = await silent_client(OBTAINED, OK, credentials=RENTER)
        assert isinstance(await ways[2].act("/tasks", {}, CallClass.READ), NotSent)
        assert len(script.requests) == 2
        assert await ways[2].act("/tasks/start", {}, call_class) == Done("ok")
        assert script.paths[2:] == ["/mining_nodes/session_id", "/tasks/start"]

    run(work())


def test_changes_without_an_answer_stop_no_reads() -> None:
    async def work() -> None:
        shared = connections(Script(hang, hang, OK).node("a"))
        ways = [Channel(shared, target, SESSION, ["a"]) for target in OTHERS]
        for way in ways[:2]:
            assert isinstance(await way.act("/tasks/start", {}, CallClass.KEYED), Unknown)
        assert await ways[2].act("/tasks", {}, CallClass.READ) == Done("ok")

    run(work())


def test_an_answer_to_a_change_ends_the_pause_of_reads() -> None:
    async def work() -> None:
        _, ways = await silent_client(ok("task is running", 1), OK)
        assert isinstance(await ways[2].act("/tasks", {}, CallClass.READ), NotSent)
        assert isinstance(await ways[2].act("/tasks/start", {}, CallClass.KEYED), Refused)
        assert await ways[2].act("/tasks", {}, CallClass.READ) == Done("ok")

    run(work())


def test_one_read_without_an_answer_after_the_pause_starts_another() -> None:
    async def work() -> None:
        script, ways = await silent_client(hang, OK)
        await asyncio.sleep(60.1)
        assert isinstance(await ways[0].act("/tasks", {}, CallClass.READ), Unknown)
        assert isinstance(await ways[2].act("/tasks", {}, CallClass.READ), NotSent)
        assert len(script.requests) == 3
        await asyncio.sleep(60.1)
        assert await ways[2].act("/tasks", {}, CallClass.READ) == Done("ok")
        assert await ways[3].act("/tasks", {}, CallClass.READ) == Done("ok")

    run(work())


# Lanes


async def slowly(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(5)
    return OK


def test_one_request_at_a_time_through_a_client_node() -> None:
    async def work(places: int) -> int:
        script = Script(slowly)
        shared = connections(script.node("a", max_in_flight=places))
        ways = [Channel(shared, f"{n:064x}", SESSION, ["a"]) for n in range(6)]
        await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for way in ways))
        return script.most_in_flight

    assert run(work(1)) == 1
    assert run(work(3)) == 3


@pytest.mark.parametrize(
    ("answer", "expected"), [(OK, ["sent", "sent", "read", "read"]), (NO_PEERS, ["sent", "read", "read"])]
)
def test_the_next_request_goes_out_before_an_answer_is_read_unless_it_asks_for_a_pause(
    answer: httpx.Response, expected: list[str]
) -> None:
    seen: list[str] = []

    async def slow(request: httpx.Request) -> httpx.Response:
        seen.append("sent")
        await asyncio.sleep(1)
        return answer

    async def work() -> None:
        shared = connections(Script(slow).node("a"))
        shared.observer = lambda event: seen.append("read")
        ways = [Channel(shared, f"{n:064x}", SESSION, ["a"]) for n in range(2)]
        await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for way in ways))

    run(work())
    assert seen == expected


def test_one_request_at_a_time_to_a_target_through_any_client_node() -> None:
    async def work(lanes: tuple[str | None, str | None]) -> float:
        scripts = [Script(slowly), Script(slowly)]
        shared = connections(*(script.node(name) for script, name in zip(scripts, "ab", strict=True)))
        targets = ("0" * 64, "1" * 64) if lanes[0] else (TARGET, TARGET)
        ways = [Channel(shared, targets[i], SESSION, ["ab"[i]], lane=lanes[i]) for i in range(2)]
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for way in ways))
        return asyncio.get_running_loop().time() - started

    assert run(work((None, None))) == pytest.approx(10, abs=0.1)
    # two servers of one manager are one process, two managers are two
    assert run(work(("manager", "manager"))) == pytest.approx(10, abs=0.1)
    assert run(work(("manager", "other"))) == pytest.approx(5, abs=0.1)


def test_waiting_for_a_turn_does_not_count_against_the_deadline() -> None:
    async def nearly(request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(30)
        return OK

    async def work() -> None:
        way = channel(Script(nearly), credentials=SESSION)
        outcomes = await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for _ in range(3)))
        assert outcomes == [Done("ok")] * 3

    run(work())


def test_a_cancelled_call_gives_its_places_back() -> None:
    async def work() -> None:
        way = channel(Script(hang, OK), credentials=SESSION)
        stuck = asyncio.create_task(way.act("/tasks", {}, CallClass.READ))
        await asyncio.sleep(1)
        stuck.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stuck
        assert await way.act("/tasks", {}, CallClass.READ) == Done("ok")

    run(work())


# Sessions


def test_a_wallet_obtains_its_session_once_and_uses_it_from_then_on() -> None:
    script = Script(OBTAINED, OK)
    way = channel(script, credentials=RENTER, rent_order="7")

    async def work() -> None:
        await asyncio.gather(*(way.act("/tasks", {}, CallClass.READ) for _ in range(3)))

    run(work())
    assert script.paths == ["/mining_nodes/session_id", "/tasks", "/tasks", "/tasks"]
    obtain, use = script.bodies[:2]
    assert obtain["wallet"] == RENTER.account
    assert obtain["rent_order"] == "7"
    assert verify(RENTER.key.public_key, obtain["nonce"], obtain["sign"])
    assert use["session_id"] == SESSION_ID
    assert verify(RENTER.key.public_key, SESSION_ID, use["session_id_sign"])
    assert "wallet" not in use


def test_a_kept_session_is_used_by_the_next_process(tmp_path: Path) -> None:
    first = Script(OBTAINED, OK)
    run(channel(first, credentials=RENTER, sessions=SessionStore(tmp_path / "s")).act("/tasks", {}, CallClass.READ))
    second = Script(OK)
    run(channel(second, credentials=RENTER, sessions=SessionStore(tmp_path / "s")).act("/tasks", {}, CallClass.READ))
    assert second.paths == ["/tasks"]


@pytest.mark.parametrize("call_class", [CallClass.READ, CallClass.BLIND])
def test_an_invalid_session_of_an_earlier_process_is_replaced_once(call_class: CallClass, tmp_path: Path) -> None:
    SessionStore(tmp_path).save(TARGET, RENTER, RENTER.session(session_id(0)))
    script = Script(INVALID, OBTAINED, OK)
    way = channel(script, credentials=RENTER, sessions=SessionStore(tmp_path))
    assert run(way.act("/tasks", {}, call_class)) == Done("ok")
    assert [body.get("session_id") for body in script.bodies] == [session_id(0).text, None, SESSION_ID]


def test_a_node_that_calls_every_session_invalid_gets_two_signatures(tmp_path: Path) -> None:
    script = Script(OBTAINED, INVALID)
    way = channel(script, credentials=RENTER, sessions=SessionStore(tmp_path))
    for _ in range(3):
        outcome = run(way.act("/tasks", {}, CallClass.READ))
        assert isinstance(outcome, Refused)
        assert outcome.session_invalid
    assert [path for path in script.paths if path != "/tasks"] == ["/mining_nodes/session_id"]
    assert list(tmp_path.iterdir()) == []  # the next process obtains another


@pytest.mark.parametrize("message", ["ok", {}, {"session": 1}, {"session_id": 5}, {"session_id": "A" * 55}])
def test_an_answer_without_a_session_id_is_refused_and_the_call_not_made(message: Any) -> None:
    script = Script(ok(message))
    outcome = run(channel(script, credentials=RENTER).act("/disk/add/x", {}, CallClass.BLIND))
    assert isinstance(outcome, Refused)
    assert (outcome.message, outcome.authority, outcome.transient) == (bad_session_id(TARGET), True, False)
    assert script.paths == ["/mining_nodes/session_id"]


def test_somebody_else_s_invalid_session_is_not_replaced() -> None:
    script = Script(INVALID)
    outcome = run(channel(script, credentials=SESSION).act("/tasks", {}, CallClass.READ))
    assert isinstance(outcome, Refused)
    assert len(script.requests) == 1


def test_without_a_session_the_call_was_not_made() -> None:
    outcome = run(channel(Script(TIMEOUT, OK), credentials=RENTER).act("/disk/add/x", {}, CallClass.BLIND))
    assert isinstance(outcome, NotSent)


def test_a_wallet_without_rental_is_refused() -> None:
    script = Script(ok("check authority failed: wallet not rented", -3))
    outcome = run(channel(script, credentials=RENTER).act("/tasks", {}, CallClass.READ))
    assert isinstance(outcome, Refused)
    assert outcome.not_rented
    assert script.paths == ["/mining_nodes/session_id"]


def test_each_attempt_has_a_nonce_of_its_own() -> None:
    first, second = Script(UNKNOWN_TARGET), Script(OBTAINED, OK)
    run(channel(first, second, credentials=RENTER).act("/tasks", {}, CallClass.READ))
    nonces = [body["nonce"] for body in first.bodies + second.bodies if "nonce" in body]
    assert len(nonces) == 2
    assert len(set(nonces)) == 2


def test_an_owner_signs_every_call() -> None:
    owner = NodeKeyCredentials(key("renter"))
    script = Script(OK)
    way = channel(script, credentials=owner)
    run(way.act("/bare_metal", {}, CallClass.READ))
    run(way.act("/bare_metal/add", {}, CallClass.KEYED))
    assert len({body["nonce"] for body in script.bodies}) == 2
    assert {body["wallet"] for body in script.bodies} == {owner.key.node_id}


def test_a_multisig_obtains_a_session_that_one_member_signs() -> None:
    members = [key(name) for name in ("ms1", "ms2", "ms3")]
    multisig = MultisigCredentials([m.address for m in members], 2, members[:2])
    script = Script(OBTAINED, OK)
    run(channel(script, credentials=multisig).act("/tasks", {}, CallClass.READ))
    obtain, use = script.bodies
    assert obtain["multisig_accounts"]["threshold"] == "2"
    assert verify(members[0].public_key, SESSION_ID, use["session_id_sign"])


def test_used_up_signatures_are_reported() -> None:
    members = [key(name) for name in ("ms1", "ms2")]
    wallets = [m.address for m in members]
    signatures = [CollectedSignature(m.address, nonce(0).text, m.sign(nonce(0))) for m in members]
    way = channel(Script(OK), credentials=MultisigCredentials(wallets, 2, [], signatures))
    assert run(way.act("/tasks", {}, CallClass.READ)) == Done("ok")
    outcome = run(way.act("/tasks", {}, CallClass.READ))
    assert isinstance(outcome, Refused)
    assert outcome.kind is RefusalKind.AUTHORITY


@pytest.mark.parametrize("credentials", [None, NodeKeyCredentials(key("renter"))])
def test_only_a_wallet_obtains_a_session(credentials: Any) -> None:
    script = Script(OK)
    outcome = run(channel(script, credentials=credentials).session())
    assert isinstance(outcome, Refused)
    assert script.requests == []


# Events


def test_every_attempt_is_reported_without_any_secret() -> None:
    events: list[CallEvent] = []
    first, second = Script(UNKNOWN_TARGET), Script(OBTAINED, ok("canary-reply"))
    way = channel(first, second, credentials=RENTER, events=events)
    outcome = run(way.act("/tasks/passwd/abc", {"password": "canary-password"}, CallClass.IDEMPOTENT))
    assert outcome == Done("canary-reply")
    assert [(event.client, event.path, event.outcome) for event in events] == [
        ("client0", "/mining_nodes/session_id", "notSent"),
        ("client1", "/mining_nodes/session_id", "done"),
        ("client0", "/tasks/passwd/abc", "notSent"),
        ("client1", "/tasks/passwd/abc", "done"),
    ]
    assert {event.target for event in events} == {TARGET}
    bodies = json.dumps(second.bodies)
    shown = repr(events)
    secrets = [SESSION_ID, *(body.get("session_id_sign") or body["sign"] for body in second.bodies), "canary"]
    assert not [secret for secret in secrets if secret in shown]
    assert "canary-password" in bodies


def test_events_tell_when_and_how_long() -> None:
    events: list[CallEvent] = []
    run(channel(Script(slowly), credentials=SESSION, events=events).act("/tasks", {}, CallClass.READ))
    (event,) = events
    assert event.ended - event.started == pytest.approx(5, abs=0.1)
    assert (event.method, event.call_class) == ("POST", CallClass.READ)


def test_a_channel_shows_no_secret() -> None:
    way = channel(Script(OK), credentials=SESSION)
    assert "the-id" not in repr(way)
    assert "the-sign" not in repr(way)


def test_a_rent_order_that_is_no_number_is_sent_to_nobody() -> None:
    script = Script(ok("ok"))
    node = channel(script, rent_order="1 or 1")
    for work in (node.ask_client("/"), node.read_public("/mining_nodes"), node.act("/tasks", {}, CallClass.READ)):
        with pytest.raises(UnsafeWireValue, match="rent order"):
            run(work)
    assert script.requests == []
