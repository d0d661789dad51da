"""The page docs/troubleshooting.md: every diagnostic code with its summaries and remedies, read from the source code.

A diagnostic is a call with an argument `code` and one of `summary`, `detail` and `remedy`, by the signature of the
called function. Values within a text are shown in capitals; a local variable by the text that is assigned to it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from html import escape
from itertools import zip_longest
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "dbc_iac"
_CODE = re.compile("[a-z]+(-[a-z]+)*")
_AREAS = {
    "manifest": "Manifests and project file", "kinds": "Manifests and project file", "policy": "Plan", "plan": "Plan",
    "apply": "Apply", "importing": "Import", "state": "State", "controller": "Controller", "cli": "Command line",
    "files": "Files", "operations": "Operations",
}  # fmt: skip
_MOST = 12
"""Lines of one code."""


_CONSTANT = re.compile(r'^(_?[A-Z][A-Z_]*) = "([^"\\]*)"$', re.MULTILINE)
"""A text of a module."""
_MAKES = re.compile(r"Diagnostic\(|problem\(|failed\(|warn\(")
"""Modules without one of these make no diagnostic."""


@dataclass(frozen=True)
class Variant:
    """A diagnostic of the source code: its text, its cause and its remedy; empty where they are not known."""

    summary: str
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Signature:
    """Parameters of a function that makes a diagnostic; its code, where that is no parameter."""

    parameters: tuple[str, ...]
    code: str = ""


@dataclass
class Entry:
    """A diagnostic code: the area of its first use, and its diagnostics in the order of the source."""

    area: str = ""
    variants: list[Variant] = field(default_factory=list)


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
        for function, call in _calls(tree):
            if _name(call) in signatures:
                _read(found, path.relative_to(PACKAGE).parts[0], call, signatures, _Texts(function, constants))
    for code, texts in WRITTEN.items():
        found[code].variants = [Variant(*texts)]
        found[code].area = found[code].area or "operations"
    for code in REMEDIES.keys() & found.keys():
        found[code].variants = [replace(v, remedy=v.remedy or REMEDIES[code]) for v in found[code].variants]
    return dict(sorted(found.items()))


_COMMON = {
    "Diagnostic": Signature(("code", "severity", "summary", "detail", "remedy")),
    "problem": Signature(("code", "path", "summary")),
    "failed": Signature(("code", "summary", "detail", "remedy")),
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
    "unsafe-value": (
        "a value cannot be sent", "A node would read it as something else. Nothing was sent.",
        "Write a value of the form that the summary names.",
    ),
}  # fmt: skip
REMEDIES = {
    "body-unreadable": "Pass a JSON object with `-f FILE`, or on the standard input.",
    "cannot-change": "Revert the change, or use `--replace ADDRESS` to recreate the resource.",
    "expression": "Correct the expression; docs/language.md lists the names.",
    "file-unwritable": "Choose another directory, or free some space.",
    "for-each": "Write `forEach: {one: 1, two: 2}`, or `forEach: [one, two]`.",
    "git-checkout": "Check that the commit exists, and run the command again.",
    "goal-failed": "Fix the cause, and run `dbc-iac apply` again to continue.",
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
            yield from (_line(variant) for variant in known[code].variants[:_MOST])


def _line(variant: Variant) -> str:
    text = f"* **{_plain(variant.summary).rstrip('.')}.**"
    if variant.cause:
        text += f" {_plain(variant.cause)}"
    return f"{text} *Remedy:* {_plain(variant.remedy)}" if variant.remedy else text


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
            case ast.Call(func=ast.Name(id="Diagnostic"), args=[ast.Constant(value=str(code)), *_]):
                return code
    return ""


def _calls(tree: ast.Module) -> Iterator[tuple[ast.AST | None, ast.Call]]:
    """Calls with the function that they are in."""
    waiting: list[tuple[ast.AST, ast.AST | None]] = [(tree, None)]
    while waiting:
        node, function = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node
        if isinstance(node, ast.Call):
            yield function, node
        waiting += [(inner, function) for inner in reversed([*ast.iter_child_nodes(node)])]


def _read(
    found: defaultdict[str, Entry],
    area: str,
    call: ast.Call,
    signatures: Mapping[str, Signature],
    texts: _Texts,
) -> None:
    """Add the diagnostics of a call, if it makes any."""
    signature = signatures[_name(call)]
    given = dict(zip(signature.parameters, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg}
    codes = [signature.code] if signature.code else texts.of(given.get("code"))
    if not {"summary", "remedy", "detail"} & given.keys():
        return
    parts = {key: texts.of(given[key]) if key in given else [] for key in ("summary", "detail", "remedy")}
    for code in filter(_CODE.fullmatch, codes):
        entry = found[code]
        entry.area = entry.area or area
        for summary, cause, remedy in zip_longest(*parts.values(), fillvalue=""):
            variant = Variant(summary or next(iter(parts["summary"]), ""), _known(cause), _known(remedy))
            if _known(variant.summary) and variant not in entry.variants:
                entry.variants.append(variant)


def _known(text: str) -> str:
    """The text; empty if nothing but values."""
    return "" if re.fullmatch(r"[A-Z .]*", text) else text


@dataclass(frozen=True)
class _Texts:
    """Texts of expressions within a function. `constants`: texts of modules by name."""

    function: ast.AST | None
    constants: Mapping[str, str]

    def of(self, node: ast.expr | None) -> list[str]:
        """The texts that an expression can be."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.IfExp(body=body, orelse=orelse):
                return [*self.of(body), *self.of(orelse)]
            case ast.JoinedStr(values=parts):
                return ["".join(map(self._part, parts))]
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return [a + b for a in self.of(left) for b in self.of(right) or [""]]
            case ast.Name(id=name) if name in self.constants:
                return [self.constants[name]]
            case ast.Name(id=name) if self.function is not None:
                return [t for v in _assigned(name, self.function) for t in _Texts(None, self.constants).of(v)]
        return []

    def _part(self, part: ast.expr) -> str:
        if isinstance(part, ast.Constant):
            return str(part.value)
        assert isinstance(part, ast.FormattedValue)
        texts = self.of(part.value)
        if texts and len(texts[0]) < 80:
            return texts[0]
        match part.value:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name.strip("_").upper().replace("_", " ")
            case ast.Call(func=ast.Name(id="len")):
                return "N"
        return "VALUE"


def _assigned(name: str, function: ast.AST) -> Iterable[ast.expr]:
    """The values that a function assigns to a local variable."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name) and target.id == name:
                    yield node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=False)
                    yield from (v for t, v in pairs if isinstance(t, ast.Name) and t.id == name)
