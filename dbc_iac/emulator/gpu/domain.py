"""libvirt on the host: domains, their states, and durations of starting and destroying.

A domain is named by its VM's id. Queries about a domain wait while it is being started or destroyed: a request sent
right after a shutdown may see the later state. Independent of records and statuses.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterable

from msgspec import Struct, field

from dbc_iac.emulator.gpu.files import HostFiles
from dbc_iac.emulator.gpu.spec import GpuNodeSpec, GuestSpec
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu.timing import Clock


class LibvirtError(Exception):
    """Refusal by libvirt, with its text."""


class Definition(Struct, frozen=True):
    """XML of a domain. `disks`: file by device name; `network`: LAN by name; memory in KiB."""

    sockets: int
    cores: int
    threads: int
    memory: int
    vnc_port: int
    vnc_password: str
    gpus: tuple[str, ...]
    disks: dict[str, str]
    network: str
    image: str
    is_pxe: bool

    @property
    def cpus(self) -> int:
        return self.sockets * self.cores * self.threads


class Domain(Struct):
    """A domain. `definition`: for the next start; `live`: running; `address_at`: time when its address is known."""

    name: str
    definition: Definition
    mac: str
    guest: GuestSpec
    state: DomainState = DomainState.SHUTOFF
    live: Definition | None = None
    address: str = ""
    address_at: float | None = None
    has_lease: bool = False
    survives_destroy: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_active(self) -> bool:
        return self.state is not DomainState.SHUTOFF

    def notify(self) -> None:
        """Wake waiters for changes of the domain."""
        self.changed.set()
        self.changed = asyncio.Event()


class _Pending(Struct):
    """Current operation of libvirt; it completes even if the daemon dies."""

    domain: Domain
    outcome: DomainState
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Hypervisor:
    """All domains of a host, unknown ones included."""

    def __init__(self, spec: GpuNodeSpec, files: HostFiles, clock: Clock, source: random.Random) -> None:
        self.domains: dict[str, Domain] = {}
        self._lost_until = 0.0
        self.bridges: set[str] = set()
        self.passthrough = spec.passthrough
        self.passthrough_error = spec.passthrough_error
        self._spec = spec
        self._files = files
        self._clock = clock
        self._random = source
        self._pending: dict[str, _Pending] = {}

    def state(self, name: str) -> DomainState:
        """State of a domain; `none` if it does not exist."""
        domain = self.find(name)
        return DomainState.NONE if domain is None else domain.state

    def exists(self, name: str) -> bool:
        return self.find(name) is not None

    def find(self, name: str) -> Domain | None:
        """The domain, if libvirt is connected."""
        return self.domains.get(name) if self.connected else None

    @property
    def connected(self) -> bool:
        """Whether the daemon has a connection to libvirt."""
        return self._clock.now() >= self._lost_until

    def lose(self, seconds: float = math.inf) -> None:
        """Disconnect the daemon for a time; if libvirtd died, until the daemon restarts."""
        self._lost_until = self._clock.now() + seconds

    def connect(self) -> None:
        """Reconnect: the daemon restarts."""
        self._lost_until = 0.0

    async def settled(self, names: Iterable[str]) -> None:
        """Wait while libvirt is busy with one of these domains."""
        if not self._pending:
            return
        for name in list(names):
            while (pending := self._pending.get(name)) is not None:
                await pending.done.wait()

    def free_memory(self) -> int:
        """Free KiB of the host. Only guests with a passed-through GPU pin their memory at once."""
        pinned = sum(d.live.memory for d in self.domains.values() if d.live is not None and d.live.gpus)
        return max(0, self.total_memory() - round(self._spec.memory_used * 1024**2) - pinned)

    def total_memory(self) -> int:
        """Total KiB."""
        host = self._spec.host_memory
        offered = self._spec.memory if host is None else host - (32 if host > 64 else 0)
        return round(offered * 1024**2)

    def define(self, name: str, definition: Definition, guest: GuestSpec) -> Domain:
        """Define or redefine a domain for its next start. Raises LibvirtError."""
        if not guest.defines:
            raise LibvirtError("unsupported configuration: the host cannot run this domain")
        for what, count in (("sockets", definition.sockets), ("cores", definition.cores)):
            if count == 0:
                raise LibvirtError(
                    f"XML error: Invalid value for attribute '{what}' in element 'topology': Zero is not permitted"
                )
        domain = self.domains.get(name)
        if domain is None:
            domain = Domain(name, definition, self._new_mac(), guest)
            self.domains[name] = domain
        domain.definition = definition
        return domain

    def undefine(self, name: str) -> None:
        domain = self.domains.pop(name, None)
        if domain is not None:
            domain.notify()

    async def start(self, domain: Domain) -> None:
        """Start a domain that is off, or resume a suspended one. Raises LibvirtError."""
        await self.settled([domain.name])
        durations = self._spec.durations
        if domain.state is DomainState.PMSUSPENDED:
            await self._busy(domain, DomainState.RUNNING, durations.wake)
        elif domain.state in {DomainState.SHUTOFF, DomainState.NONE}:
            problem = self._obstacle(domain)
            if problem:
                await self._clock.sleep(durations.start_failure)
                raise LibvirtError(problem)
            await self._busy(domain, DomainState.RUNNING, durations.start)

    async def destroy(self, domain: Domain) -> None:
        """Hard power-off."""
        await self.settled([domain.name])
        if domain.state is not DomainState.SHUTOFF:
            await self._busy(domain, DomainState.SHUTOFF, self._spec.durations.stop)

    def set_state(self, domain: Domain, state: DomainState) -> None:
        """Set a domain's state at once, as libvirt, the guest or an administrator could."""
        starts = state is DomainState.RUNNING and domain.live is None
        domain.state = state
        if state is DomainState.SHUTOFF:
            domain.live = None
            domain.address_at = None
        elif domain.live is None and state is not DomainState.CRASHED:  # it never ran: nothing to release
            domain.live = domain.definition
        if starts:
            domain.address_at = self._clock.now() + domain.guest.boot_seconds if domain.guest.dhcp else None
        domain.notify()

    def finish_pending(self) -> None:
        """The daemon has died; libvirt completes alone."""
        for pending in list(self._pending.values()):
            self._finish(pending)

    def has_address(self, domain: Domain) -> bool:
        """Whether the host's DHCP server has a lease for the running guest."""
        if domain.state is DomainState.SHUTOFF or domain.live is None or domain.live.is_pxe:
            return False
        known = domain.has_lease or (domain.address_at is not None and domain.address_at <= self._clock.now() + 1e-6)
        if known and not domain.address:
            domain.address = f"192.168.122.{self._random.randint(2, 254)}"
        domain.has_lease = domain.has_lease or known
        return known

    async def _busy(self, domain: Domain, outcome: DomainState, seconds: float) -> None:
        pending = _Pending(domain, outcome)
        self._pending[domain.name] = pending
        await self._clock.sleep(seconds)
        if self._pending.get(domain.name) is pending:
            self._finish(pending)

    def _finish(self, pending: _Pending) -> None:
        del self._pending[pending.domain.name]
        self.set_state(pending.domain, pending.outcome)
        pending.done.set()

    def _obstacle(self, domain: Domain) -> str:
        """Reason for libvirt or QEMU to refuse the start; empty if there is none."""
        definition = domain.definition
        if not domain.guest.starts:
            return domain.guest.start_error
        if definition.gpus and not self.passthrough:
            return self.passthrough_error
        for other in self.domains.values():
            if other is domain or other.live is None:
                continue
            shared = sorted(set(definition.gpus) & set(other.live.gpus))
            if shared:
                return (
                    "Requested operation is not valid: PCI device "
                    f"0000:{shared[0]} is in use by driver QEMU, domain {other.name}"
                )
            if other.live.vnc_port == definition.vnc_port:
                return (
                    "internal error: process exited while connecting to monitor: qemu-system-x86_64: "
                    f"-vnc 0.0.0.0:{definition.vnc_port - 5900}: "
                    "Failed to find an available port: Address already in use"
                )
        return self._missing_file(definition) or self._missing_bridge(definition) or self._too_big(definition)

    def _missing_file(self, definition: Definition) -> str:
        for device, file in sorted(definition.disks.items()):
            missing = self._files.missing_base(file)
            if missing == file:
                return f"Cannot access storage file '{file}': No such file or directory"
            if missing:
                return (
                    f"Cannot access backing file '{missing}' of storage file '{file}' (as uid:64055, gid:108): "
                    f"No such file or directory (disk {device})"
                )
        return ""

    def _missing_bridge(self, definition: Definition) -> str:
        if definition.network and not definition.is_pxe and definition.network not in self.bridges:
            return f"Cannot get interface MTU on 'br{definition.network}': No such device"
        return ""

    def _too_big(self, definition: Definition) -> str:
        if definition.gpus and definition.memory > self.free_memory():
            return "internal error: qemu unexpectedly closed the monitor: cannot set up guest memory 'pc.ram'"
        return ""

    def _new_mac(self) -> str:
        return "52:54:00:" + ":".join(f"{self._random.randrange(256):02x}" for _ in range(3))
