"""`fmt`: canonical spacing and quotes, with unchanged values."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dbc_iac.diagnostics import DiagnosticError
from dbc_iac.manifest.format import formatted
from dbc_iac.manifest.yaml import read_yaml
from tests.projects import Project, project, vm

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a:   1\n", "a: 1\n"),
        ("a: {x: 1,y:  [ 1,2 , 3 ] }\n", "a: {x: 1, y: [1, 2, 3]}\n"),
        ("a: {  }\nb: [ ]\n", "a: {}\nb: []\n"),
        ("a: 'x'\n", 'a: "x"\n'),
        ("a: 'it''s'\n", 'a: "it\'s"\n'),
        ("a: 'say \"x\"'\nb: 'c:\\d'\n", "a: 'say \"x\"'\nb: 'c:\\d'\n"),
        ("a: 1   \n\n\n\n\nb: 2", "a: 1\n\n\nb: 2\n"),
        ("a: 1 # why   \n#  because\n", "a: 1 # why\n#  because\n"),
        ("a: |\n  x  \n\n\n\n\n  y \nb: 1\n", "a: |\n  x  \n\n\n\n\n  y \nb: 1\n"),
        ("a:  1\r\nb: 2  \r\n", "a: 1\r\nb: 2\r\n"),
        ("a: 1\nb:  2\r\n", "a: 1\nb: 2\n"),
        ("a:  1\rb: 2\r", "a: 1\nb: 2\n"),
        ("a: |\n  x  ", "a: |\n  x  "),
        ("a:  |\r\n  x  \r\n  y", "a: |\r\n  x  \r\n  y"),
        ("a: >-\n  x  ", "a: >-\n  x  "),
        ("a: 'x'\nb:   |+\n  x\n\n\n\n", 'a: "x"\nb: |+\n  x\n\n\n\n'),
        ("", ""),
        ("# only this  \n\n\n\n\n# and this", "# only this\n\n\n# and this\n"),
        ("---\n# nothing\n", "---\n# nothing\n"),
        ("a: &x 1\nb: [ *x , *x ]\n", "a: &x 1\nb: [*x, *x]\n"),
        ("a: &x   1\nb: !!str   2\n", "a: &x 1\nb: !!str 2\n"),
        ("-   x\n-  'y'\n-   [ 1 ]\n-   &z   2\n-  *z\n", '- x\n- "y"\n- [1]\n- &z 2\n- *z\n'),
        ("-   'a' : 2\n    b: 3\n", '-   "a": 2\n    b: 3\n'),
        ("-   - x\n    - y\n", "-   - x\n    - y\n"),
        ("-   |\n    x\n", "- |\n    x\n"),
        ("-   &x a: 1\n    b: 2\n", "-   &x a: 1\n    b: 2\n"),
        ("\ufeffa: 1\n", "a: 1\n"),
        ("a: [x,  # first\n  y ,\n  ]\n", "a: [x,  # first\n  y,\n  ]\n"),
        ("-   a: 1\n    b: 2\n", "-   a: 1\n    b: 2\n"),
        ("? a\n: 1\n", "? a\n: 1\n"),
        ("a:\n  ? |2+\n\n  : 1\n", "a:\n  ? |2+\n\n  : 1\n"),
        ("a: &x 1\nb: {c: *x , d: *x }\n", "a: &x 1\nb: {c: *x, d: *x}\n"),
        ("键:   '值 🚀'\nb:  1\n", '键: "值 🚀"\nb: 1\n'),
        ("a: '{{ var.x }}'\n", 'a: "{{ var.x }}"\n'),
        ("---\na:  1\n---\nb:  2\n", "---\na: 1\n---\nb: 2\n"),
    ],
)  # fmt: skip
def test_formatting(before: str, after: str) -> None:
    assert formatted(before, "f") == after
    assert formatted(after, "f") == after


SCALAR = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=12), st.sampled_from(["a: b", "- x", "#", "'", '"'])
)
TREE = st.recursive(
    SCALAR,
    lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(min_size=1, max_size=6), t, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), TREE, min_size=1, max_size=4),
       st.sampled_from([None, True, False]), st.sampled_from([None, "'", '"', "|", ">"]), st.integers(20, 100))  # fmt: skip
def test_formatting_keeps_the_values_and_is_idempotent(
    tree: object, flow: bool | None, style: str | None, width: int
) -> None:
    text = yaml.safe_dump(tree, default_flow_style=flow, default_style=style, width=width, allow_unicode=True)
    try:
        before = [d.value for d in read_yaml(text.encode(), "f")]
    except DiagnosticError:
        return  # a key that our language does not have
    tidy = formatted(text, "f")
    assert [d.value for d in read_yaml(tidy.encode(), "f")] == before
    assert formatted(tidy, "f") == tidy


@given(st.text("ab:-[]{}&*|>'\"# \n\r!,?", max_size=24))
def test_formatting_any_yaml_keeps_the_values_and_is_idempotent(text: str) -> None:
    try:
        before = [d.value for d in read_yaml(text.encode(), "f")]
    except DiagnosticError:
        return
    tidy = formatted(text, "f")
    assert [d.value for d in read_yaml(tidy.encode(), "f")] == before
    assert formatted(tidy, "f") == tidy


@pytest.mark.parametrize("path", sorted(ROOT.glob("examples/**/*.yaml")), ids=lambda p: "/".join(p.parts[-3:]))
def test_the_examples_are_formatted(path: Path) -> None:
    assert formatted(path.read_text(), str(path)) == path.read_text()


def test_files_of_a_project_are_checked_shown_and_written(tmp_path: Path) -> None:
    made = project(tmp_path, vm()).write({"manifests/b.yaml": "# kept\nkind:   'Node'\n"})
    file = tmp_path / "manifests/b.yaml"
    assert made.run("fmt", "--check").code == 1
    assert '+kind: "Node"' in made.run("fmt", "--diff").out
    assert file.read_text() == "# kept\nkind:   'Node'\n"
    assert made.run("fmt").code == 0
    assert file.read_text() == '# kept\nkind: "Node"\n'
    assert made.run("fmt", "--check", "--json").json == {"changed": []}


def test_the_projects_in_a_directory_are_formatted_and_no_other_file(tmp_path: Path) -> None:
    names = ("lab/a.yaml", "lab/deep/b.yml", "lab/.hidden/c.yaml", "lab/deep/.d.yaml", "lab/e.txt", "compose.yaml")
    made = Project(tmp_path).write({**dict.fromkeys(names, "a:  1\n"), "lab/dbc-iac.yaml": "a: 1\n"})
    assert made.run("fmt", str(tmp_path)).code == 0
    assert [n for n in names if (tmp_path / n).read_text() == "a: 1\n"] == ["lab/a.yaml", "lab/deep/b.yml"]
    assert made.run("fmt", str(tmp_path)).out == "All files are formatted.\n"


def test_fmt_reports_no_success_beside_an_error(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: [")
    result = Project(tmp_path).run("fmt", str(bad))
    assert (result.code, result.out) == (3, "")


def test_an_invalid_file_is_reported_and_the_others_are_formatted(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text("a:  1")
    bad.write_text("a: [")
    result = Project(tmp_path).run("fmt", str(bad), str(good), str(tmp_path / "absent"), "--json")
    assert (result.code, set(result.codes)) == (3, {"yaml-syntax", "unreadable-file"})
    assert good.read_text() == "a: 1\n"
