"""Negative control: emulators with one mutation each, which the replay must detect.

A mutation patches one behaviour that recordings show; `files`: those recordings.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.emulator.authority import Authority, Caller
from dbc_iac.emulator.bare_metal import manager as managers
from dbc_iac.emulator.bare_metal import power as bmcs
from dbc_iac.emulator.bare_metal import servers
from dbc_iac.emulator.crypto import verifies
from dbc_iac.emulator.gossip import Entry, Gossip, Listener
from dbc_iac.emulator.gpu import create, details, disks, images, jobs, modify, node, power
from dbc_iac.emulator.gpu.machine import Machine
from dbc_iac.emulator.gpu.paste import Refused
from dbc_iac.emulator.gpu.record import Record
from dbc_iac.emulator.gpu.request import NodeRequest
from dbc_iac.emulator.gpu.snapshot_records import Snapshot, SnapshotBook
from dbc_iac.emulator.gpu.spec import GIB
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.http import answer, envelope, local, rapidjson, relay, routes
from dbc_iac.emulator.reply import Reply
from tests.conformance.replay import Replay

BASICS, OWNER, RENTER, DEEPLINK = "01_basics_client", "02_bare_metal_owner", "03_bare_metal_power_renter", "04_deeplink"
CREATE, LIFE, QUEUE = (
    "05_gpu_auth_and_create",
    "06_gpu_vm_lifecycle_clean",
    "06b_gpu_vm_many_requests_one_after_another",
)
IMAGES, LANS, GONE = "07_images", "08_lan_and_monitor", "10_gpu_node_gone_and_connection_life"

Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    files: tuple[str, ...]
    apply: Callable[[Patch], None]


ALL: list[Mutation] = []


def noticed(mistake: Mutation, recordings: Mapping[str, Path]) -> bool:
    """Whether every recording of the behaviour differs."""
    with pytest.MonkeyPatch.context() as patch:
        mistake.apply(patch)
        return all(Replay(recordings[name]).run().differing for name in mistake.files)


def mutation(name: str, *files: str) -> Callable[[Callable[[Patch], None]], Callable[[Patch], None]]:
    def register(apply: Callable[[Patch], None]) -> Callable[[Patch], None]:
        ALL.append(Mutation(name, files, apply))
        return apply

    return register


@mutation("a wrong text", QUEUE)
def _(patch: Patch) -> None:
    patch.setattr(power, "_wrong_state", lambda state: Refused(f"the task is {state.value}"))


@mutation("a resize that sets instead of adding", LIFE)
def _(patch: Patch) -> None:
    async def resize(machine: Machine, task_id: str, name: str, gib: int) -> None:
        disk = machine.records[task_id].disks[name]
        disk.reported_size = gib * GIB

    patch.setattr(disks, "_run_resize", resize)


@mutation("a 400 for a 200", CREATE)
def _(patch: Patch) -> None:
    passed_on = relay.Relay._passed_on

    def refuse(self: relay.Relay, op: str, reply: Reply, fault: Any) -> answer.Response:
        made = passed_on(self, op, reply, fault)
        refused = json.loads(made.body)["errcode"] != 0
        return answer.Response(400, made.body) if refused else made

    patch.setattr(relay.Relay, "_passed_on", refuse)


@mutation("a forgotten nonce check", RENTER)
def _(patch: Patch) -> None:
    patch.setattr(Authority, "fresh", lambda self, wallet, nonce, sign: verifies(wallet, nonce, sign))


@mutation("a nonce check at the manager's own port", OWNER)
def _(patch: Patch) -> None:
    def owner(manager: managers.ManagerProcess, made: envelope.Envelope) -> bool:
        wallet, nonce, sign = made.credentials.wallet
        return wallet == manager.id and manager.authority.fresh(wallet, nonce, sign)

    patch.setattr(local, "_owner", owner)


@mutation("secrets shown to everybody", OWNER)
def _(patch: Patch) -> None:
    text = servers.Server.text
    patch.setattr(servers.Server, "text", lambda self, **more: text(self, **{**more, "shown": True}))


@mutation("a new session id each time", CREATE)
def _(patch: Patch) -> None:
    numbers = itertools.count()
    patch.setattr(Authority, "session_of", lambda self, caller: f"{next(numbers):055d}")


@mutation("a good session of an order that ended still lets in", RENTER)
def _(patch: Patch) -> None:
    renter = Authority._renter

    def lenient(self: Authority, credentials: Any) -> Caller:
        wallet = self._session(credentials.session)
        return Caller(wallet, "session", credentials.rent_order) if wallet else renter(self, credentials)

    patch.setattr(Authority, "_renter", lenient)


@mutation("a key without its colon", IMAGES)
def _(patch: Patch) -> None:
    async def show(machine: Machine, caller: Any, request: NodeRequest) -> Reply:
        return Reply((await images.show(machine, caller, request)).text.replace('"image_name:"', '"image_name"'))

    patch.setattr(node, "OPERATIONS", {**node.OPERATIONS, "images.list": node.Operation(show, "optional")})


@mutation("an array for an object", LANS)
def _(patch: Patch) -> None:
    patch.setattr(local, "own_view", lambda table: "[]")


@mutation("each endpoint's own name in its time-out", GONE)
def _(patch: Patch) -> None:
    patch.setattr(relay, "_timeout_text", lambda op: f"{op} timeout")


@mutation("numbers accepted for texts", CREATE)
def _(patch: Patch) -> None:
    def lenient(values: Any, key: str) -> str:
        return str(values.get(key, "")) if isinstance(values.get(key, ""), str | int | float) else ""

    patch.setattr(create, "text_of", lenient)
    patch.setattr(modify, "text_of", lenient)


@mutation("a boot device that is answered with success", RENTER)
def _(patch: Patch) -> None:
    of_server = managers.ManagerProcess._of_server

    async def succeed(self: managers.ManagerProcess, target: str, op: str, who: Any, request: NodeRequest) -> Reply:
        if op != "bare_metal.bootdev":
            return await of_server(self, target, op, who, request)
        await self._renter(target, who)
        return Reply('{"errcode":0, "message":"ok"}')

    patch.setattr(managers.ManagerProcess, "_of_server", succeed)


@mutation("an errcode of another layer", CREATE)
def _(patch: Patch) -> None:
    made = Refused.__init__

    def init(self: Refused, text: str, errcode: int = 1, separator: str = ", ") -> None:
        made(self, text, -3 if errcode == 1 else errcode, separator)

    patch.setattr(Refused, "__init__", init)


@mutation("an offset of a JSON error one byte off", BASICS)
def _(patch: Patch) -> None:
    made = rapidjson.JsonError.__init__
    patch.setattr(rapidjson.JsonError, "__init__", lambda self, text, offset: made(self, text, offset + 1))


@mutation("broken JSON mended by escaping", OWNER)
def _(patch: Patch) -> None:
    def escaped(**values: str | int | None) -> str:
        return json.dumps({k: v for k, v in values.items() if v is not None}, ensure_ascii=False)

    patch.setattr(servers, "pasted", escaped)


@mutation("a system disk that shows its size at once", LIFE)
def _(patch: Patch) -> None:
    new_disks = create._disks

    def honest(machine: Machine, *given: Any, **more: Any) -> Any:
        made = new_disks(machine, *given, **more)
        made["vda"].reported_size = 64 * 1024**2
        return made

    patch.setattr(create, "_disks", honest)


@mutation("news that spread at once", OWNER)
def _(patch: Patch) -> None:
    def hears(self: Gossip, listener: Listener, entry: Entry) -> bool:
        return entry.gone is None or self.clock.now() - entry.gone <= self.spec.expiry

    patch.setattr(Gossip, "_hears", hears)


@mutation("the newest snapshot of a name deleted", LIFE)
def _(patch: Patch) -> None:
    def newest(self: SnapshotBook, task_id: str, name: str) -> Snapshot | None:
        return next((one for one in reversed(self.of(task_id)) if one.name == name), None)

    patch.setattr(SnapshotBook, "oldest", newest)


@mutation("nothing of an unknown transfer", IMAGES)
def _(patch: Patch) -> None:
    def progress(machine: Machine, running: Any, name: str, word: str) -> Reply:
        return Reply(f'{{"errcode":0,"message":{{"status": "{word}","progress": "0%"}}}}')

    patch.setattr(images, "_progress", progress)


@mutation("a 400 for a 404", BASICS)
def _(patch: Patch) -> None:
    def route(uri: str) -> routes.Route:
        try:
            return routes.route(uri)
        except answer.Answer as made:
            if made.response.status == 404:
                raise answer.Answer(400, -32601, f"not support uri:{uri}") from None
            raise

    patch.setattr("dbc_iac.emulator.http.node.route", route)


@mutation("a JSON page for an HTML one", BASICS)
def _(patch: Patch) -> None:
    patch.setattr("dbc_iac.emulator.http.node.page", lambda status: answer.Response(status, "{}", close=True))


@mutation("one text for everything that is not there", LIFE)
def _(patch: Patch) -> None:
    async def gentle(machine: Machine, caller: Any, request: NodeRequest) -> Reply:
        if request.task_id not in machine.records:
            raise Refused("task not exist")
        return await details.details(machine, caller, request)

    patch.setattr(node, "OPERATIONS", {**node.OPERATIONS, "tasks.details": node.Operation(gentle)})


@mutation("a shutdown that leaves the domain running", LIFE)
def _(patch: Patch) -> None:
    async def nothing(machine: Machine, task_id: str) -> bool:
        return True

    patch.setattr(jobs, "_destroy_domain", nothing)


@mutation("an id returned by create that is not the VM's", LIFE)
def _(patch: Patch) -> None:
    async def other(machine: Machine, caller: Any, request: NodeRequest) -> Reply:
        made = json.loads((await create.create(machine, caller, request)).text)
        made["message"]["task_id"] = made["message"]["task_id"][::-1]
        return Reply(json.dumps(made))

    patch.setattr(node, "OPERATIONS", {**node.OPERATIONS, "tasks.create": node.Operation(other)})


@mutation("another network interface each time", LIFE)
def _(patch: Patch) -> None:
    numbers = itertools.count()

    def interface(domain: Any, record: Record) -> str:
        mac = f"52:54:00:00:00:{next(numbers) % 256:02x}"
        return f'[{{"name":"default","type":"virtio","mac_address":"{mac}"}}]' if domain else "[]"

    patch.setattr(details, "_interface", interface)


@mutation("cores that modify does not change", QUEUE)
def _(patch: Patch) -> None:
    def unchanged(*given: Any) -> bool:
        return False

    patch.setattr(modify, "_change_cpus", unchanged)


@mutation("a disk changed while its VM runs", QUEUE)
def _(patch: Patch) -> None:
    async def accept(machine: Machine, record: Record) -> None:
        await machine.settled(record.task_id)

    patch.setattr(disks, "_need_off", accept)


@mutation("a BMC that forgets its settings", RENTER)
def _(patch: Patch) -> None:
    act = bmcs._act

    def forgets(bmc: bmcs.Bmc, command: tuple[str, ...]) -> str:
        before = bmc.power
        output = act(bmc, command)
        bmc.power = before
        return output

    patch.setattr(bmcs, "_act", forgets)


@mutation("a DeepLink id that is taken", DEEPLINK)
def _(patch: Patch) -> None:
    set_device = managers.ManagerProcess._set_device

    def take(self: managers.ManagerProcess, server: servers.Server, request: NodeRequest) -> Reply:
        reply = set_device(self, server, request)
        device = self.deeplinks.devices.get(server.ip)
        device_id = request.additional.get("device_id")
        if device is not None and isinstance(device_id, str):
            device.id = device_id
        return reply

    patch.setattr(managers.ManagerProcess, "_set_device", take)


@mutation("sessions that are never known", CREATE)
def _(patch: Patch) -> None:
    patch.setattr(Authority, "_session", lambda self, pair: None)


@mutation("a domain in every state startable", QUEUE)
def _(patch: Patch) -> None:
    patch.setattr(power, "_STARTABLE", set(DomainState))
