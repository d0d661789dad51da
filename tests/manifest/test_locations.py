"""Every problem has a place and says what to do; one bad document hides no other, and has no consequences elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.projects import PROJECT, SEED, Emulated, Project, document, project, vm


def the_one(result: Any) -> dict[str, Any]:
    [told] = json.loads(result.err)["diagnostics"]
    assert told["remedy"], told
    assert told["source"] is not None, told
    return dict(told)


def place(told: dict[str, Any], made: Project) -> str:
    """The text that a diagnostic points at."""
    source = told["source"]
    lines = Path(source["file"]).read_text(encoding="utf-8").split("\n")
    return str(lines[source["line"] - 1][source["column"] - 1 :])


OF_THE_PROJECT: list[tuple[str, tuple[str, str], list[str], str, str]] = [
    ("default of another type", ("default: 2", "default: two"), [], "variable-type", "two}"),
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
def test_of_the_project_file(tmp_path: Path, change: tuple[str, str], arguments: list[str], code: str, at: str) -> None:
    made = project(tmp_path).write({"dbc-iac.yaml": PROJECT.replace(*change, 1)})
    told = the_one(made.run(*arguments, "validate", "--json"))
    assert told["code"] == code
    assert place(told, made).startswith(at), told
    assert not [w for w in ("Input", "Tuple", "Dictionary", "Port out", "Invalid IPv6") if w in told["summary"]]


def test_a_file_out_of_the_project_points_at_its_glob(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    made.write({"dbc-iac.yaml": PROJECT + "  manifests: ['manifests/*.yaml']\n"})
    (tmp_path / "outside.yaml").write_text(vm(), encoding="utf-8")
    (tmp_path / "project/manifests/out.yaml").symlink_to(tmp_path / "outside.yaml")
    told = the_one(made.run("validate", "--json"))
    assert (told["code"], place(told, made)) == ("outside-project", "'manifests/*.yaml']")


OF_SECRETS: list[tuple[str, str, str, str]] = [
    ("not set", "", "secret-missing", "identities.tenant.wallet.seed: environment variable SEED is"),
    ("no seed", "abc", "identity", "identity tenant: "),
]


@pytest.mark.parametrize(("value", "code", "said"), [c[1:] for c in OF_SECRETS], ids=[c[0] for c in OF_SECRETS])
def test_of_an_identity(tmp_path: Path, value: str, code: str, said: str) -> None:
    emulated = Emulated(project(tmp_path, vm(), environ={"SEED": value}))
    told = the_one(emulated.run("plan", "--json"))
    assert told["code"] == code
    assert told["summary"].startswith(said)
    assert place(told, emulated.project).startswith("{env: SEED}" if code == "secret-missing" else "{wallet: {seed")
    emulated.close()


def test_of_the_secret_of_a_document(tmp_path: Path) -> None:
    login = {"password": {"env": "NONE"}}
    emulated = Emulated(project(tmp_path, vm(login=login)))
    told = the_one(emulated.run("apply", "--yes", "--json"))
    assert told["summary"].startswith("login.password: environment variable NONE")
    assert place(told, emulated.project).startswith('{"env": "NONE"}')
    emulated.close()


def test_a_character_that_is_no_text_has_its_place(tmp_path: Path) -> None:
    made = project(tmp_path)
    (tmp_path / "manifests/nul.yaml").write_bytes("kind: Disk\nspec: é\0\n".encode())
    told = the_one(made.run("validate", "--json"))
    assert (told["source"]["line"], told["source"]["column"]) == (2, 8)
    assert "U+0000" in told["summary"]


def test_an_unknown_kind_hides_nothing_and_is_not_missed_elsewhere(tmp_path: Path) -> None:
    typo = document("VirtualMachin", "trainer", {})
    disk = document("Disk", "scratch", {"vm": "trainer", "size": "5Gi"})
    lost = document("Disk", "lost", {"vm": "nowhere", "size": "5Gi"})
    made = project(tmp_path, typo, disk, lost, vm("wrong", biosMode="uefi"), document("Network", "Bad_Name", {}))
    result = made.run("validate", "--json")
    assert sorted(result.codes) == ["ignored-by-node", "invalid-name", "unknown-kind", "unknown-reference"]
    assert "VirtualMachine/nowhere" in result.err


EACH: list[tuple[str, Any, str, str]] = [
    ("null", ["a", None], "a key of forEach is text", "null]"),
    ("true", ["a", True], "a key of forEach is text", "true]"),
    ("twice", ["a", "b", "a"], "the key a twice", '"a"]'),
    ("capitals in a list", ["a", "B"], "the key B is not", '"B"]'),
    ("capitals in a mapping", {"a": 1, "B": 2}, "the key B is not", '"B": 2'),
    ("a number", 5, "forEach takes a mapping", "5,"),
]


@pytest.mark.parametrize(("each", "said", "at"), [e[1:] for e in EACH], ids=[e[0] for e in EACH])
def test_a_wrong_key_of_for_each_has_its_place(tmp_path: Path, each: Any, said: str, at: str) -> None:
    spec = {"vm": "trainer", "size": "5Gi"}
    value = {"apiVersion": "dbc-iac/v1", "kind": "Disk", "forEach": each, "metadata": {"name": "d"}, "spec": spec}
    made = project(tmp_path, vm(), json.dumps(value) + "\n")
    told = the_one(made.run("validate", "--json"))
    assert said in told["summary"]
    assert place(told, made).startswith(at), told


def test_an_undefined_variable_in_for_each_has_no_consequence(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), document("Disk", "d", {"vm": "trainer", "size": "5Gi"}, forEach="{{ var.nope }}"))
    assert made.run("validate", "--json").codes == ["template"]


def test_the_address_in_place_of_a_name_is_told(tmp_path: Path) -> None:
    made = project(tmp_path, vm(), document("Disk", "d", {"vm": "VirtualMachine/trainer", "size": "5Gi"}))
    told = the_one(made.run("validate", "--json"))
    assert (told["code"], told["remedy"]) == ("unknown-reference", "Write only the name: trainer.")


def test_a_ring_names_each_place_once(tmp_path: Path) -> None:
    made = project(tmp_path, vm("a", dependsOn=["VirtualMachine/b"]), vm("b", dependsOn=["VirtualMachine/a"]))
    told = the_one(made.run("validate", "--json"))
    places = [json.dumps(p) for p in (told["source"], *(r["source"] for r in told["related"]))]
    assert len(places) == len(set(places)) == 2


def test_an_id_of_what_is_not_external_is_told(tmp_path: Path) -> None:
    made = project(tmp_path, vm(id="A" * 22))
    told = the_one(made.run("validate", "--json"))
    assert (told["code"], told["remedy"]) == ("ignored-field", "Remove id, or write `external: true`.")


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        (
            "{{ each.key }}",
            "each is not defined: this document has no forEach",
            "Add `forEach:`, or name something of var.",
        ),
        ("{{ 1 / 0 }}", "division by zero", "Correct the expression."),
    ],
)
def test_a_template_that_fails_is_not_told_of_names(tmp_path: Path, text: str, said: str, remedy: str) -> None:
    told = the_one(project(tmp_path, vm(description=text)).run("validate", "--json"))
    assert said in told["summary"]
    assert told["remedy"] == remedy


def test_an_attached_file_is_told_of(tmp_path: Path) -> None:
    from tests.projects import NODE_ID

    made = project(tmp_path, vm(dataDisk={"size": "20Gi", "file": "old.qcow2"}))
    emulated = Emulated(made, {"gpuNodes": [{"id": NODE_ID, "files": ["old.qcow2"]}]})
    result = emulated.run("plan", "--json")
    [told] = [d for d in result.json["diagnostics"] if d["code"] == "attached-file"]
    assert "is not made" in told["detail"]
    assert "deletes the file" in told["detail"]
    assert emulated.run("apply", "--yes").code == 0
    assert "attached-file" not in emulated.run("plan", "--json").out
    assert SEED not in result.out
    emulated.close()
