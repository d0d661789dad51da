"""Source ranges and remedies of diagnostics; an invalid document neither hides others nor causes further diagnostics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.projects import PROJECT, SEED, Emulated, Project, document, project, vm


def the_one(result: Any) -> dict[str, Any]:
    [diagnostic] = json.loads(result.err)["diagnostics"]
    assert diagnostic["remedy"], diagnostic
    assert diagnostic["source"] is not None, diagnostic
    return dict(diagnostic)


def place(diagnostic: dict[str, Any], made: Project) -> str:
    """Text at the source range of a diagnostic."""
    source = diagnostic["source"]
    lines = Path(source["file"]).read_text(encoding="utf-8").split("\n")
    return str(lines[source["line"] - 1][source["column"] - 1 :])


OF_THE_PROJECT: list[tuple[str, tuple[str, str], list[str], str, str]] = [
    ("default of another type", ("default: 2", "default: two"), [], "variable-type", "two}"),
    ("type that is none", ("type: integer", "type: int"), [], "invalid-value", "int,"),
    ("variable without a value", ("default: 2", "description: x"), [], "variable-missing", "{type: integer"),
    ("glob that matches nothing", ("  environments:", "  manifests: ['nope/*']\n  environments:"), [], "empty-glob", "'nope/*'"),
    ("no such environment", ("", ""), ["-e", "staging"], "unknown-environment", "prod:"),
    ("no such file of variables", ("", ""), ["-e", "prod"], "unreadable-file", "prod.yaml]"),
    ("a word for a switch", ('5050"}', '5050", insecureHttp: yes}'), [], "invalid-value", "yes}"),
    ("a number in quotes", ('5050"}', '5050", maxInFlight: "1"}'), [], "invalid-value", '"1"}'),
    ("a threshold in quotes", ("  variables:", "  thresholds: {maxRemovals: '1'}\n  variables:"), [], "invalid-value", "'1'}"),
    ("no client at all", ('clients: {default: {url: "http://127.0.0.1:5050"}}', "clients: {}"), [], "invalid-value", "{}"),
    ("no manifests at all", ("  environments:", "  manifests: []\n  environments:"), [], "invalid-value", "[]"),
    ("a client for images that is not there", ("  environments:", "  imageClient: x\n  environments:"), [], "invalid-value", "x"),
    ("a url that is none", ('"http://127.0.0.1:5050"', '"http://[1"'), [], "invalid-value", '"http://[1"'),
    ("a url with a wrong port", ("5050", "99999"), [], "invalid-value", '"http://127.0.0.1:99999"'),
    ("an environment variable with =", ("env: SEED", 'env: "1A="'), [], "invalid-value", '"1A="}'),
    ("an address that is none", ("tenant: {", "tenant: {address: 5abc, "), [], "invalid-value", "5abc,"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "arguments", "code", "at"), [c[1:] for c in OF_THE_PROJECT], ids=[c[0] for c in OF_THE_PROJECT]
)
def test_a_problem_of_the_project_file_has_its_source_range(
    tmp_path: Path, change: tuple[str, str], arguments: list[str], code: str, at: str
) -> None:
    made = project(tmp_path).write({"dbc-iac.yaml": PROJECT.replace(*change, 1)})
    diagnostic = the_one(made.run(*arguments, "validate", "--json"))
    assert diagnostic["code"] == code
    assert place(diagnostic, made).startswith(at), diagnostic
    assert len(diagnostic["summary"].replace(f"{tmp_path}/", "")) <= 72, diagnostic
    assert not [w for w in ("Input", "Tuple", "Dictionary", "Port out", "Invalid IPv6") if w in diagnostic["summary"]]


def test_a_manifest_outside_the_project_points_at_its_glob(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    made.write({"dbc-iac.yaml": PROJECT + "  manifests: ['manifests/*.yaml']\n"})
    (tmp_path / "outside.yaml").write_text(vm(), encoding="utf-8")
    (tmp_path / "project/manifests/out.yaml").symlink_to(tmp_path / "outside.yaml")
    diagnostic = the_one(made.run("validate", "--json"))
    assert (diagnostic["code"], place(diagnostic, made)) == ("outside-project", "'manifests/*.yaml']")


OF_SECRETS: list[tuple[str, str, str, str]] = [
    ("not set", "", "secret-missing", "identities.tenant.wallet.seed: environment variable SEED is"),
    ("no seed", "abc", "identity", "identity tenant: "),
]


@pytest.mark.parametrize(("value", "code", "summary"), [c[1:] for c in OF_SECRETS], ids=[c[0] for c in OF_SECRETS])
def test_a_problem_of_an_identity_has_its_source_range(tmp_path: Path, value: str, code: str, summary: str) -> None:
    emulated = Emulated(project(tmp_path, vm(), environ={"SEED": value}))
    diagnostic = the_one(emulated.run("plan", "--json"))
    assert diagnostic["code"] == code
    assert diagnostic["summary"].startswith(summary)
    assert place(diagnostic, emulated.project).startswith(
        "{env: SEED}" if code == "secret-missing" else "{wallet: {seed"
    )
    emulated.close()


def test_a_long_name_of_a_field_is_not_in_the_summary(tmp_path: Path) -> None:
    made = project(tmp_path, vm()).write(
        {"dbc-iac.yaml": PROJECT.replace("env: SEED", "env: SEED_OF_THE_RENTING_WALLET")}
    )
    diagnostic = the_one(Emulated(made).run("plan", "--json"))
    assert diagnostic["summary"] == "environment variable SEED_OF_THE_RENTING_WALLET is not set"
    assert diagnostic["detail"] == "Identity tenant signs requests with it (identities.tenant.wallet.seed)."
    assert place(diagnostic, made).startswith("{env: SEED_OF")


@pytest.mark.parametrize(("kind", "remedy"), [("Projet", "Write `kind: Project`"), ("Project", "Keep exactly one")])
def test_a_project_file_has_exactly_one_project(tmp_path: Path, kind: str, remedy: str) -> None:
    text = PROJECT.replace("kind: Project", f"kind: {kind}")
    made = project(tmp_path).write({"dbc-iac.yaml": text if kind != "Project" else f"{text}---\n{text}"})
    diagnostic = the_one(made.run("validate", "--json"))
    assert diagnostic["code"] == "no-project"
    assert diagnostic["summary"].startswith("dbc-iac.yaml has ")
    assert diagnostic["remedy"].startswith(remedy)


def test_a_missing_secret_of_a_document_has_its_source_range(tmp_path: Path) -> None:
    login = {"password": {"env": "NONE"}}
    emulated = Emulated(project(tmp_path, vm(login=login)))
    diagnostic = the_one(emulated.run("apply", "--yes", "--json"))
    assert diagnostic["summary"].startswith("login.password: environment variable NONE")
    assert place(diagnostic, emulated.project).startswith('{"env": "NONE"}')
    emulated.close()


def test_an_unprintable_character_has_its_source_range(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "manifests/nul.yaml").write_bytes("kind: Disk\nspec: é\0\n".encode())
    diagnostic = the_one(made.run("validate", "--json"))
    assert (diagnostic["source"]["line"], diagnostic["source"]["column"]) == (2, 8)
    assert "U+0000" in diagnostic["summary"]


def test_an_unknown_kind_causes_no_further_diagnostics(tmp_path: Path) -> None:
    typo = document("VirtualMachin", "trainer", {})
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "5Gi"})
    lost = document("Disk", "lost", {"vm": "nowhere", "size": "5Gi"})
    made = project(tmp_path, typo, disk, lost, vm("wrong", biosMode="uefi"), document("Network", "Bad_Name", {}))
    result = made.run("validate", "--json")
    assert sorted(result.codes) == ["ignored-by-node", "invalid-name", "unknown-kind", "unknown-reference"]
    assert "VirtualMachine/nowhere" in result.err


EACH: list[tuple[str, Any, str, str]] = [
    ("null", ["a", None], "forEach key: expected text", "null]"),
    ("true", ["a", True], "forEach key: expected text", "true]"),
    ("twice", ["a", "b", "a"], "duplicate forEach key a", '"a"]'),
    ("capitals in a list", ["a", "B"], "forEach key B: expected 1-42", '"B"]'),
    ("capitals in a mapping", {"a": 1, "B": 2}, "forEach key B: expected 1-42", '"B": 2'),
    ("a number", 5, "forEach: expected a mapping", "5,"),
]


@pytest.mark.parametrize(("each", "summary", "at"), [e[1:] for e in EACH], ids=[e[0] for e in EACH])
def test_an_invalid_for_each_key_has_its_source_range(tmp_path: Path, each: Any, summary: str, at: str) -> None:
    spec = {"vm": "trainer", "size": "5Gi"}
    value = {"apiVersion": "dbc-iac/v1", "kind": "Disk", "forEach": each, "metadata": {"name": "d"}, "spec": spec}
    made = project(tmp_path, vm(), json.dumps(value) + "\n")
    diagnostic = the_one(made.run("validate", "--json"))
    assert summary in diagnostic["summary"]
    assert place(diagnostic, made).startswith(at), diagnostic


def test_an_undefined_variable_in_for_each_causes_no_further_diagnostics(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), document("Disk", "d", {"vm": "trainer", "size": "5Gi"}, forEach="{{ var.nope }}"))
    assert made.run("validate", "--json").codes == ["template"]


def test_an_address_in_place_of_a_name_is_refused(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), document("Disk", "d", {"vm": "VirtualMachine/trainer", "size": "5Gi"}))
    diagnostic = the_one(made.run("validate", "--json"))
    assert (diagnostic["code"], diagnostic["remedy"]) == ("unknown-reference", "Write only the name: trainer.")


def test_a_dependency_cycle_names_each_reference_once(tmp_path: Path) -> None:
    made = project(tmp_path, vm("a", dependsOn=["VirtualMachine/b"]), vm("b", dependsOn=["VirtualMachine/a"]))
    diagnostic = the_one(made.run("validate", "--json"))
    places = [json.dumps(p) for p in (diagnostic["source"], *(r["source"] for r in diagnostic["related"]))]
    assert len(places) == len(set(places)) == 2


def test_an_id_without_external_is_refused(tmp_path: Path) -> None:
    made = project(tmp_path, vm(id="A" * 22))
    diagnostic = the_one(made.run("validate", "--json"))
    assert (diagnostic["code"], diagnostic["remedy"]) == ("ignored-field", "Remove id, or write `external: true`.")


@pytest.mark.parametrize(
    ("text", "summary", "remedy"),
    [
        (
            "{{ each.key }}",
            "each is not defined without forEach",
            "Add `forEach:`, or use a variable of var.",
        ),
        ("{{ 1 / 0 }}", "division by zero", "Correct the expression."),
    ],
)
def test_a_failing_template_has_a_fitting_remedy(tmp_path: Path, text: str, summary: str, remedy: str) -> None:
    diagnostic = the_one(project(tmp_path, vm(description=text)).run("validate", "--json"))
    assert summary in diagnostic["summary"]
    assert diagnostic["remedy"] == remedy


def test_a_data_disk_file_attached_twice_is_reported(tmp_path: Path) -> None:
    from tests.projects import NODE_ID

    made = project(tmp_path, vm(dataDisk={"size": "20Gi", "file": "old.qcow2"}))
    emulated = Emulated(made, {"gpuNodes": [{"id": NODE_ID, "files": ["old.qcow2"]}]})
    result = emulated.run("plan", "--json")
    [diagnostic] = [d for d in result.json["diagnostics"] if d["code"] == "attached-file"]
    assert "is not created" in diagnostic["detail"]
    assert "deletes the file too" in diagnostic["detail"]
    assert emulated.run("apply", "--yes").code == 0
    assert "attached-file" not in emulated.run("plan", "--json").out
    assert SEED not in result.out
    emulated.close()


@pytest.mark.parametrize(
    ("document_", "code", "pointed"),
    [
        (("Network", "my-lan", "  via: gpu-a\n  cidr: 192.168.66.0/24\n"), "invalid-name", "my-lan"),
        (("Network", "training", "  via: gpu-a\n"), "missing-field", "training"),
    ],
    ids=["the LAN's name", "cidr"],
)
def test_a_missing_field_is_reported_at_the_name_of_its_document(
    tmp_path: Path, document_: tuple[str, str, str], code: str, pointed: str
) -> None:
    kind, name, spec = document_
    text = f"apiVersion: dbc-iac/v1\nkind: {kind}\nmetadata:\n  name: {name}\nspec:\n{spec}"
    made = project(tmp_path).write({"manifests/lan.yaml": text})
    result = made.run("validate", "--json")
    [found] = [d for d in json.loads(result.err)["diagnostics"] if d["code"] == code]
    line = text.splitlines()[found["source"]["line"] - 1]
    assert line[found["source"]["column"] - 1 :] == pointed
