"""Explanations of the error texts of nodes, for people. Decisions are made from `api.refusals`, never from here."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from dbc_iac.api.refusals import REFUSED
from dbc_iac.diagnostics import MAX_SUMMARY, Diagnostic


class Explanation(Struct, frozen=True):
    """`short`: part of a summary; `means` and `help`: full sentences."""

    short: str
    means: str
    help: str


def _row(text: str, short: str, means: str, help_: str) -> tuple[str, Explanation]:
    return text, Explanation(short, means, help_)


_ENDS = re.compile(r": | \((?=[^()]+\)$)")
"""Possible ends of a long summary: before a cause, or before parentheses at its end."""

_EXPLANATIONS = (
    _row(
        r"machine is not be rented|wallet not rented",
        "not rented by this wallet",
        "The machine is not rented, or not by this wallet under this order.",
        "Correct `rentOrder` or `identity` of the Node, or renew the rental.",
    ),
    _row(
        r"response parse error",
        "the node sent broken JSON",
        "The answer is broken JSON, most likely by a quote in the description of a VM of this wallet.",
        "Delete that VM, or change its description; until then new VMs cannot be read.",
    ),
    _row(
        r"machine has already expired",
        "the rental has ended",
        "The rental has ended.",
        "Renew the rental, and set the new `rentOrder`.",
    ),
    _row(
        r"nonce check failed|verify sign failed|invalid wallet sign|session_id is invalid|all invalid",
        "the node rejected the credentials",
        "The node does not accept the credentials.",
        "Check the key or the session of the identity; a session is good for one node only.",
    ),
    _row(
        r"no valid session id",
        "invalid session id",
        "A session id is Base58Check of a UUID. Any other text could be a transaction of your wallet.",
        "Use a client node that you run. If the answer stays, stop using this machine with this wallet.",
    ),
    _row(
        r"query machine_status failed",
        "the node could not read the chain",
        "The node could not read the chain. The rental itself may be valid.",
        "Run the command again in some minutes, when the node reaches the chain.",
    ),
    _row(
        r"only use the number what you exactly rented|gpu_count exceeds number of leases",
        "the order needs all of its GPUs",
        "A VM on this order must use all GPUs of the order.",
        "Set `gpus` to the number of GPUs of the order.",
    ),
    _row(
        r"allocate gpu failed",
        "not enough free GPUs on the node",
        "Not enough GPUs are free on the node: running, new and failed VMs hold them.",
        "Power off or delete VMs that hold them, and apply again.",
    ),
    _row(
        r"allocate (cpu|mem|memory|disk) failed|have no enough space",
        "not enough free resources on the node",
        "The node does not have enough free capacity.",
        "Reduce the request, or power off or delete other VMs, and apply again.",
    ),
    _row(
        r"port conflict|_port \S+ has been used",
        "the port is in use",
        "Another VM of the node has this port. Ports of powered-off VMs count too.",
        "Set the port to `auto`, or to another port.",
    ),
    _row(
        r"public ip being used",
        "the public IP is in use",
        "Another VM of the node, or its host, has this address.",
        "Set `publicIp` to another address.",
    ),
    _row(
        r"image_name' is not exist|image backfile not exist|data_file_name is not exist",
        "the image file is not on the node",
        "The node does not have this file.",
        "Add an Image for the file, or use a file from `dbc-iac image list`.",
    ),
    _row(
        r"image:\S+ not exist",
        "the file does not exist",
        "The source of the transfer does not have this file.",
        "Use a file that `dbc-iac image list` shows, of the image server or with --node of the node.",
    ),
    _row(
        r"in (downloading|uploading)",
        "the file is being transferred",
        "The file is being transferred.",
        "Run the command again when the transfer has ended.",
    ),
    _row(
        r"please try again in a minute",
        "the host runs an unknown domain",
        "The host runs a domain that the node does not know and cannot end.",
        "Run the command again in a minute. If it fails again, the owner of the machine must end the domain.",
    ),
    _row(
        r"refused by the node: task not exist",
        "the node does not find the VM",
        "The node has lost its connection to libvirt, which happens when its process stood still, or the VM.",
        "Apply again in two minutes. If it fails again, restart the DBC service of the node.",
    ),
    _row(
        r"can not find network info|network name not exist",
        "the node does not know the LAN",
        "The node does not know this LAN. LANs are limited to one machine room.",
        "Use a node of the same room, or another Network.",
    ),
    _row(
        r"network is in used",
        "the LAN has members",
        "VMs are still members of the LAN, possibly of other projects.",
        "Remove them from the LAN, and apply again.",
    ),
    _row(
        r"you are not the owner of the network",
        "the LAN belongs to another wallet",
        "Another wallet created this LAN.",
        "Set `external: true` in its manifest, or let its owner change it.",
    ),
    _row(
        r"create node request failed",
        "no route to the target",
        "The client node does not know the target, or has no route to it.",
        "Check that the node is online, or use another client node.",
    ),
    _row(
        r"create request session failed",
        "no free request slots",
        "The client node has run out of request slots, and does not release them.",
        "Restart the client node.",
    ),
    _row(
        r"Only the running task can change the password",
        "the VM does not run",
        "The password is set by an agent in the guest, so the VM must run.",
        "Start the VM with `dbc-iac vm start NAME --wait`, and run the command again.",
    ),
    _row(
        r"agent is not connected",
        "the guest agent does not answer",
        "The password is set by an agent in the running guest, which does not answer.",
        "Use an image with the qemu guest agent, or set the password by hand.",
    ),
    _row(
        r"its certificate is not trusted",
        "the TLS certificate is not trusted",
        "The certificate authority is unknown, or the certificate is for another name.",
        "Check the address, or set SSL_CERT_FILE to the certificates of its authority.",
    ),
)


def explanation(text: str) -> Explanation | None:
    """Explanation of a text that quotes a node: the first row that matches."""
    return next((known for pattern, known in _EXPLANATIONS if re.search(pattern, text)), None)


def short_text(text: str) -> str:
    """The explanation of a text that quotes a node in a few words, or the text itself."""
    known = explanation(text)
    return known.short if known else text


def explained(diagnostic: Diagnostic) -> Diagnostic:
    """A diagnostic whose summary quotes a node, with a short explanation in its place and the quote in the detail.

    A quote without an explanation moves to the detail if the summary is longer than 72 characters with it.
    """
    known = explanation(diagnostic.summary)
    if known is None:
        return _shortened(diagnostic)
    lead, separator, message = diagnostic.summary.partition(": ")
    if not separator or explanation(lead):
        lead, message = "", diagnostic.summary
    summary = f"{lead}: {known.short}" if lead else known.short
    if len(summary) > MAX_SUMMARY:
        summary = lead
    quote = f"Message: {message.removeprefix(REFUSED).rstrip('.')}."
    return replace(
        diagnostic, summary=summary, detail=f"{known.means} {quote} {diagnostic.detail}".strip(), remedy=known.help
    )


def _shortened(diagnostic: Diagnostic) -> Diagnostic:
    """The diagnostic with the end of a long summary, a cause or parentheses, at the start of its detail."""
    summary, address = diagnostic.summary, diagnostic.address
    if len(summary) <= MAX_SUMMARY:
        return diagnostic
    starts = [0, *(m.end() for m in _ENDS.finditer(summary))]
    ends = [m.start() for m in _ENDS.finditer(summary)]
    ends = [end for start, end in zip(starts, ends, strict=False) if " " in summary[start:end]]  # after a statement
    if ends:
        end = max((e for e in ends if e <= MAX_SUMMARY), default=ends[0])  # later only behind a long name
        lead, cause = summary[:end], f"Cause: {summary[end:].removeprefix(': ')}"
        if summary[end] == " ":
            cause = f"{summary[end + 2].upper()}{summary[end + 3 : -1]}"
    elif address is not None and summary.startswith(f"{address}: "):
        lead, cause = f"{address} failed", f"Cause: {summary.removeprefix(f'{address}: ')}"
    else:
        return diagnostic
    return replace(diagnostic, summary=lead, detail=f"{cause.rstrip('.')}. {diagnostic.detail}".strip())
