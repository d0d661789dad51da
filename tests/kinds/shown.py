"""A reader with given answers, a channel that records calls, and objects as the API shows them.

`SCENES` has an object of each kind with a value for each field that the API can show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import asdict, replace

from dbc_iac.api.channel import Channel
from dbc_iac.api.outcome import Done, NotSent, Outcome, Refused, Unknown
from dbc_iac.api.responses import Id, LanView, NodeHardware, StoredImage, VmDetails, VmDisk, read
from dbc_iac.api.storage_responses import DeeplinkView, Progress, ServerView, SnapshotView
from dbc_iac.kinds.framework.cached_reader import CachedReader, Known, Unreadable
from dbc_iac.kinds.framework.goal import ActContext
from dbc_iac.kinds.framework.route import Route
from dbc_iac.kinds.framework.rules import Facts
from dbc_iac.kinds.framework.values import Lookup
from dbc_iac.secret import SecretText

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


class Scene(Struct, frozen=True):
    """An object of a kind, and the place where it is looked for."""

    name: str
    lookup: Lookup
    answers: Mapping[str, object]
    facts: Facts = Facts()

    @property
    def reader(self) -> CachedReader:
        return reader(**self.answers)

    def varied(self) -> Iterator[Scene]:
        """The scene with another value in place of each that it has, in all its places."""
        for value in {repr(v): v for v in _leaves((self.lookup, self.answers))}.values():
            for other in _others(value):
                lookup, answers = _with((self.lookup, self.answers), value, other)
                yield Scene(self.name, lookup, answers, self.facts)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Struct):
        value = asdict(value)
    if isinstance(value, Mapping):
        value = (*value.keys(), *value.values()) if not all(map(str.isidentifier, value)) else (*value.values(),)
    if isinstance(value, tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _others(value: Any) -> list[Any]:
    match value:
        case SecretText():
            return [SecretText(f"{value.reveal()}2")]
        case bool():
            return [not value]
        case int() | Fraction():
            return [value + 1]
        case str() if value:
            last = "0" if value[-1] == "9" else chr(ord(value[-1]) + 1)
            return [value[:-1] + last, "closed", "windows", f"/more{value}"]
        case _:
            return []


def _with(whole: Any, value: Any, other: Any) -> Any:
    """A structure with another value in place of one."""
    if type(whole) is type(value) and whole == value:
        return other
    if isinstance(whole, Struct):
        return replace(whole, **{k: _with(v, value, other) for k, v in asdict(whole).items()})
    if isinstance(whole, Mapping):
        return {_with(k, value, other): _with(v, value, other) for k, v in whole.items()}
    return tuple(_with(v, value, other) for v in whole) if isinstance(whole, tuple) else whole


_AT_VM = {"vm_status": "running"}
_FULL = details(
    ("vdb", 20, FILE), ("vdc", 50, "/data/scratch_1.qcow2"), desc="of the team", ssh_ip="198.51.100.8",
    network_name="training", network_filters=("in,ssh,all,0.0.0.0/0,accept",),
)  # fmt: skip
_HARDWARE = NodeHardware(
    version="0.4.1.8", ip="10.*.*.1", cpu_cores=64, physical_cpus=2, gpu_count=8, gpu_used=1,
    mem_size_gib=Fraction(256), mem_free_gib=Fraction(200),
)  # fmt: skip
_VM = {**_AT_VM, "hardware": _HARDWARE}
_WINDOWS = replace(_FULL, os="win10", ssh_port=None, rdp_port=3390)
_COPY = {"node_images": stored(), "image_server": stored(), "image_servers": ()}
SCENES: dict[str, list[Scene]] = {
    "VirtualMachine": [
        Scene("a VM", Lookup("VirtualMachine/a", ROUTE, VM, 1), {**_VM, "vm": _FULL}),
        Scene("a VM with windows", Lookup("VirtualMachine/a", ROUTE, VM, 1), {**_VM, "vm": _WINDOWS}, Facts(windows=True)),
    ],
    "Disk": [
        Scene("a disk", Lookup("Disk/a", ROUTE, "/data/scratch_1.qcow2", 1, parent_id=VM), {**_AT_VM, "vm": _FULL}),
    ],
    "Network": [Scene("a LAN", Lookup("Network/a", ROUTE, "training", 1), {"network": LAN})],
    "Image": [Scene("an image", Lookup("Image/a", ROUTE, "big.qcow2", 1, key="ID_1"), _COPY)],
    "ImageExport": [Scene("an export", Lookup("ImageExport/a", ROUTE, "big.qcow2", 1, key="ID_1"), _COPY)],
    "Snapshot": [
        Scene("a snapshot", Lookup("Snapshot/a", ROUTE, "base", 1, parent_id=VM),
              {"snapshots": (replace(SNAPSHOT, description="of the team"),)}),
    ],
    "BareMetalServer": [
        Scene("a server", Lookup("BareMetalServer/a", ROUTE, SERVER.node_id, 1),
              {"servers": {SERVER.node_id: replace(SERVER, os="ubuntu", description="of the team")}}),
    ],
    "BareMetalInstance": [
        Scene("an instance", Lookup("BareMetalInstance/a", ROUTE, TARGET, 1), {"power": "on", "deeplink": DEVICE}),
    ],
}  # fmt: skip
