"""The texts of expressions in source code: what a local variable can be at a place, and under which conditions.

Statements are followed in their order; of an `if` or `match`, each branch is, with the truth of its expressions.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import product

Conditions = frozenset[tuple[str, bool]]
"""Expressions of the source code with their truth."""


@dataclass(frozen=True)
class Text:
    """A text that an expression can be, and when it is."""

    text: str
    when: Conditions = frozenset()


def possible(when: Conditions, *texts: Text) -> bool:
    """Whether no expression has to be both true and false."""
    every = when.union(*(one.when for one in texts))
    return not any((test, not truth) in every for test, truth in every)


def condition(test: ast.expr, truth: bool) -> tuple[str, bool]:
    while isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, truth = test.operand, not truth
    return ast.dump(test), truth


@dataclass
class Scope:
    """A place of the source code: the texts of its variables, and what is true there."""

    variables: dict[str, list[Text]]
    when: Conditions = frozenset()

    def texts(self, node: ast.expr | None) -> list[Text]:
        """The texts that an expression can be; values in capitals."""
        match node:
            case ast.Constant(value=str(text)):
                return [Text(text)]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return [
                    Text(one.text, one.when | {condition(test, truth)})
                    for truth, branch in ((True, body), (False, orelse))
                    for one in self.texts(branch)
                ]
            case ast.BoolOp(op=ast.Or(), values=values):
                return [one for value in values for one in self.texts(value)]
            case ast.JoinedStr(values=parts):
                return self._joined(parts)
            case ast.FormattedValue(value=value):
                return self._inserted(value)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right])
            case ast.Name(id=name) if name in self.variables:
                return [one for one in self.variables[name] if possible(self.when, one)]
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return [Text(name.strip("_").upper().replace("_", " "))]
            case ast.Call(func=ast.Name(id="len")):
                return [Text("N")]
        return [Text("VALUE")]

    def _joined(self, parts: Iterable[ast.expr]) -> list[Text]:
        made = [Text("")]
        for part in parts:
            pairs = product(made, self.texts(part))
            made = [Text(a.text + b.text, a.when | b.when) for a, b in pairs if possible(self.when, a, b)]
        return made

    def _inserted(self, node: ast.expr) -> list[Text]:
        """The texts of a part of a text: all if they are in the source code, else the name of the value."""
        texts = self.texts(node)
        if all(known_text(one.text) or not one.text for one in texts):
            some = [one for one in texts if one.text]
            return some if len(some) == len(texts) else [Text(one.text) for one in some]
        return texts if len(texts) == 1 else [Text(Scope({}).texts(node)[0].text)]

    def assign(self, target: ast.expr, value: ast.expr | None) -> None:
        """Set a variable, or several from a tuple."""
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            for one, of in zip(target.elts, value.elts, strict=True):
                self.assign(one, of)
        elif isinstance(target, ast.Name):
            texts = self.texts(value)
            self.variables[target.id] = self._unknown(target.id) if texts == [Text("VALUE")] else texts
        else:
            for name in ast.walk(target):
                if isinstance(name, ast.Name):
                    self.variables[name.id] = self._unknown(name.id)

    @staticmethod
    def _unknown(name: str) -> list[Text]:
        return Scope({}).texts(ast.Name(name))

    def branch(self, *conditions: tuple[str, bool]) -> Scope:
        return Scope(dict(self.variables), self.when | {*conditions})

    def join(self, branches: Iterable[Scope | None]) -> bool:
        """Continue after branches, of which None have ended; False if all have."""
        going = [branch for branch in branches if branch is not None]
        if len(going) == 1:
            self.variables, self.when = going[0].variables, going[0].when
        for name in {name for branch in going for name in branch.variables} if len(going) > 1 else ():
            values = [(branch.when, branch.variables.get(name, self._unknown(name))) for branch in going]
            if any(texts != values[0][1] for _, texts in values):
                joined = [Text(one.text, one.when | (when - self.when)) for when, texts in values for one in texts]
                self.variables[name] = joined
            else:
                self.variables[name] = values[0][1]
        return bool(going)


def calls(block: Iterable[ast.stmt], scope: Scope) -> Generator[tuple[ast.Call, Scope], None, Scope | None]:
    """Calls of a block, with the scope of each; returns the scope after the block, None if it always leaves it."""
    for statement in block:
        yield from ((node, scope.branch()) for node in _expressions(statement) if isinstance(node, ast.Call))
        match statement:
            case ast.FunctionDef(args=parameters) | ast.AsyncFunctionDef(args=parameters):
                inner = scope.branch()
                for one in (*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs):
                    inner.assign(ast.Name(one.arg), None)
                yield from calls(statement.body, inner)
            case ast.ClassDef(body=body):
                yield from calls(body, scope.branch())
            case ast.Return() | ast.Raise() | ast.Continue() | ast.Break():
                return None
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    scope.assign(target, value)
            case ast.AnnAssign(target=target, value=value):
                scope.assign(target, value)
            case ast.AugAssign(target=ast.Name() as target, value=value):
                scope.assign(target, ast.BinOp(target, statement.op, value))
            case ast.For(target=target) | ast.AsyncFor(target=target):
                scope.assign(target, None)
        branches: list[Scope | None] = []
        for conditions, body in _branches(statement):
            branches.append((yield from calls(body, scope.branch(*conditions))))
        if branches and not scope.join(branches):
            return None
    return scope


def _branches(statement: ast.stmt) -> list[tuple[list[tuple[str, bool]], list[ast.stmt]]]:
    """The blocks of a statement, of which one is executed, each with its conditions."""
    match statement:
        case ast.If(test=test, body=body, orelse=orelse):
            return [([condition(test, True)], body), ([condition(test, False)], orelse)]
        case ast.Match(subject=subject, cases=cases):
            tests = [f"{ast.dump(subject)} {ast.dump(c.pattern)} {c.guard and ast.dump(c.guard)}" for c in cases]
            blocks = [c.body for c in cases]
            return [
                ([*((test, False) for test in tests[:n]), *((test, True) for test in tests[n : n + 1])], block)
                for n, block in enumerate([*blocks, []])
            ]
        case ast.With(body=body) | ast.AsyncWith(body=body):
            return [([], body)]
        case ast.For(body=body, orelse=orelse) | ast.AsyncFor(body=body, orelse=orelse):
            return [([], body), ([], orelse)]
        case ast.While(body=body):
            return [([], body), ([], [])]
        case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
            return [([], [*body, *orelse, *finalbody]), *(([], handler.body) for handler in handlers)]
    return []


def _expressions(statement: ast.stmt) -> Iterator[ast.AST]:
    """The expressions of a statement, without the statements in it."""
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += reversed([n for n in ast.iter_child_nodes(node) if not isinstance(n, _NESTED)])


_NESTED = (ast.stmt, ast.ExceptHandler, ast.match_case)


def known_text(text: str) -> str:
    """The text; empty if nothing but values."""
    return "" if re.fullmatch(r"[A-Z .]*", text) else text.strip()
