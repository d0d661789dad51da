"""A pytest plugin for tests with the emulator: without pytest-asyncio, the plugin of looptime fails in each fixture."""

from __future__ import annotations

from typing import Any


def pytest_configure(config: Any) -> None:
    """Unregister the plugin of looptime, which only tests of pytest-asyncio use."""
    plugins = config.pluginmanager
    if not plugins.hasplugin("asyncio") and (plugin := plugins.getplugin("looptime_plugin")) is not None:
        plugins.unregister(plugin)
