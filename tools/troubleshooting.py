"""The page docs/troubleshooting.md: every diagnostic code with its summaries and remedies, read from the source code.

A diagnostic is a call with an argument `code` and one of `summary`, `detail` and `remedy`, by the signature of the
called function. Values within a text are shown in capitals; a local variable by the texts that can be assigned to it
there. A summary is printed with those remedies only that occur with it: texts of one condition stay together.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from itertools import product
from pathlib import Path

from tools.source_texts import Scope, Text, calls, known_text, possible

PACKAGE = Path(__file__).parents[1] / "dbc_iac"
_CODE = re.compile("[a-z]+(-[a-z]+)*")
_AREAS = {
    "manifest": "Manifests and project file", "kinds": "Manifests and project file", "policy": "Plan", "plan": "Plan",
    "apply": "Apply", "importing": "Import", "state": "State", "controller": "Controller", "cli": "Command line",
    "files": "Files", "operations": "Operations",
}  # fmt: skip
_CONSTANT = re.compile(r'^(_?[A-Z][A-Z_]*) = "([^"\\]*)"$', re.MULTILINE)
"""A text of a module."""
_MAKES = re.compile(r"Diagnostic\(|failure\(|problem\(|refusal\(|failed\(|warn\(")
"""Modules without one of these make no diagnostic."""


@dataclass(frozen=True)
class Signature:
    """Parameters of a function that makes a diagnostic; its code, where that is no parameter."""

    parameters: tuple[str, ...]
    code: str = ""


@dataclass
class Entry:
    """A diagnostic code: the area of its first use, and remedies by summary and cause, in the order of the source."""

    area: str = ""
    variants: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def _sources() -> Iterator[tuple[Path, str]]:
    for area in _AREAS:
        yield from ((path, path.read_text(encoding="utf-8")) for path in sorted((PACKAGE / area).rglob("*.py")))


def _shared(sources: Iterable[str]) -> dict[str, str]:
    """Texts of modules by name, of names with one text only."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for source in sources:
        for name, text in _CONSTANT.findall(source):
            found[name].add(text)
    return {name: min(texts) for name, texts in found.items() if len(texts) == 1}


@cache
def entries() -> Mapping[str, Entry]:
    """All diagnostic codes."""
    sources = dict(_sources())
    trees = {path: ast.parse(text) for path, text in sources.items() if _MAKES.search(text)}
    shared = _shared([*sources.values(), (PACKAGE / "diagnostics.py").read_text(encoding="utf-8")])
    found: defaultdict[str, Entry] = defaultdict(Entry)
    for path, tree in trees.items():
        signatures = {**_COMMON, **dict(_signatures(tree))}
        constants = shared | dict(_CONSTANT.findall(sources[path]))
        module = Scope({name: [Text(text)] for name, text in constants.items()})
        for call, scope in calls(tree.body, module):
            if _name(call) in signatures:
                _read(found, path.relative_to(PACKAGE).parts[0], call, signatures, scope)
    for code, (summary, cause, remedy) in WRITTEN.items():
        found[code].variants = {(summary, cause): [remedy]}
        found[code].area = found[code].area or "operations"
    for code in REMEDIES.keys() & found.keys():
        found[code].variants = {text: known or [REMEDIES[code]] for text, known in found[code].variants.items()}
    return dict(sorted(found.items()))


