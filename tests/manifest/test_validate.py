"""Invalid manifests through the command line: one diagnostic each, with source range and remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import pytest

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.validate import parse
from dbc_iac.manifest.validators import Form, Part
from tests.projects import document, project, vm

LAN = document("Network", "training", {"via": "gpu-a", "cidr": "192.168.66.0/24"})


def with_vm(**changed: Any) -> list[str]:
    return [vm(**changed)]


PYDANTIC = (
    "Input",
    "tuple",
    "Tuple",
    "Dictionary",
    "after validation",
    "valid string",
    "[A-Z",
    "[a-z",
    "[0-9",
    "docs/kinds",
)
CASES: list[tuple[str, list[str], str]] = [
    ("size beyond all machines", with_vm(memory="999999999Ti"), "invalid-value"),
    ("disk beyond all machines", [vm(), document("Disk", "d", {"vm": "trainer", "size": "1025Ti"})], "invalid-value"),
    ("more GPUs than there are", with_vm(gpus=10**26), "invalid-value"),
    ("public ip with a shell command", with_vm(publicIp="fe80::1%$(reboot)"), "invalid-value"),
    ("public ip of nobody", with_vm(publicIp="0.0.0.0"), "invalid-value"),  # noqa: S104
    ("public ip of the machine itself", with_vm(publicIp="127.0.0.1"), "invalid-value"),
    ("public ip of the machine itself, 6", with_vm(publicIp="::1"), "invalid-value"),
    ("public ip of a group", with_vm(publicIp="224.0.0.1"), "invalid-value"),
    ("image in letters of elsewhere", with_vm(image="\u00e9.qcow2"), "invalid-image"),
    ("image with a long name", with_vm(image="a" * 200 + ".qcow2"), "invalid-image"),
    ("order with a leading zero", with_vm(rentOrder="0112"), "invalid-value"),
    ("time-out of nothing", with_vm(timeouts={"create": "0s"}), "invalid-value"),
    ("account of null", with_vm(login={"username": None, "password": {"env": "PW"}}), "invalid-value"),
    ("password of null", with_vm(login={"password": None}), "invalid-value"),
    ("ssh port of null", with_vm(ports={"ssh": None, "vnc": "auto"}), "invalid-value"),
    ("account of nothing", with_vm(login={"username": "", "password": {"env": "PW"}}), "invalid-value"),
    ("number in a map of tokens", with_vm(restartOn={"a": 1}), "invalid-value"),
    ("hook without a program", with_vm(lifecycle={"beforeOffline": {"command": []}}), "invalid-value"),
    ("secret without a program", with_vm(login={"password": {"exec": []}}), "invalid-value"),
    ("external vm with a path for an id", with_vm(external=True, id="../x"), "invalid-value"),
    ("snapshot called ..", [vm(), document("Snapshot", "s", {"vm": "trainer", "name": "..", "imageServer": "ID"})], "invalid-value"),
    ("unknown field", with_vm(memori="8Gi"), "unknown-field"),
    ("size without a unit", with_vm(memory=8), "invalid-value"),
    ("size of zero", with_vm(memory="0Gi"), "invalid-value"),
    ("unknown node", with_vm(node="gpu-b"), "unknown-reference"),
    ("unknown network", with_vm(network="nowhere"), "unknown-reference"),
    ("unknown dependsOn", with_vm(dependsOn=["VirtualMachine/none"]), "unknown-reference"),
    ("image that is no qcow2", with_vm(image="ubuntu.img"), "unknown-reference"),
    ("image with a path", with_vm(image="../x.qcow2"), "invalid-image"),
    ("uefi on linux", with_vm(biosMode="uefi"), "ignored-by-node"),
    ("no ssh port", with_vm(ports={"vnc": "auto"}), "missing-field"),
    ("no rdp port on windows", with_vm(os="windows"), "missing-field"),
    ("equal ports", with_vm(ports={"ssh": 6000, "vnc": 6000}), "port-conflict"),
    ("vnc below 5900", with_vm(ports={"ssh": 22, "vnc": 5000}), "invalid-value"),
    ("forward that does nothing", with_vm(ports={"ssh": 22, "vnc": 5901, "forward": ["tcp/udp,123"]}), "invalid-value"),
    ("forward onto the ssh port", with_vm(ports={"ssh": 22, "vnc": 5901, "forward": ["tcp,20-30"]}), "port-conflict"),
    ("forward of unequal ranges", with_vm(ports={"ssh": 22, "vnc": 5901, "forward": ["tcp,1-5:1-4"]}), "invalid-value"),
    ("filter with a mask", with_vm(firewall=["in,tcp,22,10.0.0.0/8,accept"]), "invalid-value"),
    ("filter that the node rejects", with_vm(firewall=["in,tcp,all,0.0.0.0/0,accept"]), "invalid-value"),
    ("filter that ends the node", with_vm(firewall=["in,ftp,21,1.2.3.4/32,drop"]), "invalid-value"),
    ("multicast that ends the node", with_vm(multicast=["abc:1"]), "invalid-value"),
    ("multicast group of DBC", with_vm(multicast=["239.0.0.8:4789"]), "invalid-value"),
    ("nic model without pxe", with_vm(nicModel="e1000"), "ignored-by-node"),
    ("pxe with a firewall", with_vm(biosMode="pxe", dataDisk=None, firewall=["in,all,all,0.0.0.0/0,drop"]), "ignored-by-node"),
    ("pxe with an account", with_vm(biosMode="pxe", dataDisk=None, login={"username": "dbc"}), "ignored-by-node"),
    ("pxe with the other system's port", with_vm(biosMode="pxe", dataDisk=None, ports={"ssh": 22, "rdp": 23, "vnc": 5901}), "ignored-by-node"),
    ("account without a password", with_vm(login={"username": "bob"}), "missing-field"),
    ("no data disk", with_vm(dataDisk=None), "missing-field"),
    ("text that breaks JSON", with_vm(description='say "hi"'), "invalid-value"),
    ("reserved description", with_vm(description="[dbc-iac:x]"), "reserved-text"),
    ("literal password", with_vm(login={"password": "hunter2"}), "literal-secret"),
    ("power of another name", with_vm(power="onn"), "invalid-value"),
    ("external without id", with_vm(external=True), "missing-field"),
    ("public ip that is not canonical", with_vm(publicIp="1.2.3.04"), "invalid-value"),
    ("two of one name", [vm(), vm()], "duplicate-document"),
    ("lan prefix that makes nonsense", [document("Network", "training", {"via": "gpu-a", "cidr": "10.0.0.0/31"})], "invalid-value"),
    ("lan with host bits", [document("Network", "training", {"via": "gpu-a", "cidr": "10.0.0.1/24"})], "invalid-value"),
    ("lan of the node's own range", [document("Network", "training", {"via": "gpu-a", "cidr": "192.168.122.0/24"})], "invalid-value"),
    ("lan name too short", [document("Network", "lan", {"via": "gpu-a", "cidr": "10.0.0.0/24"})], "invalid-name"),
    ("lan called create", [document("Network", "create", {"via": "gpu-a", "cidr": "10.0.0.0/24"})], "reserved-name"),
    ("lan without cidr", [document("Network", "training", {"via": "gpu-a"})], "missing-field"),
    ("a 25th disk", [vm(), *(document("Disk", f"d{n}", {"vm": "trainer", "size": "1Gi"}) for n in range(25))], "too-many"),
    ("disk on no vm", [document("Disk", "d", {"vm": "none", "size": "1Gi"})], "unknown-reference"),
    ("disk in a relative folder", [vm(), document("Disk", "d", {"vm": "trainer", "size": "1Gi", "hostDir": "data"})], "invalid-value"),
    ("unknown kind", [document("VirtualMachin", "x", {})], "unknown-kind"),
    ("name in capitals", [document("VirtualMachine", "Trainer", {})], "invalid-name"),
    ("template that is not defined", with_vm(description="{{ var.nothing }}"), "template"),
    ("template of the interpreter", with_vm(description="{{ ''.__class__.__mro__ }}"), "template"),
    ("unknown identity", [document("Node", "gpu-c", {"id": "0" * 64, "identity": "tennant", "rentOrder": "1"})], "unknown-identity"),
    ("unknown client", [document("Node", "gpu-c", {"id": "0" * 64, "identity": "tenant", "rentOrder": "1", "clients": ["x"]})], "unknown-client"),
    ("order in words", [document("Node", "gpu-c", {"id": "0" * 64, "identity": "tenant", "rentOrder": "one"})], "invalid-value"),
]  # fmt: skip


IPMI = {"host": "192.168.0.1", "username": "admin", "password": {"env": "IPMI"}}
SERVER: dict[str, Any] = {"manager": "m", "uuid": "a", "ip": "192.0.2.1", "ipmi": IPMI}
SERVERS: list[tuple[str, dict[str, Any]]] = [
    ("system of nothing", {"os": ""}),
    ("system of null", {"os": None}),
    ("description of null", {"description": None}),
    ("port of null", {"ipmi": {**IPMI, "port": None}}),
    ("user that is an option", {"ipmi": {**IPMI, "username": "-U"}}),
    ("host that is an option", {"ipmi": {**IPMI, "host": "-H"}}),
    ("address of which a part is too large", {"ip": "999.1.1.1"}),
    ("address of which a part is missing", {"ip": "1.2.3"}),
    ("address of dots", {"ip": "...."}),
    ("address that is an option", {"ip": "-x"}),
    ("address of colons", {"ip": ":::"}),
]
CASES += [(f"server: {n}", [document("BareMetalServer", "s", {**SERVER, **c})], "invalid-value") for n, c in SERVERS]


@pytest.mark.parametrize(("documents", "code"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_wrong_manifest_gets_its_diagnostic(tmp_path: Path, documents: list[str], code: str) -> None:
    """One diagnostic, with a source range and a remedy, without pydantic's wording."""
    result = project(tmp_path, *documents).run("validate", "--json")
    assert result.codes == [code], result.err
    assert result.code == 3
    [shown] = json.loads(result.err)["diagnostics"]
    assert shown["source"] is not None
    assert shown["remedy"]
    assert len(shown["summary"]) <= 72
    assert not shown["summary"].endswith(".")
    assert not [word for word in PYDANTIC if word in shown["summary"] + shown["remedy"]]


