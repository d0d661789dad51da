"""Warnings of resources that cannot be read, each with the remedy for the party that failed."""

from __future__ import annotations

import re

from dbc_iac.api.channel import bad_session_id
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity
from dbc_iac.plan.model import Change


def _turned_away(reasons: tuple[str, ...]) -> str:
    """Remedy for an unauthorised read; `state rm` only if the rental itself is in doubt."""
    check = "Check that the machine is rented by this identity under this order, and the identity's keys or session."
    if not any("rented" in reason or "expired" in reason for reason in reasons):
        return check
    return f"{check} If the rental has ended, use `dbc-iac state rm` to remove its resources from the state."


_REMEDIES = (
    (r"reports no size of disk", "Restart the DBC service of the node: it reads the sizes of its disks again."),
    (r"IPMI|Activate Session|Invalid user name|Address lookup|not a power status",
     "Check that the BMC answers, and `ipmi` of its BareMetalServer. Then plan again."),
    (r"image server|images? timeout", "Check that the image server runs and its node reaches it. Then plan again."),
    (r"response parse error", "Delete the VM of this wallet whose description holds a quote. Then plan again."),
    (r"timeout|create node request failed", "Check that the node is online, or try again later."),
)  # fmt: skip
_REACH_CLIENT = "Check that the client node runs and is reached (clients in the project file), or try again later."


def remedy_of(text: str) -> str:
    """The remedy for a read or call that failed with a text: it follows from the party that failed."""
    return next((remedy for words, remedy in _REMEDIES if re.search(words, text)), _REACH_CLIENT)


def unreadable(change: Change) -> Diagnostic:
    """The warning that goes with an unknown resource; the same one for all on a node that sent no session id."""
    left_alone = "It is left unchanged until it can be read."
    if change.placement.route and bad_session_id(str(change.placement.route["target"])) in change.reasons:
        node = str(change.placement.route["name"])
        return Diagnostic(
            "bad-session-id",
            Severity.WARNING,
            f"{node}: no valid session id; its text was not signed",
            left_alone,
            "Use a client node that you run (`clients` in the project file).",
            address=node,
            exit_code=ExitCode.AUTHORISATION,
        )
    return Diagnostic(
        "unreadable",
        Severity.WARNING,
        f"{change.address} cannot be read: {'; '.join(change.reasons)}",
        left_alone,
        _turned_away(change.reasons) if change.authority else remedy_of("; ".join(change.reasons)),
        address=change.address,
        exit_code=ExitCode.AUTHORISATION if change.authority else ExitCode.OK,
    )
