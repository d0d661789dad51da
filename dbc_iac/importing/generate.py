"""Manifests of existing objects, without a difference for a plan.

Secrets become references, which a plan finds equal or cannot compare without their values. Hidden fields, such as a
VM's image, get a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, Severity
from dbc_iac.importing.discover import UnmanagedObject
from dbc_iac.kinds.framework.importable import Found, importable, unwritable_sizes
from dbc_iac.kinds.framework.kind import kind_of
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.manifest.templates import has_markup

_HEADER = """# Written by `dbc-iac import --all --generate` from the API.
# The API never shows a VM's image, port forwards and multicast groups: add them before the VM is replaced.
# Passwords are references: set their variables (`dbc-iac vm show NAME --reveal` prints them), or remove them.
"""


def name_documents(found: Iterable[UnmanagedObject], taken: frozenset[str]) -> dict[str, UnmanagedObject]:
    """A free address for each object, by the name in its marker or by its id."""
    addresses: dict[str, UnmanagedObject] = {}
    for one in found:
        base, number = _name(one), 1
        address = Address.of(one.kind, base)
        while address in addresses or address in taken:
            number += 1
            address = Address.of(one.kind, f"{base}-{number}")
        addresses[address] = one
    return addresses


def manifests(
    documents: Mapping[str, UnmanagedObject], bound: Mapping[str, str]
) -> tuple[dict[str, str], list[Diagnostic]]:
    """Text by file name; and a warning for each value that no manifest can have.

    `bound`: addresses of managed VMs by task id, for their disks and snapshots.
    """
    hosts = {f.id: a for a, f in documents.items() if not f.parent_id} | dict(bound)
    names = {(f.kind, f.id): Address(a).name for a, f in documents.items()}
    files: dict[str, list[dict[str, Any]]] = {}
    comments: dict[str, list[str]] = {}
    warnings: list[Diagnostic] = []
    for address, one in documents.items():
        name = Address(address).name
        parent = Address(hosts[one.parent_id]).name if one.parent_id else ""
        object_ = Found(one.id, name, Address(one.place).name, one.fields, one.secrets, parent, names)
        spec = importable(one.kind).manifest(object_)
        document = {"apiVersion": "dbc-iac/v1", "kind": one.kind, "metadata": {"name": name}, "spec": spec}
        file = f"{one.place.partition('/')[2]}.yaml"
        files.setdefault(file, []).append(_literal(document))
        for path in unwritable_sizes(kind_of(one.kind).fields, one.fields):
            found = f"{path} of {address} is {one.fields[path]}"
            comments.setdefault(file, []).append(f"# {found}: its lifecycle ignores the difference.\n")
            warnings.append(
                Diagnostic(
                    "size-not-whole", Severity.WARNING, f"{path} is {one.fields[path]}, which no manifest can have",
                    "The written manifest has the nearest size, and ignores the difference (lifecycle.ignoreChanges).",
                    f"Remove {path} from lifecycle.ignoreChanges to change the size.", address=address,
                )
            )  # fmt: skip
    texts = {file: _HEADER + "".join(comments.get(file, ())) + _yaml(found) for file, found in sorted(files.items())}
    return texts, warnings


def _literal(value: Any) -> Any:
    """The value with every text that holds template markup as a template of its literal: nothing that a node says is
    evaluated when the manifests are read."""
    if isinstance(value, dict):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(inner) for inner in value]
    if isinstance(value, str) and has_markup(value):
        quoted = "".join(c if c.isascii() and c.isprintable() and c not in _QUOTED else _code(c) for c in value)
        return f"{{{{ '{quoted}' }}}}"
    return value


_QUOTED = frozenset("\\'{}")
"""Characters that would end a literal, or could be read as template markup."""


def _code(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _yaml(documents: list[Any]) -> str:
    """YAML of documents. Control and direction characters are written as escapes."""
    text = yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)
    if any(not c.isprintable() and c != "\n" for c in text):
        return yaml.safe_dump_all(documents, sort_keys=False)
    return text


def _name(one: UnmanagedObject) -> str:
    marker: Marker | None = parse_marker(one.marker)
    text = marker.name if marker is not None else one.id.rpartition("/")[2].removesuffix(".qcow2")
    plain = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:40].strip("-") or "imported"
    prefix = importable(one.kind).name_prefix
    return f"{prefix}-{plain}"[:40].strip("-") if prefix and marker is None else plain
