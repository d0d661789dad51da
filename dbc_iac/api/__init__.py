"""Client of the DBC HTTP API: transport, credentials, one callable an endpoint, and the outcome of each call.

Knows nothing of manifests, kinds, plans and state. Read in this order: `outcome` (the four outcomes of a call),
`refusals` (meaning of refusal texts), `wire_types` and `requests` (request bodies), `responses` and `storage_responses`
(replies), `channel` (requests to one target), `endpoints`.

    client = ClientNode("default", "http://127.0.0.1:5050")
    async with Connections({client.name: client}, SessionStore(), uuid4) as connections:
        node = Channel(connections, "58fb61...", WalletCredentials(key), ["default"], rent_order="112")
        outcome = await vms.list_vms(node)
"""
