"""The reference pages in docs/, made from the models, so that they cannot go stale."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args

import click
from pydantic import BaseModel

from dbc_iac.cli.command_reference import commands
from dbc_iac.kinds import kinds
from dbc_iac.kinds.framework.rules import Rule
from dbc_iac.kinds.framework.spec import SpecField

_RULES = """
| rule | what a difference leads to |
|---|---|
| online | changed in place, at once |
| offline | changed in place while the VM is powered off: it joins the VM's one offline window |
| cold-boot | the node takes it at any time, but it works only after a cold start: handled as offline |
| running | changed in place while the VM runs |
| replace | only a new one has it: park the old, create the new, delete the old |
| create-only | sent at creation; a later difference is noted, and `--replace ADDRESS` applies it |
| once | sent when its value changes, never compared with the API |
| access | says how the object is reached; a change makes no call |
| refused | cannot be changed; the plan says what to do instead |
"""


def pages(root: click.Command) -> dict[str, str]:
    """File name below docs/ -> text. Deterministic. `root` is the command with all others in it."""
    made = {"commands.md": commands(root), "kinds.md": _kinds(), "world.md": _world()}
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}


def _kinds() -> Iterator[str]:
    yield "# Kinds and their fields"
    yield ""
    yield "Made from the specs by `dbc-iac schema --docs docs`. Rules:"
    yield _RULES
    for name, kind in sorted(kinds().items()):
        yield f"## {name}"
        yield ""
        yield (kind.spec.__doc__ or "").strip()
        yield ""
        yield "| field | rule | |"
        yield "|---|---|---|"
        for field in kind.fields:
            yield f"| `{field.path}` | {_rule(field.rule)} | {_description(kind.spec, field)} |"
        yield ""


def _rule(rule: Rule) -> str:
    words = [rule.behaviour.value]
    for name in ("grow_only", "not_reported", "inferred", "secret", "no_clear", "whole_list", "unreliable"):
        if getattr(rule, name):
            words.append(name.replace("_", " "))
    words += [f"depends: {c.__name__.replace('_', ' ')}" for c in rule.given]
    return ", ".join(words)


def _description(spec: type[BaseModel], field: SpecField) -> str:
    model: Any = spec
    info = None
    for attribute in field.attributes:
        info = model.model_fields[attribute]
        options = getattr(info.annotation, "__args__", (info.annotation,))
        model = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), model)
    said = (info.description if info is not None else "") or ""
    if info is not None and info.is_required():
        return f"{said} (required)".strip()
    default = info.default if info is not None else None
    shown = default.value if isinstance(default, Enum) else default
    plain = isinstance(shown, str | int) and shown not in {"", None}
    return f"{said} (default `{str(shown).lower() if isinstance(shown, bool) else shown}`)".strip() if plain else said


def _world() -> Iterator[str]:
    from dbc_iac.emulator import world

    yield "# The emulator's world file"
    yield ""
    yield (world.__doc__ or "").strip()
    yield ""
    for model in _parts_of(world.WorldSpec):
        yield f"## {model.__name__.removesuffix('Spec')}"
        yield ""
        yield inspect.cleandoc(model.__doc__ or "")
        yield ""
        yield "| field | default | |"
        yield "|---|---|---|"
        for key, field in model.model_fields.items():
            default = (
                "required" if field.is_required() else f"`{field.default!r}`" if field.default_factory is None else ""
            )
            shown = default if len(default) <= 60 else f"{default[:58]}…`"
            yield f"| `{field.alias or key}` | {shown} | {field.description or ''} |"
        yield ""


def _parts_of(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its fields, each once, in the order in which they appear."""
    waiting, seen = [model], {model}
    while waiting:
        current = waiting.pop(0)
        yield current
        for field in current.model_fields.values():
            for found in _models_in(field.annotation):
                if found not in seen:
                    seen.add(found)
                    waiting.append(found)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
