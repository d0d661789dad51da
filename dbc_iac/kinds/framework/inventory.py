"""A resource with its checked spec, and the set of all resources of a run."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from dbc_iac.address import Address
from dbc_iac.diagnostics import Diagnostic, ExitCode, Severity, SourceRange
from dbc_iac.json import Json
from dbc_iac.kinds.framework.spec import Spec, SpecField
from dbc_iac.secret import SecretText

S_co = TypeVar("S_co", bound=Spec, covariant=True)


def _nowhere(path: str) -> SourceRange | None:
    return None


class Resource(Struct, Generic[S_co], frozen=True):
    """One document, or one instance of a `forEach`. `where` returns the source range of a path in its spec."""

    address: str
    kind: str
    name: str
    spec: S_co
    labels: Mapping[str, str] = field(default_factory=dict)
    where: Callable[[str], SourceRange | None] = _nowhere

    @property
    def external(self) -> bool:
        """Whether its object is only read, never changed."""
        return bool(getattr(self.spec, "external", False))

    def problem(
        self,
        code: str,
        path: str,
        summary: str,
        *,
        detail: str = "",
        remedy: str = "",
        severity: Severity = Severity.ERROR,
        exit_code: ExitCode = ExitCode.CONFIGURATION,
    ) -> Diagnostic:
        """A diagnostic at a field of this document."""
        source = self.where(path) or self.where("")
        return Diagnostic(code, severity, summary, detail, remedy, source, (), self.address, exit_code)


def unknown_clients(resource: Resource[Spec], names: Iterable[str], inventory: Inventory) -> Iterator[Diagnostic]:
    """The problems of client nodes that the project file does not have."""
    for name in names:
        if name not in inventory.clients:
            yield resource.problem(
                "unknown-client",
                "clients",
                f"there is no client node named {name}",
                remedy=f"Use one of: {', '.join(inventory.clients)}.",
            )


def unusable_secret(resource: Resource[Spec], field: SpecField, value: SecretText | None) -> Iterator[Diagnostic]:
    """The problem of a secret that cannot be sent. Names its reference, never its value."""
    if value is None or field.secret_form is None or field.secret_form.fits(value.reveal()):
        return
    yield resource.problem(
        "unsafe-secret",
        field.path,
        f"{field.path}: the value of {field.read(resource.spec)} cannot be used",
        detail=f"Expected: {field.secret_form.words}.",
        remedy=field.secret_form.remedy,
    )


class Inventory(Struct, frozen=True, eq=False, dict=True):
    """All resources of a run by address, with the names that identities are derived from.

    `uid` (32 hex) keys the task ids of VMs; `image_client` is the client node that all calls about image servers go to,
    for their ids are its own.
    """

    project: str
    uid: str
    stack: str
    resources: Mapping[str, Resource[Spec]]
    clients: tuple[str, ...] = ()
    image_client: str = ""
    moves: tuple[tuple[str, str], ...] = ()
    """Moves of the project file: (from, to)."""
    own_ports: frozenset[int] = frozenset()
    """Ports of the project's nodes, which may run on the host of a VM."""
    known: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """State of addresses that do not change: `id` and resolved values, such as a snapshot's `file`."""

    bound: Mapping[str, str] = field(default_factory=dict)
    """Ids of the objects that addresses have, those that will be replaced included."""

    @cached_property
    def desired(self) -> dict[str, tuple[Resource[Any], dict[str, Json]]]:
        """Desired fields by address, with the resource that they are of: see `Kind.desired`, which fills it."""
        return {}

    @cached_property
    def bases(self) -> Mapping[str, str]:
        """Root images of files that are known from the state, by file name."""
        kept = self.known.values()
        return {str(k["file"]): str(k["base"]) for k in kept if k.get("file") and k.get("base")}

    def names(self, address: str) -> tuple[str, ...]:
        """An address, and all that it has been moved from or to."""
        found = [address]
        for name in found:
            found += [other for other in self._moved.get(name, ()) if other not in found]
        return tuple(found)

    def refusal(
        self, address: str, code: str, path: str, summary: str, detail: str, remedy: str,
        severity: Severity = Severity.ERROR, exit_code: ExitCode = ExitCode.REFUSED,
    ) -> Diagnostic:  # fmt: skip
        """A diagnostic at a field of a resource, which may have no manifest any more."""
        resource = self.resources.get(address)
        source = None if resource is None else resource.where(path) or resource.where("")
        return Diagnostic(code, severity, summary, detail, remedy, source, (), address or None, exit_code)

    def find(self, kind: str, name: str) -> Resource[Spec] | None:
        return self.resources.get(Address.of(kind, name))

    def known_of(self, kind: str, name: str | None) -> Mapping[str, Json]:
        """Known values of a resource; empty without a name, or if the state has none."""
        return self.known.get(Address.of(kind, name), {}) if name else {}

    def of(self, kind: str) -> Sequence[Resource[Spec]]:
        """The resources of a kind."""
        return self._by_kind.get(kind, ())

    def having(self, kind: str, key: Key, value: Hashable) -> Sequence[Resource[Spec]]:
        """The resources of a kind whose key has this value, by address. `key`: a function of a module; its index is
        kept."""
        index = self._indexes.get((kind, key))
        if index is None:
            index = self._indexes[kind, key] = defaultdict(list)
            for resource in sorted(self.of(kind), key=lambda r: r.address):
                index[key(resource, self)].append(resource)
        return index.get(value, ())

    def before(self, resource: Resource[Any], key: Key) -> Sequence[Resource[Spec]]:
        """The resources of its kind with the same key as a resource, and an earlier address."""
        alike = self.having(resource.kind, key, key(resource, self))
        return alike[: bisect_left(alike, resource.address, key=lambda r: r.address)]

    @cached_property
    def _moved(self) -> Mapping[str, list[str]]:
        """Addresses before and after, by each address of a move."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for before, now in self.moves:
            found[before].append(now)
            found[now].append(before)
        return found

    @cached_property
    def _by_kind(self) -> Mapping[str, list[Resource[Spec]]]:
        found: defaultdict[str, list[Resource[Spec]]] = defaultdict(list)
        for resource in self.resources.values():
            found[resource.kind].append(resource)
        return found

    @cached_property
    def _indexes(self) -> dict[tuple[str, Key], defaultdict[Hashable, list[Resource[Spec]]]]:
        return {}


Key = Callable[[Resource[Any], Inventory], Hashable]
"""Value that identifies a resource among others of its kind."""
