"""One mistake is one problem, with the remedy that fits it: habits of other tools, and texts in the wrong place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import NODE, PROJECT, Project

VM = """apiVersion: dbc-iac/v1
kind: VirtualMachine
metadata: {name: trainer}
spec:
  node: gpu-a
  image: ubuntu.qcow2
  gpus: 1
  cpus: 4
  memory: 8Gi
  dataDisk: {size: 20Gi}
  ports: {ssh: auto, vnc: auto}
"""
MISTAKES = [
    ("spec:\n  node", "node", "spec is required", "Add `spec:`, and move node and the other fields below it."),
    ("{name: trainer}", "trainer", "metadata: expected a mapping", "Write `metadata: {name: trainer}`."),
    (
        "{name: trainer}",
        "{name: trainer, namespace: x}",
        "unknown field namespace",
        "Remove it; `--stack NAME` separates copies of a project.",
    ),
    (
        "  gpus: 1",
        "  forEach: [a]\n  gpus: 1",
        "unknown field forEach",
        "Move forEach to the top of the document, beside `spec:`.",
    ),
    ("  gpus: 1", "  labels: {a: b}\n  gpus: 1", "unknown field labels", "Move labels below `metadata:`."),
    (
        "gpus: 1",
        "gpus: ${var.count}",
        "gpus: expected a whole number",
        'Write a template in quotes and two braces, such as "{{ var.NAME }}".',
    ),
    ("gpus: 1", 'gpus: "{{ var.count | it }}"', "there is no filter it", "Did you mean int?"),
]


@pytest.mark.parametrize(("right", "wrong", "summary", "remedy"), MISTAKES, ids=[m[2] for m in MISTAKES])
def test_one_mistake_gets_one_problem_and_its_remedy(
    tmp_path: Path, right: str, wrong: str, summary: str, remedy: str
) -> None:
    text = VM.replace(right, wrong)
    if "spec:" not in text:
        text = text.replace("\n  ", "\n")
    made = Project(tmp_path).write({"dbc-iac.yaml": PROJECT, "manifests/a.yaml": f"{NODE}---\n{text}"})
    problems = [line for line in made.run("validate").err.splitlines() if line.startswith("error")]
    assert len(problems) == 1
    assert summary in problems[0]
    assert f"help: {remedy}\n" in made.run("validate").err


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("change.kind = 3", "= does not compare; did you mean ==?"),
        ("{{ change.kind == 3 }}", "help: Remove the braces."),
    ],
)
def test_a_policy_that_cannot_be_read_says_why(tmp_path: Path, expression: str, problem: str) -> None:
    policies = f'  policies: [{{name: a, deny: "{expression}", message: x}}]\n'
    made = Project(tmp_path).write({"dbc-iac.yaml": PROJECT + policies, "manifests/a.yaml": f"{NODE}---\n{VM}"})
    assert problem in made.run("validate").err
