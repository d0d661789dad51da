"""Every row of the table of outcomes, and every reply that running nodes were seen to give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.api.outcome import (
    Done,
    Effect,
    NotSent,
    RefusalKind,
    Refused,
    ShapeError,
    Unknown,
    classify,
    decoded,
    plain,
)
from tests.api.support import exchanges

JSON = "application/json"


def reply(status: int, errcode: Any, message: Any, operation: str = "tasks/start") -> Any:
    return classify(status, JSON, json.dumps({"errcode": errcode, "message": message}).encode(), operation)


def page(status: int, title: str) -> Any:
    body = f"<HTML><HEAD>\n<TITLE>{status} {title}</TITLE>\n</HEAD><BODY>\n<H1>{title}</H1>\n</BODY></HTML>\n"
    return classify(status, "text/html", body.encode(), "tasks/start")


@dataclass(frozen=True)
class Row:
    text: str
    kind: RefusalKind
    errcode: int = 1
    operation: str = "tasks/start"
    status: int = 200
    effect: Effect = Effect.NONE
    transient: bool = False


K = RefusalKind
ROWS = [
    # 400/-25, 400/-32600, 404/-32601, 500/-32701: ours, or of the input
    Row("http request body is empty", K.LOCAL, -25, status=400),
    Row("invalid requests uri", K.LOCAL, -32600, status=400),
    Row("only support POST request", K.LOCAL, -32600, status=400),
    Row("not support uri:/api/v1/nope", K.LOCAL, -32601, status=404),
    Row("Unhandled request", K.LOCAL, -32701, status=500),
    Row("image_server not exist", K.LOCAL, -25, "images/upload", status=400),
    # the client node's own view of a LAN proves nothing: not ABSENT
    Row("network name not exist", K.LOCAL, -32701, "lan/trainnet", status=400),
    # a manager on its own port says with 400 what it says with 200 through a client node
    Row("verify sign failed", K.AUTHORITY, -25, "bare_metal/add", status=400),
    Row("bare metal node uuid a-b already existed", K.EXISTS, -25, "bare_metal/add", status=400),
    Row("node id not existed", K.ABSENT, -25, "bare_metal/modify", status=400),
    # 200: authority
    Row("check authority failed: session_id is invalid", K.AUTHORITY, -3),
    Row("check authority failed: wallet not rented", K.AUTHORITY, -3),
    Row("check authority failed: ", K.AUTHORITY, -3, "bare_metal/bootdev"),
    Row("check authority failed", K.AUTHORITY, -3, "mining_nodes/session_id"),
    Row("check authority failed: query machine_status failed", K.AUTHORITY, -3, transient=True),
    Row("check authority failed: nonce check failed", K.AUTHORITY, -3, "tasks/modify"),
    Row("verify sign failed", K.AUTHORITY, -3, "bare_metal/add"),
    Row("wallet error, you are not the owner of the network", K.AUTHORITY, -3, "lan/delete"),
    # 200: there already
    Row("task id already existed", K.EXISTS),
    Row("network name already existed", K.EXISTS, -3, "lan/create"),
    Row("bare metal node uuid 31-ab already existed", K.EXISTS, -1, "bare_metal/modify"),
    # 200: not there
    Row("task not exist", K.ABSENT, 1, "tasks/delete"),
    Row("task_id not exist", K.ABSENT, -3, "tasks/7a7F4y4wjLSDUtK7nKQNNG"),
    Row("task not exist", K.ABSENT, -3, "disk/list"),
    Row("task have no disk:vdc", K.ABSENT, 1, "disk/delete"),
    Row("network name not exist", K.ABSENT, -3, "lan/delete"),
    Row("bare metal node id ab12 not existed", K.ABSENT, -1, "bare_metal/delete"),
    Row("snap1 not exist", K.ABSENT, 1, "snapshot/delete"),
    Row("snapshot_name not exist", K.ABSENT, 1, "snapshot/list"),
    Row("image file:a.qcow2 is not exist", K.ABSENT, 1, "images/delete"),
    # 200: something else than the object addressed is missing: not ABSENT
    Row("'image_name' is not exist (path:/data/a.qcow2)", K.OTHER),
    Row("/nosuch is not exist", K.OTHER, -3, "disk/add"),
    Row("image:a.qcow2 not exist", K.OTHER, 1, "images/download"),
    Row("bare metal client not existed", K.OTHER, -3, "bare_metal/bootdev"),
    Row("additional bare_metal_nodes not existed", K.OTHER, -3, "bare_metal/add"),
    Row("can not find network info", K.OTHER, transient=True),
    # 200: state
    Row("task is running", K.STATE, 1, "tasks/start"),
    Row("task is shut_off", K.STATE, 1, "tasks/shutdown"),
    Row("please close task first and try again", K.STATE, 1, "disk/resize"),
    Row("Only the running task can change the password", K.STATE, 1, "tasks/passwd"),
    Row("network is in used, please delete task in the network first", K.STATE, -3, "lan/delete"),
    Row("image:a.qcow2 in downloading", K.STATE, 1, "images/download", transient=True),
    Row(
        "image file is in downloading or uploading, please try again later",
        K.STATE,
        1,
        "images/delete",
        transient=True,
    ),
    Row("'image_name':a.qcow2 in downloading or uploading, please try again later", K.STATE, 1, transient=True),
    # 200: resources
    Row("allocate gpu failed", K.RESOURCES),
    Row("allocate mem failed", K.RESOURCES, transient=True),
    Row("port conflict, exist ssh_port = 5684", K.RESOURCES),
    Row("public ip being used", K.RESOURCES),
    # 200: later
    Row("create task failed, please try again in a minute", K.OTHER, -3, transient=True),
    # 200: what a refusal left behind
    Row("new_vnc_port 5904 has been used!", K.RESOURCES, 1, "tasks/modify", effect=Effect.PARTIAL),
    Row("defineXML failed: XML error", K.OTHER, 1, "tasks/modify", effect=Effect.PARTIAL),
    Row("allocate memory failed", K.RESOURCES, 1, "tasks/modify", effect=Effect.PARTIAL),
    Row("invalid public ip", K.OTHER, 1, "tasks/modify"),
    Row("task not exist", K.ABSENT, 1, "tasks/modify"),
    Row("gpu rent order is empty", K.OTHER, 1, "tasks/modify"),
    Row("invalid ip cidr", K.OTHER, -3, "lan/create"),
    Row("create vxlan failed", K.OTHER, -3, "lan/create", effect=Effect.PARTIAL),
    Row("dnsmasq: failed to bind", K.OTHER, -3, "lan/create", effect=Effect.PARTIAL),
    Row("write network db failed", K.OTHER, -3, "lan/create", effect=Effect.PARTIAL),
    Row("create vxlan failed", K.OTHER, -1, "tasks/start", effect=Effect.PARTIAL),
    Row("write bare metal db error", K.OTHER, 1, "bare_metal/add", effect=Effect.PARTIAL),
    Row("write bare metal db error", K.OTHER, -1, "bare_metal/modify", effect=Effect.PARTIAL),
    Row("delete bare metal node db failed", K.OTHER, -1, "bare_metal/delete", effect=Effect.PARTIAL),
    Row("cpu_cores is invalid", K.OTHER),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.status}/{r.errcode} {r.operation} {r.text[:40]}")
def test_a_refusal_is_classified_by_status_errcode_text_and_operation(row: Row) -> None:
    outcome = reply(row.status, row.errcode, row.text, row.operation)
    assert outcome == Refused(row.text, row.errcode, row.status, row.effect, row.transient, row.kind)


@pytest.mark.parametrize(
    ("text", "rest", "target_unknown"),
    [
        ("create node request failed", None, True),
        ("add timer failed", None, False),
        ("create request session failed", None, False),
        ("broadcast request failed", 60.0, False),
    ],
)
def test_what_the_client_node_could_not_forward_was_not_sent(
    text: str, rest: float | None, target_unknown: bool
) -> None:
    assert reply(400, -32701, text) == NotSent(text, rest, target_unknown)


@pytest.mark.parametrize(
    ("text", "executed"),
    [
        ("create task timeout", "maybe"),
        ("list bare metal timeout", "maybe"),
        ("a text nobody has seen", "maybe"),
        ("response parse error", "handled"),
        ("http response parse error", "handled"),
        ("rsq decrypt error1", "handled"),
        ("req decrypt error2", "handled"),
        ("pub_key or priv_key is empty", "handled"),
    ],
)
def test_500_minus_1_is_unknown(text: str, executed: Any) -> None:
    assert reply(500, -1, text) == Unknown(text, executed)


@pytest.mark.parametrize("status", [400, 413, 501, 503])
def test_a_page_of_the_http_library_is_a_local_refusal(status: int) -> None:
    outcome = page(status, "Something")
    assert isinstance(outcome, Refused)
    assert (outcome.kind, outcome.effect, outcome.transient) == (RefusalKind.LOCAL, Effect.NONE, status == 503)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_gateway_s_page_does_not_prove_that_nothing_happened(status: int) -> None:
    assert isinstance(classify(status, "text/html", b"<html>bad gateway</html>", "tasks/start"), Unknown)


@pytest.mark.parametrize("message", ["ok", "", [], {}, {"task_id": "x"}, [1]])
def test_200_with_errcode_0_is_done_with_its_message(message: Any) -> None:
    assert reply(200, 0, message) == Done(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"[]",
        b"{}",
        b'{"errcode":0}',
        b'{"message":"ok"}',
        b'{"errcode":"0","message":"ok"}',
        b'{"errcode":false,"message":"ok"}',
        b'{"errcode":0.0,"message":"ok"}',
        b'{"errcode":0, "message":"a "quoted" word"}',
        b'{"errcode":0, "message":"a\nline"}',
        b'{"errcode":0, "message":"ok"',
        b'{"errcode":NaN, "message":"ok"}',
        b'{"errcode":0, "message":' + b"[" * 100_000,
    ],
    ids=lambda b: repr(b[:40]),
)
def test_a_200_that_is_not_the_api_s_json_is_unknown_and_handled(body: bytes) -> None:
    outcome = classify(200, JSON, body, "tasks/start")
    assert isinstance(outcome, Unknown)
    assert outcome.executed == "handled"


def test_a_refusal_without_a_text_is_unknown() -> None:
    assert isinstance(reply(200, 1, {"why": "?"}), Unknown)


def test_invalid_utf8_does_not_make_a_reply_unreadable() -> None:
    body = b'{"errcode":0,"message":[{"desc":"\xff\xfe"}]}'
    assert classify(200, JSON, body, "tasks") == Done([{"desc": "��"}])


def test_a_stray_surrogate_is_no_part_of_a_value() -> None:
    assert reply(200, 0, {"desc": "a\ud800b", "\udfff": "\U0001f600"}) == Done({"desc": "a?b", "?": "\U0001f600"})


def test_the_text_of_a_refusal_is_one_bounded_printable_line() -> None:
    outcome = reply(200, 1, "a\x1b[31mred\r\n\ud800" + "x" * 10_000)
    assert isinstance(outcome, Refused)
    assert outcome.message.isprintable()
    assert len(outcome.message) <= 500


def refused(reason: str) -> Refused:
    outcome = reply(200, -3, f"check authority failed: {reason}")
    assert isinstance(outcome, Refused)
    return outcome


def test_the_reasons_of_a_refused_authority() -> None:
    assert refused("machine is not be rented").not_rented
    assert refused("wallet not rented").not_rented
    assert refused("session_id is invalid").session_invalid
    assert refused("machine has already expired").not_rented
    for other in (refused("query machine_status failed"), refused("not in verify time")):
        assert other.authority
        assert not (other.not_rented or other.session_invalid)


def test_a_reply_of_another_shape_is_unknown_not_an_exception() -> None:
    def decode(value: object) -> str:
        raise ShapeError("nonsense")

    assert decoded(Done({}), decode) == Unknown("unexpected reply: nonsense", "handled")
    assert decoded(Unknown("x"), decode) == Unknown("x")


@given(st.integers(100, 599), st.binary(max_size=200))
def test_no_reply_raises_and_only_200_is_ever_done(status: int, body: bytes) -> None:
    outcome = classify(status, "?", body, "tasks/start")
    assert isinstance(outcome, Refused | NotSent | Unknown) or status == 200


@given(st.integers(), st.text(), st.sampled_from(["tasks/modify", "lan/create", "disk/add", "x"]))
def test_any_text_of_a_target_is_done_refused_or_unknown(errcode: int, text: str, operation: str) -> None:
    outcome = reply(200, errcode, text, operation)
    assert isinstance(outcome, Done if errcode == 0 else Refused)


@pytest.mark.parametrize(
    ("path", "effect"),
    [
        ("/tasks/modify/7a7F", Effect.PARTIAL),
        ("/tasks/modify?a=/b", Effect.PARTIAL),
        ("/tasks/logs/7a?flag=tail&line_num=9", Effect.NONE),
        ("/tasks", Effect.NONE),
        ("/lan/create", Effect.PARTIAL),
        ("/lan/other/create", Effect.NONE),
    ],
)
def test_the_effect_of_a_refusal_depends_on_the_first_two_segments(path: str, effect: Effect) -> None:
    refusal = reply(200, 1, "something", path)
    assert isinstance(refusal, Refused)
    assert refusal.effect is effect


def test_every_recorded_reply_has_an_outcome() -> None:
    seen: dict[str, int] = {}
    for exchange in exchanges():
        response = exchange["response"]
        if response.get("status") is None or exchange["request"]["method"] != "POST":
            continue
        path = exchange["request"]["path"].removeprefix("/api/v1")
        headers = {name.lower(): value for name, value in response["headers"].items()}
        outcome = classify(response["status"], headers["content-type"], response["body"].encode(), path)
        name = type(outcome).__name__
        seen[name] = seen.get(name, 0) + 1
        where = f"{exchange['file']} {exchange['i']}: {outcome}"
        if response["status"] == 500:
            assert isinstance(outcome, Unknown) or "Unhandled" in str(outcome), where
        elif response["status"] != 200:
            assert isinstance(outcome, Refused | NotSent), where
        if isinstance(outcome, Refused) and response["status"] != 200:
            assert outcome.effect is Effect.NONE, where
    assert seen["Done"] > 300
    assert seen["Refused"] > 300
    assert seen["NotSent"] == 17
    assert seen["Unknown"] > 40


def test_the_lines_of_ipmitool_are_joined_without_its_mark() -> None:
    assert plain("Invalid user name <line> Error: no session") == "Invalid user name; Error: no session"