_COMMON = {
    "Diagnostic": Signature(("code", "severity", "summary", "detail", "remedy")),
    "problem": Signature(("code", "path", "summary")),
    "refusal": Signature(("address", "code", "path", "summary", "detail", "remedy")),
    "failed": Signature(("code", "summary", "detail", "remedy")),
    "failure": Signature(("code", "summary", "detail", "remedy", "source")),
    "warn": Signature(("code", "summary")),
}
"""Functions that other modules use."""
WRITTEN: Mapping[str, tuple[str, str, str]] = {
    # Code: summary, cause, remedy, where the source code composes the text.
    "api-version": ("unsupported apiVersion VERSION", "", "Write `apiVersion: dbc-iac/v1`."),
    "demo-failed": ("the demo failed", "The summary names its command.", "Run the demo with `--log debug` and report it."),
    "multisig": ("the signatures do not make the multisig", "", "Collect `threshold` signatures of the members over one nonce."),
    "git-link": ("a link of the repository leads outside", "", "Remove the link, or make it relative."),
    "key-material": ("the key cannot be used", "The summary names the reason.", "Correct the key that the option names."),
    "no-directory": ("the repository has no directory DIRECTORY", "", "Correct `path` of the stack in the Fleet file."),
    "plan-unreadable": ("cannot read the plan FILE", "", "Name a file that `dbc-iac plan -o FILE` has written."),
    "refused": (
        "the node refused ACTION", "The detail has the text of the node and its meaning.",
        "Check the rent order and the identity; `dbc-iac node show` lists the orders of the machine.",
    ),
    "unknown-kind": ("unknown kind KIND", "", "Use one of the kinds in docs/kinds.md."),
    "unknown-name": ("there is no KIND NAME", "", "Use a name that `list` prints, such as `dbc-iac vm list`."),
    "unsafe-value": (
        "a value cannot be sent", "A node would read it as something else. Nothing was sent.",
        "Write a value of the form that the summary names.",
    ),
}  # fmt: skip
REMEDIES = {
    "cannot-change": "Revert the change, or use `--replace ADDRESS` to recreate the resource.",
    "for-each": "Write `forEach: {one: 1, two: 2}`, or `forEach: [one, two]`.",
    "git-checkout": "Check that the commit exists, and run the command again.",
    "invalid-address": "Write addresses like VirtualMachine/trainer.",
    "literal-secret": "Write {env: NAME}, {file: PATH} or {exec: [PROGRAM]}, and replace the value that was exposed.",
    "lock-of-a-process": "Wait for that process, or end it.",
    "needs-yes": "Use `--yes`.",
    "not-a-document": "Write apiVersion, kind, metadata and spec; separate documents by a line with ---.",
    "not-sent": "Run the command again when a client node answers.",
    "plan-unsigned": "Sign the plan: `dbc-iac plan -o FILE --signing-key KEY`.",
    "plan-untrusted": "Sign it with a key of `trustedPlanKeys`, or add its public key there.",
    "policy-denied": "Follow the remedy of the policy, or change the policy.",
    "policy-warning": "Follow the remedy of the policy.",
    "signed": "Send the session to the guest over an encrypted channel.",
    "state-locked": "Use `--lock-timeout 60s` to wait, or `dbc-iac state unlock` if that run is dead.",
    "variable-type": "Write a value of the declared type.",
}
"""Remedies of codes, where the source code has none or composes it."""


def page() -> Iterator[str]:
    """The lines of the page."""
    yield "# Troubleshooting"
    yield ""
    yield "Generated by `make schemas` from the source code. A diagnostic is printed as `error[CODE]: summary`, or as"
    yield "`warning[CODE]: summary`. Words in capitals are values. `thresholds.refuse` in the project file turns a warning of"
    yield "a plan into a refusal."
    known = entries()
    for title in dict.fromkeys(_AREAS.values()):
        codes = [code for code, entry in known.items() if _AREAS.get(entry.area) == title]
        if codes:
            yield ""
            yield f"## {title}"
        for code in codes:
            yield ""
            yield f"### {code}"
            yield ""
            yield from (_line(*texts, remedies) for texts, remedies in known[code].variants.items())


def _line(summary: str, cause: str, remedies: list[str]) -> str:
    text = f"* **{_plain(summary).rstrip('.')}.**"
    if cause:
        text += f" {_plain(cause)}"
    return f"{text} *Remedy:* {' *Or:* '.join(map(_plain, remedies))}" if remedies else text


def _plain(text: str) -> str:
    """The text without a meaning in Markdown outside of code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([*_\[\]{}])", r"\\\1", escape(p, quote=False)) for p in parts)


def _name(call: ast.Call) -> str:
    """The name of the called function."""
    return getattr(call.func, "id", "") or getattr(call.func, "attr", "")


def _signatures(tree: ast.Module) -> Iterator[tuple[str, Signature]]:
    """The functions of a module that make a diagnostic, by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names = tuple(a.arg for a in node.args.args if a.arg not in {"self", "cls"})
            if "code" in names:
                yield node.name, Signature(names)
            elif "summary" in names and (code := _code_made_by(node)):
                yield node.name, Signature(names, code)


def _code_made_by(function: ast.AST) -> str:
    """The code of the diagnostic that a function makes of its arguments; empty if it makes none."""
    for node in ast.walk(function):
        match node:
            case ast.Call(func=ast.Name(id="Diagnostic" | "failure"), args=[ast.Constant(value=str(code)), *_]):
                return code
    return ""


def _read(
    found: defaultdict[str, Entry], area: str, call: ast.Call, signatures: Mapping[str, Signature], scope: Scope
) -> None:
    """Add the diagnostics of a call, if it makes any: each summary with the causes and remedies that occur with it."""
    signature = signatures[_name(call)]
    given = dict(zip(signature.parameters, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    if not {"summary", "remedy", "detail"} & given.keys():
        return
    codes = [Text(signature.code)] if signature.code else scope.texts(given.get("code"))
    parts = [scope.texts(given[key]) if key in given else [Text("")] for key in ("summary", "detail", "remedy")]
    for code, summary, detail, remedy in product(codes, *parts):
        if _CODE.fullmatch(code.text) and possible(scope.when, code, summary, detail, remedy):
            entry = found[code.text]
            entry.area = entry.area or area
            if known_text(summary.text):
                remedies = entry.variants.setdefault((known_text(summary.text), known_text(detail.text)), [])
                remedies += [text for text in [known_text(remedy.text)] if text and text not in remedies]
