"""A canary in every secret field of every kind, of the project and of replies, searched in every output."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.emulator import FaultSpec
from dbc_iac.kinds import MODELS, kind_of
from tests.cli.test_instances import MANAGER_SEED, SERVER_ID, SERVER_KEY, WORLD
from tests.projects import NODE_ID, PROJECT, SEED, Emulated, document, project, vm

CANARIES = {
    "LOGIN": "canary-of-login",
    "IPMI": "canary-of-ipmi",
    "LINK": "canarylink",
    "HEADER": "canary-of-header",
}
MANAGER = "ce8658d8ec4502b708e2b5157271a4793b14b9b64eea369b429c8d2321116833"
DOCUMENTS = {
    "VirtualMachine": vm(login={"password": {"env": "LOGIN"}}),
    "Disk": document("Disk", "scratch", {"vm": "trainer", "size": "50Gi"}),
    "BareMetalManager": document("BareMetalManager", "rack", {"id": MANAGER, "identity": "owner"}),
    "BareMetalServer": document(
        "BareMetalServer", "two",
        {"manager": "rack", "uuid": "two", "ip": "198.51.100.2",
         "ipmi": {"host": "192.168.0.2", "port": 623, "username": "admin", "password": {"env": "IPMI"}}},
    ),
    "BareMetalInstance": document(
        "BareMetalInstance", "box",
        {"nodeId": SERVER_ID, "identity": "tenant", "power": "on", "deeplink": {"password": {"env": "LINK"}}},
    ),
}  # fmt: skip
IDENTITIES = "    owner: {nodeKey: {env: MANAGER}}\n  variables:\n"


@pytest.fixture
def emulated(tmp_path: Path) -> Iterator[Emulated]:
    environ = {**CANARIES, "MANAGER": MANAGER_SEED}
    one = project(tmp_path / "lab", *DOCUMENTS.values(), environ=environ)
    text = PROJECT.replace("  variables:\n", IDENTITIES).replace(
        'url: "http://127.0.0.1:5050"', 'url: "http://127.0.0.1:5050", headers: {x-key: {env: HEADER}}'
    )
    one.write({"dbc-iac.yaml": text})
    made = Emulated(one, {**WORLD, "machines": {SERVER_ID: {"renter": "tenant"}, NODE_ID: {"renter": "tenant"}}})
    yield made
    made.close()


def test_every_kind_that_has_a_secret_is_tried() -> None:
    assert {name for name in MODELS if kind_of(name).secret_fields} <= set(DOCUMENTS)


def test_no_canary_is_in_any_output(emulated: Emulated, tmp_path: Path) -> None:
    def files(name: str) -> list[str]:
        return ["--markdown", str(tmp_path / f"{name}.md"), "--html", str(tmp_path / f"{name}.html"), "--full"]

    def followed(name: str) -> list[str]:
        return ["--events", str(tmp_path / f"{name}.ndjson"), "--report", str(tmp_path / f"{name}-report.md")]

    kept = str(tmp_path / "the.plan")
    echo = " ".join([*CANARIES.values(), SEED, MANAGER_SEED])
    said: list[tuple[tuple[str, ...], str]] = []

    def run(*arguments: str, code: int | None = 0) -> None:
        result = emulated.run(*arguments)
        assert code is None or result.code == code, result.err + result.out
        said.append((arguments, result.out + result.err))

    run("plan", "-o", kept, *files("plan"))
    run("plan", "--json")
    run("show", kept, *files("show"))
    for op in ("tasks.create", "server.add", "deeplink.set"):
        emulated.network.faults.add(FaultSpec(op=op, kind="refuse", text=f"no: {echo}", times=50))
    run("apply", "--yes", *files("failed"), *followed("failed"), code=None)
    run("apply", "--yes", "--json", *followed("failed-json"), code=None)
    emulated.network.faults.clear()
    run("apply", "--yes", *followed("applied"), code=None)
    emulated.admin.change_vm(next(iter(emulated.vms)), network_filters=[f"in,tcp,22,{CANARIES['LOGIN']},accept"])
    run("plan", *files("drifted"), code=None)
    for looked in (["drift"], ["drift", "--json"], ["show"], ["show", "--json"], ["output", "--json"], ["graph"],
                      ["state", "list"], ["state", "show", "VirtualMachine/trainer"], ["orphans"], ["validate"]):  # fmt: skip
        run(*looked, code=None)
    run("destroy", "--yes", "--destroy-identity", "BareMetalServer/two", *followed("destroyed"), code=None)

    secrets = {*CANARIES.values(), SEED, MANAGER_SEED}
    for arguments, text in said:
        assert not [s for s in secrets if s in text], arguments
    written = [p for p in tmp_path.rglob("*") if p.is_file() and ".cache" not in p.parts]
    assert len(written) > 15
    for path in written:
        assert not [s for s in secrets if s in path.read_text()], path
    assert "in,tcp,22,***,accept" in dict(said)["drift",]
    assert any("***" in text for _, text in said), "what the nodes echoed was met, and taken out"


def test_a_secret_that_a_document_repeats_is_hidden_before_it_is_ever_sent(tmp_path: Path) -> None:
    told = vm(login={"password": {"env": "LOGIN"}}, description=f"log in with {CANARIES['LOGIN']}")
    emulated = Emulated(project(tmp_path / "lab", told, environ=dict(CANARIES)))
    markdown, page = tmp_path / "plan.md", tmp_path / "plan.html"
    planned = emulated.run("plan", "--markdown", str(markdown), "--html", str(page))
    asked = emulated.run("plan", "--json")
    applied = emulated.run("apply", "--yes")
    assert (planned.code, asked.code, applied.code) == (0, 0, 0)
    shown = [planned.out, planned.err, markdown.read_text(), page.read_text(), asked.out, applied.out, applied.err]
    shown += [emulated.run(*c).out for c in (["show"], ["show", "--json"], ["vm", "show", "trainer"])]
    shown.append(emulated.run("state", "show", "VirtualMachine/trainer").out)
    assert not [text for text in shown if CANARIES["LOGIN"] in text]
    assert "log in with ***" in planned.out
    assert "secret-in-the-clear" in asked.out
    assert "description of VirtualMachine/trainer contains the value of a secret" in planned.err
    emulated.close()


def test_secrets_of_replies_are_in_no_output_although_nodes_repeat_them(tmp_path: Path) -> None:
    ipmi, link = "manager-ipmi", "server-link"
    lab = project(
        tmp_path / "lab", vm(),
        document("BareMetalManager", "rack", {"id": MANAGER, "identity": "owner"}),
        document("BareMetalInstance", "box", {"nodeId": SERVER_ID, "identity": "tenant"}),
        environ={"MANAGER": MANAGER_SEED},
    )  # fmt: skip
    lab.write({"dbc-iac.yaml": PROJECT.replace("  variables:\n", IDENTITIES)})
    repeated = f"canary {ipmi} {SERVER_KEY} {link}"
    server = {**WORLD["managers"][0]["servers"][0], "ipmiPassword": ipmi, "description": repeated}
    emulated = Emulated(lab, {
        "managers": [{"seed": MANAGER_SEED, "servers": [server]}],
        "bmcs": [{"host": "192.168.0.1", "password": ipmi}],
        "deeplinks": [{"ip": "198.51.100.1", "deviceId": "123456789", "devicePassword": link}],
        "machines": {SERVER_ID: {"renter": "tenant"}, NODE_ID: {"renter": "tenant"}},
    })  # fmt: skip
    assert emulated.run("apply", "--yes").code == 0
    [task_id] = emulated.vms
    emulated.admin.change_vm(task_id, vnc_password="vnc-of-the-node", login_password="login-of-the-node")
    [session] = [s.id for s in emulated.network.nodes[NODE_ID].authority.sessions.values()]
    of_vm = f"canary vnc-of-the-node login-of-the-node {session}"
    emulated.admin.change_vm(task_id, desc=of_vm)
    secrets = {*repeated.split(), *of_vm.split()} - {"canary"}

    def shown(line: str) -> str:
        result = emulated.run(*line.split())
        assert not [s for s in secrets if s in result.out + result.err], line
        return result.out + result.err

    for line in ("drift", "drift --json", "vm show trainer", "vm show trainer --json", "server list rack",
                 "server list rack --json", f"api /tasks/{task_id} --node gpu-a", "api /bare_metal --node rack --json",
                 f"plan --markdown {tmp_path}/p.md --html {tmp_path}/p.html", "plan --json"):  # fmt: skip
        assert "canary" in shown(line), line
    for op, text in (("tasks.modify", of_vm), ("snapshot.list", f"canary {session}")):
        emulated.network.faults.add(FaultSpec(op=op, kind="refuse", text=f"no: {text}", times=500))
    lab.write({"manifests/all.yaml": (lab.directory / "manifests/all.yaml").read_text().replace("8Gi", "9Gi")})
    followed = f"--events {tmp_path}/events.ndjson --report {tmp_path}/report.md"
    for line in (f"apply --yes -vv {followed}", "apply --yes --json", f"api /snapshot/list/{task_id} --node gpu-a"):
        assert "no: canary" in shown(line), line
    written = [path.read_text() for path in tmp_path.iterdir() if path.is_file()]
    assert len(written) == 4
    for text in written:
        assert "canary" in text
        assert not [s for s in secrets if s in text], text
    assert "vnc-of-the-node" in emulated.run("vm", "show", "trainer", "--reveal").out
    assert session in emulated.run("wallet", "session", "gpu-a", "--print").out
    emulated.close()
