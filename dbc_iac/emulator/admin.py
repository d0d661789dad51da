"""Admin API: inspects the world, changes it outside of the node API, and injects faults.

Each action is a POST with a JSON object, and so is its reply. Invalid requests get 400 with the problem.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from dbc_iac.emulator.bare_metal.power import Bmc
from dbc_iac.emulator.gpu.spec import GuestSpec
from dbc_iac.emulator.gpu.states import DomainState
from dbc_iac.emulator.gpu_process import GpuProcess
from dbc_iac.emulator.network import Network
from dbc_iac.emulator.world import FaultSpec, MachineSpec, OrderSpec

_GPU_ACTIONS = (
    "set_domain",
    "power_off",
    "remove_domain",
    "remove_vm",
    "change_vm",
    "set_guest",
    "set_image_guest",
    "grow_disk",
    "occupy",
    "occupy_gpus",
    "add_unknown_domain",
    "set_gpus",
    "remove_address",
    "set_passthrough",
    "put_file",
    "remove_file",
    "break_network_scripts",
    "prune_now",
)
_ORDERS = TypeAdapter(dict[str, OrderSpec])
_MACHINES = TypeAdapter(dict[str, MachineSpec] | None)


class AdminError(ValueError):
    """Problem of an admin request."""


class Admin:
    """All actions on a network, by path."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._actions: Mapping[str, Callable[[Mapping[str, Any]], Awaitable[Any]]] = {
            "/faults": self._add_fault,
            "/faults/clear": self._clear_faults,
            "/chain": self._set_chain,
            "/node": self._process,
            "/client": self._client,
            "/vm": self._tamper,
            "/bmc": self._bmc,
            "/image-server": self._image_server,
            "/deeplink": self._deeplink,
            "/wait": self._wait,
        }

    async def look(self, path: str) -> dict[str, Any]:
        """Look up a path. Raises KeyError."""
        network = self._network
        network.begin()
        if path == "/truth":
            return network.truth()
        if path == "/faults":
            return {"faults": [fault.model_dump(by_alias=True) for fault in network.faults.all()]}
        if path == "/state":
            return network.to_state()
        if path == "/":
            return {"get": ["/truth", "/faults", "/state"], "post": sorted(self._actions)}
        raise KeyError(path)

    async def act(self, path: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """Run an action. Raises KeyError for an unknown path, AdminError for invalid values."""
        action = self._actions[path]
        self._network.begin()
        try:
            result = await action(values)
        except KeyError as error:
            raise AdminError(f"there is no {error.args[0]}") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise AdminError(f"{'.'.join(str(p) for p in first['loc'])}: {first['msg']}") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise AdminError(str(error)) from None
        return result if isinstance(result, dict) else {}

    async def _add_fault(self, values: Mapping[str, Any]) -> None:
        """Add a fault, as in the world file."""
        self._network.faults.add(FaultSpec.model_validate(dict(values)))

    async def _clear_faults(self, values: Mapping[str, Any]) -> None:
        self._network.faults.clear()

    async def _set_chain(self, values: Mapping[str, Any]) -> None:
        """Replace `orders` and `machines`, as in the world file; set `reachable`."""
        chain = self._network.chain
        if "orders" in values or "machines" in values:
            orders = _ORDERS.validate_python(values.get("orders", {}))
            chain.set(orders, _MACHINES.validate_python(values.get("machines")), self._network.wallets)
        chain.reachable = bool(values.get("reachable", chain.reachable))

    async def _process(self, values: Mapping[str, Any]) -> None:
        """`id` of a GPU node or manager; `do`: restart, stop, die, freeze, maintenance, busy (`seconds`)."""
        process, verb = self._network.process(str(values.get("id"))), values.get("do")
        if verb in {"restart", "stop", "die"}:
            getattr(process, str(verb))()
        elif isinstance(process, GpuProcess):
            if verb != "freeze":
                raise AdminError("a GPU node can restart, stop, die or freeze")
            process.freeze(float(values.get("seconds", 33)))
        elif verb == "maintenance":
            await process.do_round()
        elif verb == "busy":
            await process.be_busy(float(values.get("seconds", 60)))
        else:
            raise AdminError("a manager can restart, stop, die, be busy, or do its maintenance")

    async def _client(self, values: Mapping[str, Any]) -> None:
        """`name` of a client node; `do`: restart, die, leak (`slots`)."""
        client, verb = self._network.clients[str(values.get("name"))], values.get("do")
        if verb == "leak":
            client.leak(int(values.get("slots", 1)))
        elif verb in {"restart", "die"}:
            getattr(client, str(verb))()
        else:
            raise AdminError("a client node can restart, die, or leak slots")

    async def _tamper(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`id` of a GPU node, `do`: an action of `GpuAdmin`, `with`: its arguments by name."""
        verb, given = str(values.get("do")), dict(values.get("with", {}))
        process = self._network.nodes[str(values.get("id"))]
        if verb not in _GPU_ACTIONS:
            raise AdminError(f"do: one of {', '.join(_GPU_ACTIONS)}")
        if verb == "set_domain":
            given["state"] = DomainState(str(given.get("state")))
        if verb in {"set_guest", "set_image_guest"}:
            given["guest"] = GuestSpec.model_validate(given.get("guest", {}))
        result = getattr(process.admin, verb)(**given)
        if inspect.isawaitable(result):
            result = await result
        return {"result": result} if result is not None else {}

    async def _bmc(self, values: Mapping[str, Any]) -> None:
        """`host` and `port` of a BMC; `power`, `reachable`, `failure`, `seconds`, `user`, `password`."""
        port = int(values.get("port", 623))
        bmc = self._network.bmcs.find(str(values.get("host")), port)
        if bmc is None:
            raise AdminError(f"there is no BMC at {values.get('host')}:{port}")
        for key, value in values.items():
            if key not in Bmc.__struct_fields__:
                raise AdminError(f"a BMC has no {key}")
            setattr(bmc, key, value)

    async def _image_server(self, values: Mapping[str, Any]) -> None:
        """`id` of an image server; `reachable`, `fail_seconds`, `remove`: a file."""
        image_server = self._network.image_servers.image_servers[str(values.get("id"))]
        image_server.reachable = bool(values.get("reachable", image_server.reachable))
        image_server.fail_seconds = float(values.get("fail_seconds", image_server.fail_seconds))
        if "remove" in values:
            del image_server.files[str(values["remove"])]

    async def _deeplink(self, values: Mapping[str, Any]) -> None:
        """Connect the program at `ip` with `device_id` and `device_password`, or disconnect it without them."""
        links, ip = self._network.deeplinks, str(values.get("ip"))
        if "device_id" in values:
            links.connect(ip, str(values["device_id"]), str(values.get("device_password", "")))
        else:
            links.disconnect(ip)

    async def _wait(self, values: Mapping[str, Any]) -> None:
        """Reply after `seconds` (emulated)."""
        await self._network.clock.sleep(float(values.get("seconds", 1)))
