"""Bare-metal manager: a process that owns servers, queries their BMCs and knows their DeepLink programs.

`manager.ManagerProcess` receives requests; `servers` is its database, `power` ipmitool with the BMCs, `deeplink` the
connected programs. Replies are concatenated texts without escaping.
"""
