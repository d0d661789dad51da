"""Body of a request: JSON, the common fields in order, target and credentials.

Wrong types inside lists are not refused: they trigger an assertion that crashes the real process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from dbc_iac.emulator.authority import Credentials
from dbc_iac.emulator.gpu.ctext import atoi
from dbc_iac.emulator.http.answer import Answer, invalid
from dbc_iac.emulator.http.rapidjson import JsonError, parse
from dbc_iac.emulator.reply import ProcessDied

_PREFIXES = {
    "mining_nodes": "parse req params failed: ",
    "rent_orders": "parse req params failed: ",
    "lan.list": "parse req params failed: ",
    "bare_metal.list": "parse req params failed: ",
    "deeplink": "parse req params failed: ",
    "deeplink.set": "parse req params failed: ",
}
"""Prefix of some endpoints for errors of common fields."""
_FAMILY_PREFIX = "parse request params failed: "
_NO_CREDENTIALS = "wallet_sign and multisig_wallets all invalid"
_NO_CREDENTIALS_OLD = "session_id and wallet all invalid"
OPEN = frozenset(
    {
        "mining_nodes",
        "rent_orders",
        "lan.list",
        "lan.delete",
        "images.list",
        "bare_metal.list",
    }
)
"""Operations for which the called node does not require credentials."""
OWNERS = frozenset({"bare_metal.add", "bare_metal.delete", "bare_metal.modify"})


class Envelope(Struct, frozen=True):
    """A validated body. `target`: first entry of the peer list, None if it is empty."""

    target: str | None
    additional: Mapping[str, Any]
    credentials: Credentials
    fields: Mapping[str, Any]


def read_json(body: bytes, op: str) -> dict[str, Any]:
    """Parse the JSON object. Raises Answer."""
    if not body:
        raise invalid("http request body is empty")
    try:
        value = parse(body)
    except JsonError as error:
        raise invalid(f"json parse error: {error.text if _is_storage(op) else error}") from None
    if not isinstance(value, dict):
        raise invalid("invalid json")
    return value


def read_envelope(value: dict[str, Any], op: str) -> Envelope:
    """Validate a body. Raises Answer with the first problem, ProcessDied where the real process crashes."""
    try:
        _common(value)
    except Answer as answer:
        raise invalid((_FAMILY_PREFIX if _is_storage(op) else _PREFIXES.get(op, "")) + str(answer)) from None
    peers = value["peer_nodes_list"]
    return Envelope(peers[0] if peers else None, value["additional"], _credentials(value), value)


def check_credentials(envelope: Envelope, op: str) -> None:
    """Require plausible credentials; nothing is verified here. Raises Answer."""
    if op in OPEN or _well_shaped(envelope, op):
        return
    old = _is_storage(op) or op == "tasks.create"
    raise invalid(_NO_CREDENTIALS_OLD if old else _NO_CREDENTIALS)


def _is_storage(op: str) -> bool:
    return op.startswith(("disk.", "images."))


def _common(value: dict[str, Any]) -> None:
    for key, kind, name in (("peer_nodes_list", list, "array"), ("additional", dict, "object")):
        if key not in value:
            raise invalid(f"has no {key}")
        if not isinstance(value[key], kind):
            raise invalid(f"{key} is not {name}")
        if key == "peer_nodes_list":
            _assert_texts(value[key][:1])
    for key in ("wallet", "nonce", "sign"):
        _check_text(value, key)
    _check_multisig(value.get("multisig_accounts", {"wallets": [], "threshold": "0", "signs": []}))
    for key in ("session_id", "session_id_sign", "rent_order"):
        _check_text(value, key)


def _check_text(value: dict[str, Any], key: str) -> None:
    if key in value and not isinstance(value[key], str):
        raise invalid(f"{key} is not string")


def _check_multisig(value: Any) -> None:
    """Each list is accepted as soon as its type is known."""
    if not isinstance(value, dict):
        raise invalid("multisig_accounts is not object")
    for key, kind, name in (("wallets", list, "array"), ("threshold", str, "string"), ("signs", list, "array")):
        if key not in value:
            raise invalid(f"multisig_accounts has no member {key}")
        if not isinstance(value[key], kind):
            raise invalid(f"multisig_accounts member {key} is not {name}")
        if key == "wallets":
            _assert_texts(value[key])
    for sign in value["signs"]:
        _assert_texts([sign.get(key) for key in ("wallet", "nonce", "sign")] if isinstance(sign, dict) else [None])


def _assert_texts(items: list[Any]) -> None:
    if not all(isinstance(item, str) for item in items):
        raise ProcessDied("an item that is no text")


def _well_shaped(envelope: Envelope, op: str) -> bool:
    """Without a multisig block the real check reads an uninitialised number and passes: the target refuses the
    request then. A session is not accepted for a session request.
    """
    fields, multisig = envelope.fields, envelope.fields.get("multisig_accounts")
    session = op != "mining_nodes.session_id" and all(envelope.credentials.session)
    if multisig is None or session or all(envelope.credentials.wallet):
        return True
    threshold = atoi(multisig["threshold"])
    wallets, signs = multisig["wallets"], fields["multisig_accounts"]["signs"]
    filled = all(s["wallet"] in wallets and s["nonce"] and s["sign"] for s in signs)
    return threshold <= len(wallets) and threshold <= len(signs) and filled


def _credentials(value: dict[str, Any]) -> Credentials:
    multisig = value.get("multisig_accounts")
    parsed = None
    if multisig is not None:
        signs = [(s["wallet"], s["nonce"], s["sign"]) for s in multisig["signs"]]
        parsed = (multisig["wallets"], atoi(multisig["threshold"]), signs)
    return Credentials(
        (value.get("session_id", ""), value.get("session_id_sign", "")),
        (value.get("wallet", ""), value.get("nonce", ""), value.get("sign", "")),
        parsed,
        value.get("rent_order", ""),
    )
