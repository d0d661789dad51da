"""Warnings of changes that differ from a manifest, so that the next apply reverts them."""

from __future__ import annotations

from dbc_iac.cli.ops.console import Console


def warn_of_power(console: Console, address: str, power: str, to: str) -> None:
    """Warn if the manifest sets another power state."""
    if power not in {to, "unmanaged"}:
        console.warn(
            "drift",
            f"the manifest of {address} has power: {power}",
            detail="The next plan shows drift, and the next apply reverts it.",
            remedy=f'Set power to "{to}" or unmanaged.',
            address=address,
        )


def warn_of_password(console: Console, address: str, field: str) -> None:
    """Warn that the manifest sets the password, too."""
    console.warn(
        "drift",
        f"{address} has a {field} in its manifest",
        detail="If the new password differs, the next plan shows drift, and the next apply reverts it.",
        remedy="Change the secret of the manifest too.",
        address=address,
    )
