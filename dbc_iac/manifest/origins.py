"""Origins of templated values: a mistake is reported where the value was written, not at each place that uses it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Diagnostics, Related, SourceRange
from dbc_iac.manifest.source_map import Path, SourceMap
from dbc_iac.manifest.templates import has_markup
from dbc_iac.manifest.variables import Setting

_VARIABLE = re.compile(r"\bvar(?:\.([A-Za-z_]\w*)|\[(['\"])([A-Za-z_]\w*)\2\])")
_EACH = re.compile(r"\beach\.(key|value)((?:\.[A-Za-z_]\w*)*)")
_KEYS = "Every key of `forEach` gives such a value."
_MAX_SHOWN = 40
"""Maximum length of a value in a detail, in characters."""


class Variables(Struct, frozen=True):
    """The variables of a project: the setting of each, and the names of those without a valid value."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    invalid: frozenset[str] = frozenset()

    def hide(self, text: str) -> bool:
        """Whether a template uses an invalid variable: its problems follow from that of the variable."""
        return not self.invalid.isdisjoint(used_variables(text))


def used_variables(text: str) -> set[str]:
    """Names of the variables that a template uses."""
    return {one[1] or one[3] for one in _VARIABLE.finditer(text)} if has_markup(text) else set()


class Origins(Struct):
    """Origins of the values of one document. `written`: its spec before rendering; `each`: path of its instance."""

    written: Any
    marks: SourceMap
    variables: Variables
    each: Path = ()
    _of_each: dict[Diagnostic, Diagnostic] = field(default_factory=dict)
    """Problems at values of `forEach`, and the same at their template."""

    def placed(self, diagnostic: Diagnostic, path: Path, value: Any) -> Diagnostic | None:
        """A problem of the value at a path, at its origin; None if it follows from an invalid variable."""
        at, text = self._template(path)
        if not text or diagnostic.code == "literal-secret":
            return diagnostic
        if self.variables.hide(text):
            return None
        source, origin = self._origin(text)
        if not origin:
            return diagnostic
        shown = str(value)
        original = replace(diagnostic, detail=f"{diagnostic.detail} {_KEYS}".strip())
        fact = f"The value is {shown}, from {origin}." if 0 < len(shown) <= _MAX_SHOWN else f"It is from {origin}."
        used = self.marks.value(("spec", *at))
        if source is None or used is None:
            return replace(diagnostic, detail=f"{diagnostic.detail} {fact}".strip())
        related = (*diagnostic.related, Related("used here", used))
        found = replace(diagnostic, detail=f"{diagnostic.detail} {fact}".strip(), source=source, related=related)
        if origin.startswith("each."):
            self._of_each[found] = original
        return found

    def report_at_templates(self, found: Diagnostics, begin: int, count: int) -> None:
        """Report a problem that all of several instances have at their template: no single value is the cause.

        `begin`: the position of the document's first problem in `found`.
        """
        if not self._of_each:
            return
        templates = Counter(replace(original, address=None) for original in self._of_each.values())
        general = {original for original, number in templates.items() if number == count > 1}
        found.extend(
            original
            if (original := self._of_each.get(one)) is not None and replace(original, address=None) in general
            else one
            for one in found.take_from(begin)
        )

    def _template(self, path: Path) -> tuple[Path, str]:
        """The template that gave the value at a path, or a part around it, and its own path; empty without one."""
        here = self.written
        for length, part in enumerate(path):
            if isinstance(here, str):
                return path[:length], here if has_markup(here) else ""
            try:
                here = here[part]
            except (LookupError, TypeError):
                return path, ""
        return path, here if isinstance(here, str) and has_markup(here) else ""

    def _origin(self, text: str) -> tuple[SourceRange | None, str]:
        """Source range and description of the only variable or `forEach` value of a template; empty for several."""
        variables, each = used_variables(text), {match[0] for match in _EACH.finditer(text)}
        if len(variables) + len(each) != 1:
            return None, ""
        if variables:
            name = variables.pop()
            setting = self.variables.settings.get(name)
            if setting is None:
                return None, ""
            place = "" if setting.source is None else f" ({setting.source.file}:{setting.source.line})"
            return setting.source, f"var.{name}{place or f', set by {setting.origin}'}"
        name = each.pop()
        below = tuple(name.split(".")[2:]) if name.startswith("each.value") else ()
        if (source := self.marks.values.get((*self.each, *below))) is None or not self.each:
            return None, name
        return source, f"{name} ({source.file}:{source.line})"


def merge_instances(found: Diagnostics) -> None:
    """Replace diagnostics that differ only in their address by one, which names the number of resources."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    for one in found:
        key = (one.code, one.severity, one.summary, one.detail, one.remedy, one.source)
        groups.setdefault(key if one.source else (one,), []).append(one)
    found.replace_all(_merged(members) for members in groups.values())


def _merged(members: list[Diagnostic]) -> Diagnostic:
    first, addresses = members[0], [Address(one.address) for one in members if one.address]
    if len(addresses) < 2:
        return first
    groups = {address.group for address in addresses}
    if len(groups) == 1:
        fact = f"In {len(addresses):,} instances of {addresses[0].group}."
    else:
        more = f" and {len(addresses) - 3:,} more" if len(addresses) > 3 else ""
        fact = f"In {', '.join(addresses[:3])}{more}."
    address = addresses[0].group if len(groups) == 1 else None
    return replace(first, detail=f"{first.detail} {fact}".strip(), address=address)
