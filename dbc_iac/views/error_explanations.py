"""What a node's words mean to the person who reads them, and what can be done. Only for people: decisions are made
from `api.refusals`, never from here. A text that is not known stays as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from dbc_iac.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class Explanation:
    """In full sentences."""

    means: str
    help: str


def _row(text: str, means: str, help_: str) -> tuple[re.Pattern[str], Explanation]:
    return re.compile(text), Explanation(means, help_)


_WORDS = (
    _row(
        r"machine is not be rented|wallet not rented",
        "The machine is not rented, or not by this wallet under this order.",
        "Look at the rental on the chain; correct `rentOrder` or `identity` of the Node.",
    ),
    _row(
        r"response parse error",
        "What the node sent is broken JSON, most likely by a quote in the description of a VM of this wallet.",
        "Read by their ids your VMs are all right; new ones wait until that VM is gone.",
    ),
    _row(r"machine has already expired", "The rental has ended.", "Renew it, and set the new `rentOrder`."),
    _row(
        r"nonce check failed|verify sign failed|invalid wallet sign|session_id is invalid|all invalid",
        "The node does not accept the credentials.",
        "Check the key or the session of the identity; a session is good for one node only.",
    ),
    _row(
        r"no valid session id",
        "A session id is Base58Check of a UUID. Any other text could be a transaction of your wallet.",
        "Use a client node that you run. If the answer stays, stop using this machine with this wallet.",
    ),
    _row(
        r"query machine_status failed",
        "The node could not ask the chain; this says nothing about the rental.",
        "Apply again in some minutes.",
    ),
    _row(
        r"only use the number what you exactly rented|gpu_count exceeds number of leases",
        "A VM on this order takes exactly the GPUs of the order.",
        "Set `gpus` to the number that the order has.",
    ),
    _row(
        r"allocate gpu failed",
        "Not enough GPUs are free on the node: running VMs, VMs under creation and failed ones hold them.",
        "Power off or destroy what holds them, and apply again.",
    ),
    _row(
        r"allocate (cpu|mem|memory|disk) failed|have no enough space",
        "The node has not enough of it free.",
        "Ask for less, or power off or destroy what holds it, and apply again.",
    ),
    _row(
        r"port conflict|_port \S+ has been used",
        "Another VM of the node has this port; ports of VMs that are off count too.",
        "Write `auto`, or another port.",
    ),
    _row(r"public ip being used", "Another VM of the node, or its host, has this address.", "Choose another one."),
    _row(
        r"image_name' is not exist|image backfile not exist|data_file_name is not exist",
        "The node does not have this file.",
        "Bring it to the node first, or name a file that is there.",
    ),
    _row(
        r"in downloading or uploading",
        "The file is being transferred.",
        "Apply again when the transfer has ended.",
    ),
    _row(
        r"can not find network info|network name not exist",
        "The node does not know this LAN: LANs are seen within one machine room only.",
        "Choose a node of the same room, or another network.",
    ),
    _row(
        r"network is in used",
        "VMs are still members of the LAN, perhaps of others.",
        "Take them out of it first, and apply again.",
    ),
    _row(
        r"you are not the owner of the network",
        "Another wallet made this LAN.",
        "Let its owner do it, or declare it with `external: true`.",
    ),
    _row(
        r"create node request failed",
        "The client node has not heard of the target, or has no way to it.",
        "Is the node online? Try again, or through another client node.",
    ),
    _row(
        r"create request session failed",
        "The client node has run out of slots for requests, and does not get them back.",
        "Restart your client node.",
    ),
    _row(
        r"agent is not connected|Only the running task can change the password",
        "The password is set by an agent inside the running guest, which does not answer.",
        "Use an image with the qemu guest agent, or set the password by hand.",
    ),
    _row(
        r"its certificate is not trusted",
        "The authority that signed it is not known here, or it is for another name.",
        "Check the address, or set SSL_CERT_FILE to a file with the certificates of its authority.",
    ),
)


def explanation(text: str) -> Explanation | None:
    """What is known of a text that holds words of a node; the first row that fits."""
    return next((known for words, known in _WORDS if words.search(text)), None)


def explained(diagnostic: Diagnostic) -> Diagnostic:
    """A problem whose summary quotes a node, with what the quoted words mean and what helps."""
    known = explanation(diagnostic.summary)
    if known is None:
        return diagnostic
    return replace(diagnostic, detail=f"{known.means} {diagnostic.detail}".strip(), remedy=known.help)
