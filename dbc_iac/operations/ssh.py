"""The ssh command line of a VM. The node's answer is validated: no part of it may become an option of ssh."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from dbc_iac.api.responses import VmDetails
from dbc_iac.diagnostics import DiagnosticError, ExitCode, failure

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")


def ssh_line(label: str, vm: VmDetails, account: str, arguments: Sequence[str]) -> list[str]:
    """The ssh command line. Raises DiagnosticError without an ssh port, an account or a valid address."""
    if vm.ssh_port is None:
        raise _problem(
            f"{label} has no ssh port",
            "Windows uses rdp, and a VM with biosMode pxe has no port forwards.",
            f"Use the rdp or vnc port that `dbc-iac vm show {label}` prints.",
        )
    if not _USER.fullmatch(account):
        raise _problem(
            f"the account of {label} is unknown",
            "The node reports none: the guest has no agent.",
            "Set `login.username` in its manifest.",
        )
    try:
        address = ipaddress.ip_address(vm.ssh_ip)
    except ValueError:
        raise _problem(
            f"the node reports no address of {label}", remedy=f"Check the VM with `dbc-iac vm show {label}`."
        ) from None
    return ["ssh", "-p", str(vm.ssh_port), "-l", account, "--", str(address), *arguments]


def _problem(summary: str, detail: str = "", remedy: str = "") -> DiagnosticError:
    return failure("no-ssh", summary, detail, remedy, exit_code=ExitCode.ERROR)
