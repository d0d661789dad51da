"""The command line that logs in to a VM. What the node tells is checked: none of it may become an option of ssh."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from dbc_iac.api.responses import VmDetails
from dbc_iac.cli.ops.outcomes import failed

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


def ssh_line(label: str, vm: VmDetails, account: str, arguments: Sequence[str]) -> list[str]:
    """The command line that logs in. Raises DiagnosticError: no ssh port, no account, or an address that is none."""
    if vm.ssh_port is None:
        raise failed("no-ssh", f"{label} has no ssh port", "Windows has rdp, and pxe has no forwards.")
    if not _USER.fullmatch(account):
        raise failed("no-ssh", f"the account of {label} is not known", "Its guest has no agent: the node shows N/A.")
    try:
        address = ipaddress.ip_address(vm.ssh_ip)
    except ValueError:
        raise failed("no-ssh", f"the node gives no address for {label}") from None
    return ["ssh", "-p", str(vm.ssh_port), "-l", account, "--", str(address), *arguments]
