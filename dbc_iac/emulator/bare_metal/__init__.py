"""The bare-metal manager: a process that owns servers, asks their BMCs, and knows their DeepLink programs.

`manager.ManagerProcess` is what a request reaches; `servers` is its database, `power` ipmitool and the BMCs behind it,
`deeplink` the programs that are connected. Everything that is told is pasted together, unescaped.
"""
