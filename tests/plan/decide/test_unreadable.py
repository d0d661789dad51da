"""Remedies of reads that fail: each names the party that failed."""

from __future__ import annotations

import pytest

from dbc_iac.plan.decide.unreadable import unreadable
from dbc_iac.plan.model import Action, Change


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (
            "client node default (http://127.0.0.1:1) cannot be reached: connection refused",
            "Check that the client node",
        ),
        ("Activate Session command failed; Error: Unable to establish LAN session", "Check that the BMC answers"),
        ("Address lookup for bmc.invalid failed; Could not open socket!", "Check that the BMC answers"),
        ("the image server lists no files: it is empty or cannot be reached", "Check that the image server runs"),
        ("list images timeout", "Check that the image server runs"),
        ("list task timeout", "Check that the node is online"),
        ("the node reports no size of disk /data/data_1.qcow2", "Restart the DBC service of the node"),
    ],
)
def test_the_remedy_of_an_unreadable_resource_names_who_failed(reason: str, remedy: str) -> None:
    change = Change("Disk/scratch", "Disk", Action.UNKNOWN, reasons=(reason,))
    assert unreadable(change).remedy.startswith(remedy)
