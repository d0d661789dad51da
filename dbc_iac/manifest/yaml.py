"""YAML files as plain trees with source ranges: PyYAML's C parser, YAML 1.2 scalars, limits on size and depth.

Unlike in YAML 1.1, `no`, `022`, a MAC address, a date and `1:30` are text. `1.10` is a number that keeps its text, for
text fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct, field

from dbc_iac.diagnostics import Diagnostic, DiagnosticError, Diagnostics, Related, Severity, SourceRange, failure
from dbc_iac.manifest.numbers import IntegerText, NumberText
from dbc_iac.manifest.source_map import Path, SourceMap
from dbc_iac.manifest.yaml_advice import advice

MAX_BYTES = 4 * 1024 * 1024
MAX_VALUES = 100_000
"""Maximum number of values of one file after expansion of aliases."""
MAX_DEPTH = 64
_PARSERS_LIMIT = "exceeded maximum nesting depth"
"""Error of libyaml 0.2.6 and later at 1000 levels; its scanner reads ahead and raises it before the first event."""
MAX_PROBLEMS = 20
"""Number of problems after which reading of a file stops."""

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ANCHOR = re.compile(r"&([^\s,\[\]{}]{1,30})")
_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)
_PREFIX = "tag:yaml.org,2002:"
_PLAIN = "plain"
"""Pseudo tag of a scalar without tag and quotes."""
_MERGE = "merge"
"""Pseudo tag of a plain `<<`."""
_KNOWN_TAGS = frozenset({_PLAIN, _MERGE, f"{_PREFIX}str", f"{_PREFIX}map", f"{_PREFIX}seq"})


class YamlDocument(Struct, frozen=True):
    """One document of a file: plain values (dict, list, str, int, float, bool, None) and their source ranges."""

    file: str
    value: Any
    marks: SourceMap


def read_yaml(data: bytes, file: str) -> list[YamlDocument]:
    """Parse all documents of a file. `file`: its name in diagnostics. Raises DiagnosticError with all problems."""
    found = Diagnostics()
    documents, _ = scan_yaml(data, file, found)
    found.raise_errors()
    return documents


def scan_yaml(data: bytes, file: str, found: Diagnostics) -> tuple[list[YamlDocument], bool]:
    """Parse the documents of a file as far as possible, and whether all were parsed. Problems are collected."""
    problems = Diagnostics()
    documents: list[YamlDocument] = []
    whole = False
    text = ""
    node: yaml.Node | None = None
    try:
        text = _decoded(data, file)
        _check_depth(text, file)
        loader = _Loader(text)
        try:
            while loader.check_node():
                node = loader.get_node()
                if node is not None:
                    builder = _Builder(file, problems, text, node)
                    documents.append(YamlDocument(file, builder.build(node, ()), builder.marks))
            whole = True
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        problems.add(_syntax(error, text, file))
    except RecursionError:
        problems.add(_too_deep(file, None, text, node))
    except DiagnosticError as error:
        problems.extend(error.diagnostics)
    found.extend(problems)
    return [d for d in documents if d.value is not None], whole


class _Loader(yaml.CSafeLoader):
    """PyYAML's C parser with plain scalars unresolved: YAML 1.1 would read `no` and `022` as other types."""

    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return f"{_PREFIX}str" if not implicit[0] else _MERGE if value == "<<" else _PLAIN
        return f"{_PREFIX}seq" if kind is yaml.SequenceNode else f"{_PREFIX}map"


def _check_depth(text: str, file: str) -> None:
    """Refuse deep nesting in the event stream, before nodes are built.

    The C parser builds nodes recursively without a stack check: deep nesting would crash the process.
    """
    events = yaml.CSafeLoader(text)
    depth = 0
    try:
        while events.check_event():
            event = events.get_event()
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise DiagnosticError(_too_deep(file, _at(file, event.start_mark)))
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        if error.problem == _PARSERS_LIMIT:
            raise DiagnosticError(_too_deep(file, _at(file, error.problem_mark))) from None
        raise
    finally:
        events.dispose()


