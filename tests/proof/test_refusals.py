"""Every predictable refusal is reported before any call; docs/refusals.md lists every refusal."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbc_iac.diagnostics import Diagnostics
from dbc_iac.emulator.admin import Admin
from dbc_iac.plan import planner
from tests.cli.trials import write
from tests.projects import Emulated, project
from tests.proof.refusals import PREDICTED, Refusal


def emulated(refusal: Refusal, directory: Path) -> Emulated:
    made = Emulated(project(directory), refusal.world)
    if refusal.before:
        write(made, refusal.before)
        result = made.run("apply", "--yes")
        assert result.code == 0, result.err
    write(made, refusal.documents)
    return made


@pytest.mark.parametrize("refusal", PREDICTED, ids=lambda r: r.words)
def test_a_refusal_is_predicted_before_any_call(refusal: Refusal, tmp_path: Path) -> None:
    made = emulated(refusal, tmp_path)
    try:
        made.loop.run_until_complete(Admin(made.network).look("/truth"))  # the world begins
        before = made.network.truth()
        result = made.run("plan", "--json", *refusal.options)
        assert (result.code, refusal.code in result.codes) == (refusal.exit_code, True), result.err
        assert made.network.truth() == before
    finally:
        made.close()


def _nothing(*_: object) -> Diagnostics:
    return Diagnostics()


@pytest.mark.parametrize("refusal", [r for r in PREDICTED if r.spoken], ids=lambda r: r.words)
def test_the_node_refuses_without_preflight(refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = emulated(refusal, tmp_path)
    try:
        monkeypatch.setattr(planner, "check_preflight", _nothing)
        result = made.run("apply", "--yes", "--wait-timeout", "600", *refusal.options)
        assert all(part.strip() in result.out + result.err for part in refusal.words.split("…")), result.err
        assert result.code not in {0, 5}
    finally:
        made.close()


TABLES = Path("docs/refusals.md").read_text(encoding="utf-8").split("\n## ")
_QUOTED = re.compile(r"`([^`]+)`")


def words(table: str) -> list[str]:
    """First column of a table."""
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    return [text for row in rows for text in _QUOTED.findall(row.split(" | ")[0])]


def test_the_first_table_has_all_predicted_refusals() -> None:
    rows = [line.split(" | ") for line in TABLES[1].splitlines() if line.startswith("| `")]
    listed = {(row[0].strip("| `"), row[1].strip("`")) for row in rows}
    assert listed == {(r.words, r.code) for r in PREDICTED}


def test_the_tables_have_every_refusal_of_the_emulator() -> None:
    listed = Counter(text for table in TABLES[1:] for text in words(table))
    assert [text for text, times in listed.items() if times > 1] == []
    refusals = set(spoken(Path("dbc_iac/emulator")))
    assert sorted(refusals - set(listed)) == []
    assert sorted(set(listed) - refusals) == []


_REFUSING = {"Refused", "RefusedError", "refuse_tightly", "refusal", "BadRequest", "invalid", "_invalid"}
"""Functions of the emulator that refuse. Their texts are the node's."""


def spoken(package: Path) -> Iterator[str]:
    """Refusal texts of the emulator, with `…` for variable parts."""
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            called = getattr(node, "func", None)
            name = getattr(called, "attr", getattr(called, "id", ""))
            if isinstance(node, ast.Call) and name in _REFUSING:
                yield from (text for argument in node.args if " " in (text := _text(argument)))


def _text(argument: ast.expr) -> str:
    match argument:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts)
    return ""
