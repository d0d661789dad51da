"""The templates of pages: one Jinja2 environment, which escapes everything that is put into one."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dbc_iac.address import Address
from dbc_iac.views.text.lines import escaped

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"


def environment(filters: Mapping[str, Callable[..., object]]) -> Environment:
    """Strict, with autoescape for every template, and with control and direction characters as escapes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters.update(filters)
    return made


def _shown(value: object) -> object:
    return escaped(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def asset(name: str) -> str:
    """A stylesheet or script of this package."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """Source of a Content-Security-Policy for the only style, or script, of a page."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def anchor(address: str) -> str:
    """The id of an address in a page; no two have the same."""
    kind, name = Address(address).kind, Address(address).label
    return f"r-{kind}-" + re.sub(r"[^A-Za-z0-9.~-]", lambda found: f"_{ord(found[0]):x}_", name)