def _decoded(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise DiagnosticError(_limit(file, None, f"larger than {MAX_BYTES // 1024 // 1024} MiB"))
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        where = SourceRange(file, line, column, line, column + 1)
        raise failure("not-utf8", "the file is not UTF-8", remedy="Save it as UTF-8.", source=where) from None


def _too_deep(file: str, source: SourceRange | None, text: str = "", root: yaml.Node | None = None) -> Diagnostic:
    """Diagnostic of deep nesting; of its cause, if the document contains itself."""
    if root is None or (node := _endless(root)) is None:
        return _limit(file, source, f"nested deeper than {MAX_DEPTH} levels", "Reduce the nesting.")
    anchor = _ANCHOR.match(text, node.start_mark.index)
    summary = f"the value of anchor {anchor[1]} contains itself" if anchor else "a value contains itself"
    remedy = "Replace the alias inside of it by a value."
    return Diagnostic("yaml-syntax", Severity.ERROR, summary, remedy=remedy, source=_range(file, node))


def _range(file: str, node: yaml.Node) -> SourceRange:
    start, end = node.start_mark, node.end_mark
    return SourceRange(file, start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def _at(file: str, mark: Any) -> SourceRange:
    """Source range of a mark; the start of the file without one."""
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    return SourceRange(file, line, column, line, column + 1)


def _limit(file: str, source: SourceRange | None, what: str, remedy: str = "Split the file.") -> Diagnostic:
    where = source or SourceRange(file, 1, 1, 1, 1)
    return Diagnostic("too-large", Severity.ERROR, f"the file is {what}", remedy=remedy, source=where)


def _syntax(error: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    if isinstance(error, yaml.reader.ReaderError):
        return _unprintable(text, file)
    if (conflict := _CONFLICT.search(text)) is not None:
        return _unresolved(text, conflict.start(), file)
    summary, remedy, mark = advice(error, text)
    return Diagnostic("yaml-syntax", Severity.ERROR, f"invalid YAML: {summary}", remedy=remedy, source=_at(file, mark))


def _unresolved(text: str, start: int, file: str) -> Diagnostic:
    """Diagnostic of a merge conflict, shown at its first marker: the parser fails in a later line."""
    line = text.count("\n", 0, start) + 1
    return Diagnostic(
        "yaml-syntax", Severity.ERROR, "invalid YAML: unresolved Git conflict",
        remedy="Resolve the conflict, and remove the lines with <<<<<<<, ======= and >>>>>>>.",
        source=SourceRange(file, line, 1, line, 8),
    )  # fmt: skip


def _unprintable(text: str, file: str) -> Diagnostic:
    """Diagnostic of an unprintable character, searched again because the parser counts positions differently."""
    found = _UNPRINTABLE.search(text)
    start = found.start() if found is not None else 0
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    what = f"U+{ord(found[0]):04X}" if found is not None else ""
    return Diagnostic(
        "yaml-syntax", Severity.ERROR, f"invalid YAML: unprintable character {what}".rstrip(),
        remedy="Remove the character, or write it as an escape in double quotes.",
        source=SourceRange(file, line, column, line, column + 1),
    )  # fmt: skip


class _Builder(Struct):
    """Builder of one document from PyYAML's nodes. Raises DiagnosticError."""

    file: str
    found: Diagnostics
    text: str
    root: yaml.Node
    marks: SourceMap = field(default_factory=SourceMap)
    count: int = 0

    def build(self, node: yaml.Node, path: Path) -> Any:
        self.count += 1
        where = _range(self.file, node)
        if self.count > MAX_VALUES:
            raise DiagnosticError(_limit(self.file, where, f"of more than {MAX_VALUES} values"))
        if len(path) > MAX_DEPTH:
            raise DiagnosticError(_too_deep(self.file, where, self.text, self.root))
        self.marks.values[path] = where
        if node.tag not in _KNOWN_TAGS:
            self._unknown_tag(node, where)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - there is no fourth kind
        return scalar(node.value) if node.tag in {_PLAIN, _MERGE} else node.value

    def _problem(
        self, code: str, source: SourceRange, summary: str, remedy: str, detail: str = "", other: Related | None = None
    ) -> None:
        places = () if other is None else (other,)
        self.found.add(Diagnostic(code, Severity.ERROR, summary, detail, remedy, source, places))
        if len(self.found) >= MAX_PROBLEMS:
            raise DiagnosticError(*self.found)

    def _unknown_tag(self, node: yaml.Node, where: SourceRange) -> None:
        tag = node.tag.replace(_PREFIX, "!!")
        self._problem("unknown-tag", where, f"unknown tag {tag}", "Remove the tag.")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any] | str:
        """The mapping; the text of `{{ expression }}` without quotes, which YAML reads as one with a mapping as key."""
        if node.flow_style and len(node.value) == 1 and isinstance(node.value[0][0], yaml.MappingNode):
            return self._unquoted(node)
        result: dict[str, Any] = {}
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += self._merged(value_node)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._not_text(key_node)
                continue
            if key_node.tag not in _KNOWN_TAGS:
                self._unknown_tag(key_node, _range(self.file, key_node))
            key = key_node.value
            here = (*path, key)
            if key in result and here == ("apiVersion",):
                summary = "a second document begins without a line --- before it"
                self._problem("duplicate-key", _range(self.file, key_node), summary, "Write a line with --- above it.")
                break
            if key in result:
                first = Related("first defined here", self.marks.keys[here])
                detail = "YAML parsers would silently keep only one of them."
                summary, remedy = f"duplicate key {key}", "Remove one of the two."
                self._problem("duplicate-key", _range(self.file, key_node), summary, remedy, detail, first)
                continue
            self.marks.keys[here] = _range(self.file, key_node)
            result[key] = self.build(value_node, here)
        for key_node, value_node in merged:
            if not isinstance(key_node, yaml.ScalarNode):
                self._not_text(key_node)
                continue
            key = key_node.value
            if key not in result:
                here = (*path, key)
                self.marks.keys[here] = _range(self.file, key_node)
                result[key] = self.build(value_node, here)
        return result

    def _merged(self, node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Pairs that `<<` merges, nearest first. They count towards MAX_VALUES: nested merges grow exponentially."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise DiagnosticError(_limit(self.file, _range(self.file, node), f"of more than {MAX_VALUES} values"))
        if isinstance(node, yaml.MappingNode):
            nested: list[tuple[yaml.Node, yaml.Node]] = []
            for key, value in node.value:
                if key.tag == _MERGE:
                    nested += self._merged(value)
                else:
                    self.count += 1
                    yield key, value
            yield from nested
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                yield from self._merged(item)
        else:
            remedy = "Write `<<: *NAME` with the anchor of a mapping."
            self._problem("bad-merge", _range(self.file, node), "<<: expected a mapping or a list of mappings", remedy)

    def _unquoted(self, node: yaml.MappingNode) -> str:
        """Report a template without quotes; its text, so that nothing else is reported."""
        text = self.text[node.start_mark.index : node.end_mark.index]
        remedy = f'Write "{text}".' if len(text) <= 60 and '"' not in text else "Put the whole value in quotes."
        self._problem("key-not-text", _range(self.file, node), "a template needs quotes", remedy)
        return text

    def _not_text(self, key: yaml.Node) -> None:
        self._problem(
            "key-not-text", _range(self.file, key), "expected a text as key", "Write a name before the colon."
        )


def _endless(root: yaml.Node) -> yaml.Node | None:
    """A mapping or list with an alias of itself inside."""
    inside, done = {id(root)}, set[int]()
    stack = [(root, _children(root))]
    while stack:
        node, left = stack[-1]
        child = next(left, None)
        if child is None:
            stack.pop()
            inside.remove(id(node))
            done.add(id(node))
        elif id(child) in inside:
            return child
        elif id(child) not in done:
            inside.add(id(child))
            stack.append((child, _children(child)))
    return None


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return iter([value for _, value in node.value])
    return iter(node.value if isinstance(node, yaml.SequenceNode) else ())


def scalar(text: str) -> str | int | float | bool | None:
    """Value of a plain scalar by the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) or _OTHER_BASE.fullmatch(text):
        if len(text) >= 64:
            return text
        number = int(text, 0)
        return number if str(number) == text else IntegerText(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return NumberText(text)
    return text
