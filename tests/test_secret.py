"""A secret shows itself to nobody by accident."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from dbc_iac.secret import SecretText

CANARY = "canary-7f3a"


def test_no_way_of_printing_shows_it() -> None:
    secret = SecretText(CANARY)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{[secret]}", f"{secret!s}", "%s" % secret]  # noqa: UP031
    assert not [text for text in shown if CANARY in text]
    assert secret.reveal() == CANARY


def test_it_cannot_be_serialised() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(SecretText(CANARY))
    with pytest.raises(TypeError):
        json.dumps({"password": SecretText(CANARY)})


def test_it_is_compared_by_content_and_only_with_secrets() -> None:
    assert SecretText("a") == SecretText("a")
    assert SecretText("a") != SecretText("b")
    assert SecretText("a") != "a"
    assert len({SecretText("a"), SecretText("a")}) == 1
    assert copy.deepcopy(SecretText("a")) == SecretText("a")
    assert SecretText("\ud800") == SecretText("\ud800")


def test_only_text_can_be_a_secret() -> None:
    with pytest.raises(TypeError):
        SecretText(b"a")  # type: ignore[arg-type]