DOUBTFUL: list[tuple[str, list[str], list[str], str]] = [
    (
        "drop before what it should spare",
        with_vm(firewall=["in,all,all,0.0.0.0/0,drop", "in,tcp,22,0.0.0.0/0,accept"]),
        ["firewall-order"],
        "Effective order: in,tcp,22,0.0.0.0/0,accept; in,all,all,0.0.0.0/0,drop.",
    ),
    (
        "drop everything before accept everything",
        with_vm(firewall=["in,all,all,0.0.0.0/0,drop", "out,all,all,0.0.0.0/0,accept"]),
        ["firewall-order"],
        "accept before drop",
    ),
    (
        "the order that works",
        with_vm(firewall=["in,tcp,22,0.0.0.0/0,accept", "out,all,all,0.0.0.0/0,accept", "in,all,all,0.0.0.0/0,drop"]),
        [],
        "",
    ),
    ("lan of the machine itself", [document("Network", "training", {"via": "gpu-a", "cidr": "127.0.0.0/24"})], ["public-range"], "10.0.0.0/8"),
    ("lan of link-local", [document("Network", "training", {"via": "gpu-a", "cidr": "169.254.0.0/24"})], ["public-range"], "10.0.0.0/8"),
    ("lan of everybody's", [document("Network", "training", {"via": "gpu-a", "cidr": "8.8.8.0/24"})], ["public-range"], "10.0.0.0/8"),
    ("lan of RFC 1918", [document("Network", "training", {"via": "gpu-a", "cidr": "172.31.0.0/16"})], [], ""),
]  # fmt: skip


