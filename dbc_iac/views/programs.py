"""Programs that an apply runs and secrets that it reads, taken from the plan: a plan file alone decides what runs."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dbc_iac.kinds.framework.spec import BeforeOffline
from dbc_iac.manifest.secrets import SecretRef
from dbc_iac.plan.model import Action, Plan
from dbc_iac.views.grouping import some

TITLE = "Programs and secrets used on this machine"


def program_texts(plan: Plan) -> Iterator[str]:
    """A line per command and per secret reference, with its resources."""
    found: dict[str, list[str]] = {}
    for address, said in plan.hooks.items():
        hook = BeforeOffline.model_validate(said)
        failing = ", failure is ignored" if hook.force else ""
        text = f"beforeOffline: {shlex.join(hook.command)} (timeout {hook.timeout} s{failing})"
        found.setdefault(text, []).append(address)
    for change in plan.pending:
        if change.action is not Action.DELETE:
            for path, reference in change.secrets.items():
                ref = SecretRef.model_validate(reference)
                source = str(ref) if ref.command is None else f"program {shlex.join(ref.command)}"
                found.setdefault(f"{path}: {source}", []).append(change.address)
    yield from (f"{text}, for {some(addresses)}" for text, addresses in found.items())
