"""Manifests and files that must be refused; regressions that were once accepted, crashed or hung."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.yaml import read_yaml
from tests.projects import NODE_ID, document, project, vm


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"a[b": 1}, "unknown-field"),
        ({"description": "{% for a in range(9) %}" * 3 + "{% endfor %}" * 3}, "template"),
        ({"description": "{% set a = 'x' %}" + "{% set a = a ~ a %}" * 20}, "template"),
        ({"description": "{% for a in range(100000) %}{% endfor %}"}, "template"),
    ],
)
def test_a_wrong_spec_gets_its_diagnostic(tmp_path: Path, changed: dict[str, str], code: str) -> None:
    assert project(tmp_path, vm(**changed)).run("validate", "--json").codes == [code]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{- 5 }}", 5),
        ("{{ -5 }}", -5),
        ("{{ '{{' }}.Names{{ '}}' }} {{ '{%' }}", "{{.Names}} {%"),
    ],
)
def test_templates_follow_jinja(text: str, value: object) -> None:
    from dbc_iac.diagnostics import Diagnostics
    from dbc_iac.manifest.source_map import SourceMap
    from dbc_iac.manifest.templates import Templates

    assert Templates({}).render(text, SourceMap(), Diagnostics()) == value


@pytest.mark.parametrize("markup", ["", " {{ 'b' }}", " {% if true %}b{% endif %}"])
@pytest.mark.parametrize("text", ["echo ${#HOME}", "echo ${#HOME} ${X%#}", "a {# b", "{# c #}8", "${#a[@]} #} {#"])
def test_templates_have_no_comments(text: str, markup: str) -> None:
    from dbc_iac.manifest.templates import Templates

    assert Templates({}).evaluated(f"{text}{markup}") == f"{text}{' b' if markup else ''}"


@pytest.mark.parametrize("text", ["docker ps --format {{.Names}}", "{{ '1' ", "${x%%{%*}"])
def test_invalid_markup_gets_the_escape_as_remedy(text: str, tmp_path: Path) -> None:
    result = project(tmp_path, vm(description=text)).run("validate")
    assert result.code == 3
    assert "write {{ '{{' }} for a literal {{" in result.err


def test_a_variable_file_has_a_place_for_anchors(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"prod.yaml": "x-note: {a: 1}\ncount: 3\n"})
    assert made.run("-e", "prod", "validate").code == 0


def test_an_unreadable_manifest_is_an_error(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    (tmp_path / "outside.yaml").write_text(vm(), encoding="utf-8")
    (tmp_path / "project/manifests/gone.yaml").symlink_to("nothing.yaml")
    (tmp_path / "project/manifests/out.yaml").symlink_to(tmp_path / "outside.yaml")
    os.mkfifo(tmp_path / "project/manifests/pipe.yaml")
    assert sorted(made.run("validate", "--json").codes) == ["outside-project", "unreadable-file", "unreadable-file"]


def test_a_glob_that_matches_only_directories_matches_nothing(tmp_path: Path) -> None:
    made = project(tmp_path)
    text = (tmp_path / "dbc-iac.yaml").read_text(encoding="utf-8")
    made.write({"dbc-iac.yaml": text + "  manifests: ['manif*']\n"})
    assert made.run("validate", "--json").codes == ["empty-glob"]


def test_a_directory_behind_a_link_is_entered_once(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.write({"shared/deep/vm.yaml": vm("linked")})
    (tmp_path / "manifests/shared").symlink_to("../shared")
    (tmp_path / "manifests/again").symlink_to("../shared")
    (tmp_path / "shared/deep/ring").symlink_to("..")
    (tmp_path / "shared/up").symlink_to("../manifests")
    result = made.run("validate", "--json")
    assert (result.code, result.json["resources"]) == (0, 2), result.err


def test_a_link_to_a_directory_outside_the_project_is_an_error(tmp_path: Path) -> None:
    made = project(tmp_path / "project")
    (tmp_path / "else/where").mkdir(parents=True)
    (tmp_path / "else/where/vm.yaml").write_text(vm(), encoding="utf-8")
    (tmp_path / "project/manifests/away").symlink_to(tmp_path / "else")
    result = made.run("validate", "--json")
    assert result.codes == ["outside-project"]
    assert "manifests/away is a directory outside the project" in result.err


def test_an_unreadable_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = project(tmp_path)
    made.write({"manifests/locked/vm.yaml": vm()})
    (tmp_path / "manifests/gone").symlink_to("nowhere")
    whole = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    result = made.run("validate", "--json")
    assert result.codes == ["unreadable-file", "unreadable-file"]
    assert "manifests/gone is a broken symbolic link" in result.err
    assert "cannot read manifests/locked" in result.err.replace(str(tmp_path) + "/", "")
    assert "Permission denied" in result.err


@pytest.mark.parametrize(
    ("pattern", "documents"),
    [
        ("manifests/all.yaml", 1),
        ("manifests/a*.yaml", 1),
        ("**/*.yaml", 3),
        ("manifests/**/[a-b]*.yaml", 2),
        ("manifests/*/b.yaml", 1),
        ("manifests/./**/deep/../deep/b.yaml", 1),
    ],
)
def test_globs(tmp_path: Path, pattern: str, documents: int) -> None:
    made = project(tmp_path)
    text = (tmp_path / "dbc-iac.yaml").read_text(encoding="utf-8")
    node = (tmp_path / "manifests/all.yaml").read_text(encoding="utf-8")
    made.write({"dbc-iac.yaml": text + f"  manifests: ['{pattern}']\n"})
    made.write({"manifests/deep/b.yaml": node.replace("gpu-a", "gpu-b"), "c.yaml": node.replace("gpu-a", "gpu-c")})
    assert made.run("validate", "--json").json["resources"] == documents


SLY: dict[str, str] = {"a\x1b[31m\u202eb": "x"}


def test_control_characters_of_a_key_are_escaped(tmp_path: Path) -> None:
    result = project(tmp_path, vm(**SLY)).run("validate")
    assert result.code == 3
    assert not {"\x1b", "\u202e"} & set(result.err)


def test_a_tag_on_a_key_is_refused() -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(b"!q a: 1\n", "m.yaml")
    assert [d.code for d in caught.value.diagnostics] == ["unknown-tag"]


def test_reading_stops_after_many_problems() -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_yaml(b"".join(b"- !t%d x\n" % n for n in range(2_000)), "m.yaml")
    assert len(caught.value.diagnostics) == 20


EXPORT = {"node": "gpu-a", "file": "ubuntu.qcow2", "imageServer": "ID_2"}
SERVER = {"manager": "m", "uuid": "a", "ip": "192.0.2.1", "description": ""}


@pytest.mark.parametrize(
    ("documents", "code", "text"),
    [
        ([vm(lifecycle={"ignoreChanges": ["memroy"]})], "unknown-field", "Did you mean memory?"),
        ([vm(lifecycle={"preventDestroy": "no"})], "invalid-value", "expected true or false"),
        ([vm(description="x" * 201)], "invalid-value", "201 characters, at most 200 allowed"),
        ([document("BareMetalManager", "m", {"id": NODE_ID, "identity": "tenant"})], "wrong-identity", "a nodeKey"),
        ([document("BareMetalServer", "s", SERVER)], "invalid-value", "must not be empty"),
        (
            [document("ImageExport", n, EXPORT) for n in "ab"],
            "duplicate-identity",
            "ImageExport/a already sends this file",
        ),
        ([vm(n, publicIp="198.51.100.9") for n in "ab"], "duplicate-identity", "has the public address"),
        ([document("Disk", "d", {"vm": "x", "size": "5Gi"}, dependsOn=["Disk/e"])], "unknown-field", "below `spec:`"),
    ],
)
def test_validate_finds_problems_without_the_network(
    tmp_path: Path, documents: list[str], code: str, text: str
) -> None:
    result = project(tmp_path, *documents).run("validate", "--json")
    assert result.code == 3
    assert code in result.codes
    assert text in result.err


def test_one_bad_document_hides_no_other(tmp_path: Path) -> None:
    """References and rules of valid documents are checked; references to the invalid one are not reported."""
    twice = '{"apiVersion": "dbc-iac/v1", "kind": "Network", "kind": "Network"}\n'
    documents = [
        vm("bad", gpus="many"),
        vm("sound", network="nope"),
        document("Disk", "of-bad", {"vm": "bad", "size": "5Gi"}),
        document("Disk", "lost", {"vm": "nowhere", "size": "5Gi"}),
        vm("ring", image="plain"),
    ]
    result = project(tmp_path, *documents).run("validate", "--json")
    assert sorted(result.codes) == ["invalid-value", *["unknown-reference"] * 3]
    broken = project(tmp_path, vm("bad", gpus="many"), twice, vm("worse", cpus=0)).run("validate", "--json")
    assert {"duplicate-key", "invalid-value"} <= set(broken.codes)
    assert broken.codes.count("invalid-value") == 2
