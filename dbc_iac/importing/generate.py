"""Manifests for what lives on the machines: documents that a plan finds equal; what the API hides is the user's.

Secrets become references: a plan finds them equal, or cannot compare them where their values are not at hand. What is
never shown (a VM's image) gets a value that says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from dbc_iac.address import Address
from dbc_iac.importing.discover import UnmanagedObject
from dbc_iac.kinds.framework.ownership_marker import Marker, parse_marker
from dbc_iac.manifest.templates import has_markup

UNKNOWN_IMAGE = "not-shown.qcow2"
_HEADER = """# Written by `dbc-iac import --all --generate`. Everything is as the API shows it.
# A VM's image, its port forwards and its multicast groups are never shown: write the real ones before it is replaced.
# Passwords are references: put them where these lead (`dbc-iac vm show NAME --reveal` has them), or take them out.
"""


def name_documents(found: Iterable[UnmanagedObject], taken: frozenset[str]) -> dict[str, UnmanagedObject]:
    """An address for each: the name in its marker, else one made of its id; never one that is taken."""
    addresses: dict[str, UnmanagedObject] = {}
    for one in found:
        base, number = _name(one), 1
        address = f"{one.kind}/{base}"
        while address in addresses or address in taken:
            number += 1
            address = f"{one.kind}/{base}-{number}"
        addresses[address] = one
    return addresses


def manifests(documents: Mapping[str, UnmanagedObject], bound: Mapping[str, str]) -> dict[str, str]:
    """File name -> text. `bound`: addresses of VMs by task id, for the disks of those that have documents already."""
    vms = {f.id: a for a, f in documents.items() if f.kind == "VirtualMachine"} | dict(bound)
    lans = {f.id: Address(a).name for a, f in documents.items() if f.kind == "Network"}
    files: dict[str, list[dict[str, Any]]] = {}
    for address, one in documents.items():
        name = Address(address).name
        spec = _SPECS[one.kind](name, one, vms, lans)
        document = {"apiVersion": "dbc-iac/v1", "kind": one.kind, "metadata": {"name": name}, "spec": spec}
        files.setdefault(f"{one.place.partition('/')[2]}.yaml", []).append(_literal(document))
    return {file: _HEADER + _yaml(found) for file, found in sorted(files.items())}


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


def describable(one: UnmanagedObject) -> bool:
    """Whether the API shows every required field. It hides the image server of a snapshot without a file."""
    return one.kind != "Snapshot" or bool(one.fields["imageServer"])


def _name(one: UnmanagedObject) -> str:
    marker: Marker | None = parse_marker(one.marker)
    text = marker.name if marker is not None else one.id.rpartition("/")[2].removesuffix(".qcow2")
    plain = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:40].strip("-") or "imported"
    if marker is not None or one.kind == "Network":
        return plain
    return f"{_SHORT[one.kind]}-{plain}"[:40].strip("-")


_SHORT = {"VirtualMachine": "vm", "Disk": "disk", "Snapshot": "snapshot", "BareMetalServer": "server"}


def _vm(name: str, one: UnmanagedObject, vms: Mapping[str, str], lans: Mapping[str, str]) -> dict[str, Any]:
    shown = {k: v for k, v in one.fields.items() if v not in (None, "", [])}
    spec: dict[str, Any] = {"node": Address(one.place).name, "image": UNKNOWN_IMAGE}
    for key in ("os", "gpus", "cpus", "memory", "firewall", "publicIp", "description"):
        if key in shown:
            spec[key] = shown[key]
    if "dataDisk.size" in shown:
        spec["dataDisk"] = {key: shown[f"dataDisk.{key}"] for key in ("size", "file") if f"dataDisk.{key}" in shown}
    else:
        spec["biosMode"] = "pxe"
    spec["ports"] = {p.partition(".")[2]: v for p, v in shown.items() if p.startswith("ports.")}
    if (lan := str(shown.get("network", ""))) in lans:
        spec["network"] = lans[lan]
    if shown.get("power") in {"on", "off"}:
        spec["power"] = shown["power"]
    # An account is named only by the call that sets its password, and a pxe VM has neither.
    known = "login.username" in shown and "login.password" in one.secrets
    if known and "biosMode" not in spec:
        password = {"env": _variable(f"{name}_PASSWORD")}
        spec["login"] = {"username": shown["login.username"], "password": password}
    return spec


def _disk(name: str, one: UnmanagedObject, vms: Mapping[str, str], lans: Mapping[str, str]) -> dict[str, Any]:
    return {"vm": Address(vms[one.parent_id]).name, **one.fields}


def _snapshot(name: str, one: UnmanagedObject, vms: Mapping[str, str], lans: Mapping[str, str]) -> dict[str, Any]:
    shown = {k: v for k, v in one.fields.items() if v and k != "file"}
    return {"vm": Address(vms[one.parent_id]).name, "name": one.id, **shown}


def _network(name: str, one: UnmanagedObject, vms: Mapping[str, str], lans: Mapping[str, str]) -> dict[str, Any]:
    return {"name": one.id, "via": Address(one.place).name, **one.fields}


def _server(name: str, one: UnmanagedObject, vms: Mapping[str, str], lans: Mapping[str, str]) -> dict[str, Any]:
    shown = {k: v for k, v in one.fields.items() if v not in (None, "")}
    spec: dict[str, Any] = {"manager": Address(one.place).name}
    spec |= {k: v for k, v in shown.items() if not k.startswith("ipmi.")}
    spec["ipmi"] = {k.partition(".")[2]: v for k, v in shown.items() if k.startswith("ipmi.")}
    spec["ipmi"]["password"] = {"env": _variable(f"IPMI_{shown['uuid']}")}
    return spec


def _variable(text: str) -> str:
    return re.sub(r"[^A-Z0-9]+", "_", text.upper())


_SPECS = {"VirtualMachine": _vm, "Disk": _disk, "Snapshot": _snapshot, "Network": _network, "BareMetalServer": _server}