@pytest.mark.parametrize(("documents", "codes", "text"), [t[1:] for t in DOUBTFUL], ids=[t[0] for t in DOUBTFUL])
def test_a_doubtful_manifest_gets_a_warning(tmp_path: Path, documents: list[str], codes: list[str], text: str) -> None:
    result = project(tmp_path, *documents).run("validate", "--json")
    assert result.code == 0, result.err
    shown = json.loads(result.err)["diagnostics"] if result.err else []
    assert [d["code"] for d in shown] == codes
    assert all(d["source"] and d["remedy"] for d in shown)
    assert text in result.err


def test_a_diagnostic_shows_file_line_column_and_the_line(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write(
        {"manifests/vm.yaml": "apiVersion: dbc-iac/v1\nkind: Disk\nmetadata: {name: d}\nspec:\n  sizes: 5Gi\n  vm: a\n"}
    )
    result = made.run("validate")
    path = tmp_path / "manifests/vm.yaml"
    assert f"  --> {path}:5:3" in result.err
    assert "  5 |   sizes: 5Gi\n    |   ^^^^^\n  help: Did you mean size?" in result.err


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    result = project(tmp_path, vm(memory=8, cpus=0, biosMode="x")).run("validate", "--json")
    assert len(result.codes) == 3


def test_good_manifests_are_valid_without_credentials(tmp_path: Path) -> None:
    result = project(
        tmp_path, LAN, vm(network="training"), document("Disk", "d", {"vm": "trainer", "size": "2Ti"})
    ).run("validate")
    assert (result.code, result.err) == (0, "")


def test_a_dependency_cycle_is_reported_with_its_source_ranges(tmp_path: Path) -> None:
    made = project(tmp_path, vm("a", dependsOn=["VirtualMachine/b"]), vm("b", dependsOn=["VirtualMachine/a"]))
    result = made.run("validate", "--json")
    assert result.codes == ["reference-cycle"]
    assert "VirtualMachine/b needs VirtualMachine/a" in result.err or "VirtualMachine/a needs" in result.err


def test_a_long_dependency_cycle_is_shown_in_part(tmp_path: Path) -> None:
    ring = [vm(f"v{n}", dependsOn=[f"VirtualMachine/v{(n + 1) % 40}"]) for n in range(40)]
    [problem] = json.loads(project(tmp_path, *ring).run("validate", "--json").err)["diagnostics"]
    assert len(problem["related"]) == 10
    assert (problem["detail"].count(" -> "), problem["detail"].count("...")) == (12, 1)


def test_each_pair_of_overlapping_lans_is_reported_once(tmp_path: Path) -> None:
    ranges = {"a": "10.0.0.0/16", "b": "10.0.4.0/24", "c": "10.0.4.0/24", "d": "10.1.0.0/24", "e": "10.0.0.0/15"}
    lans = (document("Network", name, {"via": "gpu-a", "cidr": cidr}) for name, cidr in ranges.items())
    made = json.loads(project(tmp_path, vm(), *lans).run("validate", "--json").err)["diagnostics"]
    assert sorted(one["summary"] for one in made if one["code"] == "overlapping-range") == [
        "10.0.0.0/16 overlaps Network/e (10.0.0.0/15)",
        "10.0.4.0/24 overlaps Network/a (10.0.0.0/16)",
        "10.0.4.0/24 overlaps Network/a (10.0.0.0/16)",
        "10.0.4.0/24 overlaps Network/b (10.0.4.0/24)",
        "10.0.4.0/24 overlaps Network/e (10.0.0.0/15)",
        "10.0.4.0/24 overlaps Network/e (10.0.0.0/15)",
        "10.1.0.0/24 overlaps Network/e (10.0.0.0/15)",
    ]


def test_for_each_and_variables_are_expanded(tmp_path: Path) -> None:
    spec = {
        "node": "gpu-a", "image": "u.qcow2", "gpus": "{{ var.count }}", "cpus": "{{ each.value }}", "memory": "8Gi",
        "dataDisk": {"size": "20Gi"}, "ports": {"ssh": "auto", "vnc": "auto"}, "description": "{{ each.key }} of {{ var.team }}",
    }  # fmt: skip
    made = project(tmp_path, document("VirtualMachine", "w", spec, forEach={"one": 1, "two": 2}))
    made.write({"prod.yaml": "count: 4\n"})
    from dbc_iac.kinds import MODELS
    from dbc_iac.manifest.load import load_project

    loaded = load_project(
        tmp_path,
        environment="prod",
        variables={"team": "audio"},
        variable_files=(),
        environ={},
        models=MODELS,
        sources={},
    )
    machines = [r for r in loaded.resources if r.kind == "VirtualMachine"]
    assert [r.address for r in machines] == ["VirtualMachine/w.one", "VirtualMachine/w.two"]
    assert [(r.spec.gpus, r.spec.cpus, r.spec.description) for r in machines] == [  # type: ignore[attr-defined]
        (4, 1, "one of audio"),
        (4, 2, "two of audio"),
    ]


@pytest.mark.parametrize(
    ("arguments", "environ", "code"),
    [
        (["--var", "cuont=3"], {}, "variable-undeclared"),
        (["--var", "count=three"], {}, "variable-type"),
        ([], {"DBC_VAR_count": "x"}, "variable-type"),
        (["-e", "prod"], {}, "unreadable-file"),
        (["-e", "staging"], {}, "unknown-environment"),
    ],
)
def test_variables_are_declared_and_typed(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], code: str
) -> None:
    result = project(tmp_path, vm(), environ=environ).run(*arguments, "validate", "--json")
    assert result.codes == [code]


