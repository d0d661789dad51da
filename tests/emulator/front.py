"""An emulated network on a virtual clock, used through its ports, with short request helpers."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any

import sr25519

from dbc_iac.emulator import Network, WorldSpec
from dbc_iac.emulator.crypto import address, node_id_of
from dbc_iac.emulator.virtual_clock import close_loop, virtual_loop

SEED = "e5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"
OTHER_SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
NODE_ID = "58fb618aa482c41114eb3cfdaefd3ba183172da9e25251449d045043fbd37f45"
MANAGER_SEED = "4308b3d08b1d1b247051f7e6fffe3edacf316d0f133ab3d42a07a2089b493e55"
MANAGER_ID = node_id_of(MANAGER_SEED)
WALLET = address(bytes.fromhex(node_id_of(SEED)))
SERVER_KEY = "11" * 32
SERVER_ID = node_id_of(SERVER_KEY)
SERVER = {
    "uuid": "one",
    "ip": "198.51.100.1",
    "ipmiHostname": "192.168.0.1",
    "ipmiUsername": "admin",
    "ipmiPassword": "admin",
    "nodePrivateKey": SERVER_KEY,
}
WORLD: dict[str, Any] = {
    "gpuNodes": [{"id": NODE_ID, "name": "gpu-a"}],
    "wallets": [{"name": "tenant", "seed": SEED}],
    "orders": {"112": {"renter": "tenant", "machine": NODE_ID}},
}
BARE_METAL: dict[str, Any] = {
    "wallets": [{"name": "tenant", "seed": SEED}],
    "managers": [{"seed": MANAGER_SEED, "name": "rack", "servers": [SERVER]}],
    "machines": {SERVER_ID: {"renter": "tenant"}},
    "bmcs": [{"host": "192.168.0.1"}],
}


_NONCES = itertools.count()


class Front:
    """A network and the signatures of its tenants."""

    def __init__(self, world: dict[str, Any] | None = None) -> None:
        self.network = Network(WorldSpec.model_validate(WORLD if world is None else world))

    def signed(self, seed: str = SEED, wallet: str = WALLET) -> dict[str, str]:
        nonce = f"nonce-{next(_NONCES)}"
        return {"wallet": wallet, "nonce": nonce, "sign": signature(seed, nonce)}

    def body(self, target: str | None = NODE_ID, **more: Any) -> dict[str, Any]:
        return {"peer_nodes_list": [] if target is None else [target], "additional": {}, **more}

    def mine(self, target: str | None = NODE_ID, **additional: Any) -> dict[str, Any]:
        """Request of the tenant."""
        order = {"rent_order": "112"} if target == NODE_ID else {}
        return {**self.body(target), "additional": additional, **self.signed(), **order}

    def owners(self, target: str | None = MANAGER_ID, **additional: Any) -> dict[str, Any]:
        return {**self.body(target), "additional": additional, **self.signed(MANAGER_SEED, MANAGER_ID)}

    async def post(self, path: str, body: dict[str, Any], port: str = "default") -> tuple[int, Any]:
        """HTTP status, and errcode with message."""
        answer = await self.network.ask(port, "POST", f"/api/v1{path}", json.dumps(body).encode())
        value = json.loads(answer.body)
        return answer.status, (value["errcode"], value["message"])


def signature(seed: str, text: str) -> str:
    signed: bytes = sr25519.sign(sr25519.pair_from_seed(bytes.fromhex(seed)), text.encode())
    return signed.hex()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a virtual loop, for at most a day of emulated time."""
    loop = virtual_loop()
    try:
        loop.run_until_complete(asyncio.wait_for(test(), 86_400))
    finally:
        close_loop(loop)


async def passes(seconds: float) -> None:
    await asyncio.sleep(seconds)
