"""All missing secrets are reported at once, each with its purpose."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.projects import PROJECT, Emulated, vm

World = Callable[..., Emulated]
FILE = PROJECT.replace(
    'clients: {default: {url: "http://127.0.0.1:5050"}}',
    'clients: {default: {url: "http://127.0.0.1:5050", headers: {X-Key: {env: GATEWAY}}}}',
).replace("  variables:", "    unused: {wallet: {seed: {env: OTHER}}}\n  variables:")


@pytest.mark.parametrize("command", ["plan", "apply --yes", "drift"])
def test_all_missing_secrets_are_reported_at_once(command: str, world: World) -> None:
    emulated = world(vm("one", login={"password": {"env": "PW"}}), vm("two", login={"password": {"env": "PW"}}))
    emulated.project.write({"dbc-iac.yaml": FILE})
    del emulated.project.environ["SEED"]
    result = emulated.run(*command.split(), "--json")
    assert result.code == 3
    found = {d["summary"]: d for d in json.loads(result.err)["diagnostics"]}
    wallet = found["identities.tenant.wallet.seed: environment variable SEED is not set"]
    assert wallet["detail"] == "Identity tenant signs requests with it (identities.tenant.wallet.seed)."
    assert "Requests to client default need it" in next(d["detail"] for s, d in found.items() if "GATEWAY" in s)
    passwords = [d for d in json.loads(result.err)["diagnostics"] if "PW" in d["summary"]]
    assert {(d["severity"], d["address"]) for d in passwords} == {
        ("warning", "VirtualMachine/one"),
        ("warning", "VirtualMachine/two"),
    }
    assert not any("OTHER" in summary for summary in found)


def test_a_missing_password_is_reported_before_approval_is_asked_for(world: World) -> None:
    emulated = world(vm("one", login={"password": {"env": "PW"}}), vm("two", login={"password": {"env": "TWO"}}))
    result = emulated.run("apply", "--json")
    assert result.code == 3
    assert result.err.count("secret-missing") == 2
    assert "needs-yes" not in result.err
    assert emulated.vms == {}
