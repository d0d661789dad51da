"""A reader with given answers, a channel that records calls, and objects as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, cast

from msgspec.structs import replace

from dbc_iac.api.channel import Channel
from dbc_iac.api.outcome import Done, NotSent, Outcome, Refused, Unknown
from dbc_iac.api.responses import Id, LanView, StoredImage, VmDetails, VmDisk, read
from dbc_iac.api.secret import SecretText
from dbc_iac.api.storage_responses import DeeplinkView, Progress, ServerView, SnapshotView
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import ActContext
from dbc_iac.kinds.framework.route import Route

TARGET = "5" * 64
ROUTE = Route("Node/gpu-a", TARGET, "tenant", ("default",), "112")
VM = "7a7F4y4wjLSDUtK7nKQNNG"
FILE = "/data/data_1_20260101000000.qcow2"
SILENT = Unreadable("no answer")

DETAILS = read(
    VmDetails,
    {
        "task_id": VM, "status": "running", "os": "ubuntu", "ssh_port": "20022", "vnc_port": "5901", "user_name": "dbc",
        "login_password": "made-up", "vnc_password": "made-up", "cpu_cores": 8, "gpu_count": 1, "mem_size": "16G",
        "rent_order": "112", "disks": [{"name": "vda", "size": "350G", "source_file": "/data/vm_1.qcow2"}],
    },
)  # fmt: skip
LAN = LanView("training", "192.168.66.0/24", "wallet", ())
SECRET = SecretText("made-up")
SERVER = ServerView(
    node_id=Id("6" * 64), uuid=Id("uuid-1"), ip="10.0.0.7", ipmi_hostname="bmc", ipmi_port=623, ipmi_username="root",
    ipmi_password=SECRET, node_private_key=SECRET,
)  # fmt: skip
SNAPSHOT = SnapshotView(name="base", file="/tmp/base.qcow2", status="none")
ACTIVE, ENDED = Progress(True, 40), Progress(False, 100)
DEVICE = DeeplinkView("1", SECRET)


def details(*disks: tuple[str, int, str], **changes: Any) -> VmDetails:
    """A VM with more disks: (device, GiB, file)."""
    added = tuple(VmDisk(name=name, source_file=file, size_gib=Fraction(size)) for name, size, file in disks)
    return replace(DETAILS, disks=(*DETAILS.disks, *added), **changes)


def stored(name: str = "big.qcow2", size: int = 4) -> dict[str, StoredImage]:
    return {name: StoredImage(name, Fraction(size))}


def reader(**answers: object) -> CachedReader:
    """A reader whose methods give these answers; every other read has no answer."""

    async def no_channel(route: Route) -> Channel:
        raise AssertionError("a look reads by the reader only")

    def answering(value: object) -> Any:
        async def answer(*_: object, **__: object) -> object:
            return value if isinstance(value, Known | Unreadable) else Known(value)

        return answer

    found = CachedReader(no_channel)
    names = [n for n, v in vars(CachedReader).items() if callable(v) and not n.startswith("_") and n != "forget"]
    assert set(answers) <= set(names)
    for name in names:
        setattr(found, name, answering(answers.get(name, SILENT)))
    return found


class RecordingChannel:
    """Answers each call with the same outcome."""

    def __init__(self, answer: object) -> None:
        self.target = TARGET
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._answer = answer

    async def act(self, path: str, additional: Mapping[str, object], call_class: object = None) -> Outcome[object]:
        self.calls.append((path, dict(additional)))
        answered = isinstance(self._answer, Done | Refused | NotSent | Unknown)
        return cast(Outcome[object], self._answer) if answered else Done(self._answer)

    read_public = ask_client = act


def context(answer: object = "ok", **secrets: str) -> tuple[ActContext, RecordingChannel]:
    """The context of an act, and the channel that it uses. `secrets` by path, with `_` for a dot."""
    channel = RecordingChannel(answer)

    async def connect(route: Route) -> Channel:
        return cast(Channel, channel)

    return ActContext(connect, {k.replace("_", "."): SecretText(v) for k, v in secrets.items()}), channel