def test_a_glob_without_files_refuses_the_plan(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "manifests/all.yaml").unlink()
    assert made.run("validate", "--json").codes == ["empty-glob"]


def test_init_writes_a_project_that_validates(tmp_path: Path) -> None:
    from tests.projects import Project

    made = Project(tmp_path)
    assert made.run("init", "--name", "lab").code == 0
    for schema in ("project", "manifest"):  # what the modelines name is there: editors complete and check at once
        assert (tmp_path / f"specs/{schema}.schema.json").is_file()
    assert made.run("validate").code == 0
    assert made.run("init", "--name", "lab", "--json").codes == ["project-exists"]


def test_init_in_a_repository_adds_to_its_ignore_rules_and_makes_a_name(tmp_path: Path) -> None:
    from tests.projects import Project

    folder = tmp_path / "My_Project"
    folder.mkdir()
    (folder / ".gitignore").write_text("*.log\n")
    made = Project(folder)
    assert made.run("init").code == 0
    rules = (folder / ".gitignore").read_text()
    assert rules.startswith("*.log\n")
    assert "/state/" in rules
    assert "metadata: {name: my-project}" in (folder / "dbc-iac.yaml").read_text()
    assert made.run("validate").code == 0


def test_usage_errors_end_with_3(tmp_path: Path) -> None:
    assert project(tmp_path).run("plan", "--no-such-option").code == 3


def test_a_refused_value_has_the_reason_of_its_form_as_detail() -> None:
    class Model(Part):
        name: Annotated[str, Form("a+", "letters a", "Write aaa.", detail="The node reads nothing else.")]

    found = Diagnostics()
    assert parse(Model, {"name": "b"}, SourceMap(), (), found) is None
    [problem] = found
    assert (problem.summary, problem.detail, problem.remedy) == (
        "name: expected letters a",
        "The node reads nothing else.",
        "Write aaa.",
    )


@pytest.mark.parametrize(("written", "meant"), [("yes", "true"), ("off", "false")])
def test_words_of_yaml_1_1_for_booleans_are_explained(written: str, meant: str, tmp_path: Path) -> None:
    result = project(tmp_path, vm(external=written)).run("validate")
    assert "YAML 1.2 reads yes, no, on and off as text." in result.err
    assert f"help: Write {meant}." in result.err


def test_an_environment_of_a_project_without_environments_is_unknown(tmp_path: Path) -> None:
    made = project(tmp_path, vm())
    file = tmp_path / "dbc-iac.yaml"
    file.write_text(file.read_text().partition("  environments:")[0])
    result = made.run("-e", "prod", "validate")
    assert "help: Declare it under `environments` in the project file." in result.err
