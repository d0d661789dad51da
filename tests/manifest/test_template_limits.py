"""Limits of templates: CPU time, memory, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dbc_iac.diagnostics import DiagnosticError, Diagnostics
from dbc_iac.manifest import template_process
from dbc_iac.manifest.numbers import IntegerText, NumberText
from dbc_iac.manifest.source_map import SourceMap
from dbc_iac.manifest.template_process import Ask
from dbc_iac.manifest.templates import Templates, expression_problems
from tests.examples import examples
from tests.projects import SEED, project, vm

LONG = "{{ ([range(1000) | list] * 900) | sum(start=[]) | length }}"
NESTED = (
    "{% for a in range(1000) %}{% for b in range(1000) %}{% if 0.5 in range(1000) %}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_process, "SECONDS", 0)  # and up to one more: the platform counts whole ones


def problems(text: str) -> list[str]:
    found = Diagnostics()
    assert Templates({}).render({"a": "{{ 1 }}", "b": text}, SourceMap(), found) == {"a": 1, "b": None}
    return [d.summary for d in found]


ENDLESS = {
    "round": "{{ 1 | round(1000000000, 'ceil') }}",
    "loops": NESTED,
    "recursion": "{% for a in [[[1], [1]]] recursive %}{{ loop([a, a, a, a, a]) if loop.depth < 40 }}{% endfor %}",
    "sum of lists": LONG,
    "map": "{{ range(1000) | map('round', 3000000, 'ceil') | sum }}",
}
"""Templates of more than a second each; `make prove` tries all."""


@pytest.mark.parametrize("text", [*ENDLESS.values()][: examples(suite=2, proof=9)], ids=lambda text: text[:30])
def test_a_template_over_the_cpu_limit_is_refused_and_others_are_rendered(short: None, text: str) -> None:
    found = Diagnostics()
    assert Templates({}).render([text, "{{ 2 }}"], SourceMap(), found) == [None, 2]
    assert [d.summary for d in found] == ["cannot render the template: CPU time limit of 0 s exceeded"]


def test_checking_an_expression_with_constants_is_limited(short: None) -> None:
    assert "CPU time" in expression_problems(["1 | round(1000000000, 'ceil')"])[0]


def test_a_template_over_the_memory_limit_is_refused() -> None:
    [answer] = Templates({"fill": bytearray}).answers([Ask("text", "{{ fill(1000000000) | length }}")])
    assert answer.problem == "memory limit exceeded"


@pytest.mark.parametrize("text", ["{{ [[[]] * 1000] * 1000 }}", "{{ [{'a': [1] * 1000}] * 1000 }}"])
def test_a_result_with_many_nested_values_is_refused(text: str) -> None:
    """Each list is short, but reading the answer would take minutes, outside of all limits."""
    assert problems(text) == ["cannot render the template: result has more than 100000 values"]


def test_all_templates_of_a_project_share_a_cpu_limit(short: None) -> None:
    found = Diagnostics()
    templates = Templates({})
    templates.left = 0.01
    with pytest.raises(DiagnosticError):
        templates.render([NESTED] + ["{{ 2 }}"] * 3, SourceMap(), found)
    assert [d.code for d in found] == ["template"]
    assert templates.answers([Ask("text", "{{ 2 }}")])[0].problem


def test_a_refused_template_has_its_source_range(tmp_path: Path, short: None) -> None:
    made = project(tmp_path, vm(description=LONG))
    result = made.run("validate")
    assert result.code == 3
    assert "CPU time" in result.err
    line = 1 + (tmp_path / "manifests/all.yaml").read_text().partition("description")[0].count("\n")
    assert f"manifests/all.yaml:{line}:" in result.err


def test_a_project_without_templates_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_process, "_kept", [])
    assert project(tmp_path, vm()).run("validate").code == 0
    assert template_process._kept == []


def test_numbers_keep_their_original_text() -> None:
    values = Templates({"var": {"n": IntegerText("0x1F"), "f": NumberText("1.10")}}).render(
        ["{{ var.n }}", "{{ var.f }}", "v{{ var.f }}", "{{ var.n + 1 }}"], SourceMap(), Diagnostics()
    )
    assert [getattr(values[0], "text", None), getattr(values[1], "text", None)] == ["0x1F", "1.10"]
    assert values[2:] == ["v1.10", 32]


@pytest.mark.parametrize("key", ["\\0integer", "\\0number"])
def test_a_template_cannot_forge_a_marker_of_the_answer(key: str) -> None:
    found = Diagnostics()
    assert Templates({}).render("{{ {'" + key + "': 'x'} }}", SourceMap(), found) is None
    assert [d.code for d in found] == ["template"]


def test_the_template_worker_has_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    template_process._end()
    monkeypatch.setenv("DBC_WALLET_SEED", SEED)
    assert Templates({}).evaluated("{{ 1 }}") == 1
    environ = Path(f"/proc/{template_process._kept[0].child.pid}/environ")
    if not environ.exists():
        pytest.skip("needs /proc")
    assert b"DBC_WALLET_SEED" not in environ.read_bytes()


def test_threads_share_the_template_worker() -> None:
    results: list[Any] = []

    def work(number: int) -> None:
        templates = Templates({"n": number})
        results.extend((templates.evaluated("{{ n }}") == number) for _ in range(20))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 80


def test_a_fork_starts_its_own_template_worker() -> None:
    assert Templates({}).evaluated("{{ 1 }}") == 1
    ours = template_process._kept[0].child.pid
    child = os.fork()
    if child == 0:
        good = Templates({}).evaluated("{{ 2 }}") == 2 and template_process._kept[0].child.pid != ours
        template_process._end()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert template_process._kept[0].child.pid == ours
    assert Templates({}).evaluated("{{ 3 }}") == 3


def test_a_signal_stops_a_command_during_rendering(tmp_path: Path) -> None:
    """The worker sends the signal to the command while it renders a template that does not end."""
    project(tmp_path, vm(description="{{ stop() }}" + NESTED))
    code = (
        "import functools, os, dbc_iac.manifest.template_process as t\n"
        f"stop = functools.partial(os.kill, os.getpid(), {int(signal.SIGTERM)})\n"
        "whole = t.pickle.dump\n"
        "def dump(request, *rest):\n"
        "    asks = [(form, text, {**names, 'stop': stop}) for form, text, names in request['asks']]\n"
        "    whole({**request, 'asks': asks}, *rest)\n"
        "t.pickle.dump = dump\n"
        "from dbc_iac.__main__ import main; main()"
    )
    environ = {**os.environ, "SEED": SEED, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    line = [sys.executable, "-c", code, "-C", str(tmp_path), "validate"]
    ended = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (8, "", "interrupted")
