"""A rented bare-metal server: `/bare_metal/power`, `/bare_metal/bootdev`, `/deeplink`. The target is the server."""

from __future__ import annotations

from functools import partial
from typing import Literal

from dbc_iac.api.endpoints import Call, acknowledged, endpoint
from dbc_iac.api.idempotency import CallClass
from dbc_iac.api.outcome import Done, Outcome, Refused, decoded
from dbc_iac.api.requests import DeeplinkPassword
from dbc_iac.api.responses import read
from dbc_iac.api.storage_responses import DeeplinkView, InstanceView, power_state

BootDevice = Literal["none", "pxe", "disk", "cdrom", "bios"]

# A failure may come with errcode 0, as the text of the tool that failed: only these texts are success. `ok` is that
# of managers with another power back end than ipmitool.
_ON = ("Chassis Power Control: Up/On", "ok")
_OFF = ("Chassis Power Control: Down/Off", "ok")
_RESET = ("Chassis Power Control: Reset",)


@endpoint("/bare_metal", CallClass.READ)
async def instance(call: Call) -> Outcome[InstanceView]:
    """The server as its renter sees it."""
    return decoded(await call(), partial(read, InstanceView))


@endpoint("/bare_metal/power", CallClass.READ)
async def power_status(call: Call) -> Outcome[Literal["on", "off"]]:
    """Power status as the BMC reports it. Unknown for any other text, since failures have errcode 0 too."""
    return decoded(await call({"command": "status"}), power_state)


@endpoint("/bare_metal/power", CallClass.STATE_CONDITIONED)
async def power_on(call: Call) -> Outcome[None]:
    """Acknowledged by the BMC; ask for the status to know."""
    return acknowledged(await call({"command": "on"}), _ON)


@endpoint("/bare_metal/power", CallClass.STATE_CONDITIONED)
async def power_off(call: Call) -> Outcome[None]:
    """Hard: the system is not notified."""
    return acknowledged(await call({"command": "off"}), _OFF)


@endpoint("/bare_metal/power", CallClass.BLIND)
async def power_reset(call: Call) -> Outcome[None]:
    """Press the reset button. Whether it was pressed cannot be observed."""
    return acknowledged(await call({"command": "reset"}), _RESET)


@endpoint("/bare_metal/bootdev", CallClass.IDEMPOTENT)
async def set_boot_device(call: Call, device: BootDevice) -> Outcome[None]:
    """The device of the next boot only. The node drops the result and always answers with one and the same error."""
    outcome = await call({"device": device})
    if isinstance(outcome, Refused) and outcome.message == "bare metal client not existed":
        return Done(None)
    return acknowledged(outcome, ())


@endpoint("/deeplink", CallClass.READ)
async def deeplink(call: Call) -> Outcome[DeeplinkView]:
    """The last report of the DeepLink program on the server. Refused (STATE) while it is not connected."""
    return decoded(await call(), partial(read, DeeplinkView))


@endpoint("/deeplink/set", CallClass.IDEMPOTENT)
async def set_deeplink_password(call: Call, body: DeeplinkPassword) -> Outcome[None]:
    """Passed on to the DeepLink program; the old password is shown until it reports back."""
    return acknowledged(await call(body))
