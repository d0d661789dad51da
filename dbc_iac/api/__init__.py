"""The DBC HTTP API as a client sees it: transport, identities, one callable an endpoint, and what became of each call.

Knows nothing of manifests, kinds, plans and state. Read in this order: `outcome` (the four ends of a call), `refusals`
(what a text means), `fields` and `wire` (what is sent), `reading` and `storage` (what is read), `channel` (the way to a
target), `endpoints`.

    async with Connections([ClientNode("default", "http://127.0.0.1:5050")], SessionStore(), uuid4) as connections:
        node = Channel(connections, "58fb61...", WalletCredentials(key), ["default"], rent_order="112")
        outcome = await vms.list_vms(node)
"""
