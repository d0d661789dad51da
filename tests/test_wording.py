"""Wording of texts, documentation, docstrings and names: the word list is `tests/wording.yaml`."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LIST: dict[str, Any] = yaml.load((ROOT / "tests/wording.yaml").read_text("utf-8"), Loader=yaml.CSafeLoader)
SILENT = {tokenize.OP, tokenize.NUMBER, tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT}
"""Types of tokens without words."""
WORDS = [(re.compile(word["pattern"], re.IGNORECASE), word["use"]) for word in LIST["words"]]
FIRST_WORD = re.compile(rf"\b(?:{'|'.join(LIST['docstrings']['first_words'])})\b")
ANY_WORD = re.compile("|".join(word["pattern"] for word in LIST["words"]), re.IGNORECASE)


def files(path: str) -> Iterator[Path]:
    """Text files below one of the listed paths."""
    found = ROOT / path
    for file in [found] if found.is_file() else sorted(found.rglob("*")):
        hidden = "__pycache__" in file.parts or any(part.startswith(".") for part in file.relative_to(ROOT).parts)
        if file.is_file() and file.suffix in LIST["suffixes"] and not hidden:
            yield file


def texts(source: str, suffix: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each line; of Python, of each name and each line of a string or comment."""
    if suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            yield from enumerate(token.string.splitlines(), token.start[0])


def old_words(source: str, suffix: str) -> Iterator[tuple[int, str, str]]:
    """Line number, text and the term to use, of each word of the list, also within names."""
    for number, text in texts(source, suffix) if ANY_WORD.search(source.replace("_", " ")) else ():
        words = text.replace("_", " ")
        for pattern, use in WORDS if ANY_WORD.search(words) else ():
            if pattern.search(words):
                yield number, text.strip(), use


def relative_clauses(source: str) -> Iterator[tuple[int, str, str]]:
    """Line number, line and the form to use, of each docstring that starts with a relative pronoun."""
    for node in ast.walk(ast.parse(source)) if FIRST_WORD.search(source) else ():
        for statement in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    first = text.partition(" ")[0]
                    if first in LIST["docstrings"]["first_words"]:
                        yield statement.lineno, text.partition("\n")[0], LIST["docstrings"]["use"]


@cache
def problems(path: str) -> list[tuple[str, str, str]]:
    """Path with line number, line and the term to use, of everything to rewrite below a path."""
    made: list[tuple[str, str, str]] = []
    for file in files(path):
        name, text = file.relative_to(ROOT).as_posix(), file.read_text("utf-8")
        found = [*old_words(text, file.suffix), *(relative_clauses(text) if file.suffix == ".py" else ())]
        made += ((f"{name}:{number}", line, use) for number, line, use in found)
    return made


def excepted(place: str, line: str) -> bool:
    name = place.rpartition(":")[0]
    return any(e["path"] == name and e["text"] in line for e in LIST["exceptions"])


@pytest.mark.parametrize("path", LIST["paths"])
def test_texts_use_the_terms_of_the_field(path: str) -> None:
    found = [f"{place}: {line}\n    use: {use}" for place, line, use in problems(path) if not excepted(place, line)]
    assert not found, "\n".join(found)


def test_every_exception_is_needed_and_has_a_reason() -> None:
    found = [(place.rpartition(":")[0], line) for path in LIST["paths"] for place, line, _ in problems(path)]
    unused = [e for e in LIST["exceptions"] if not any(e["path"] == p and e["text"] in line for p, line in found)]
    assert [e for e in LIST["exceptions"] if not e["reason"]] == []
    assert unused == []


@pytest.mark.parametrize(
    ("text", "suffix", "hits"),
    [
        ("the VM is made anew", ".md", 1),
        ("the VM is replaced", ".md", 0),
        ("def test_what_moved_is_told_of(): ...", ".py", 2),
        ("x = 1  # made anew", ".py", 1),
        ("x = [t for taken in takes]", ".py", 0),
    ],
    ids=["old word", "new word", "name", "comment", "code"],
)
def test_old_words_are_found_in_texts_and_names(text: str, suffix: str, hits: int) -> None:
    assert len(list(old_words(text, suffix))) == hits


@pytest.mark.parametrize(("doc", "hits"), [("What it does.", 1), ("Whether it works.", 0)])
def test_docstrings_that_start_with_a_pronoun_are_found(doc: str, hits: int) -> None:
    source = f'"""Module."""\n\n\ndef f():\n    """{doc}"""\n'
    assert len(list(relative_clauses(source))) == hits
