"""The HTTP face of a node: routing, checks of the body, what it answers itself, and passing on to others.

`node.HttpNode` is one port, of a client node, a GPU node or a manager. On a real port `listener` accepts connections,
and `evhttp` reads and writes HTTP as the node's library does. The order of a request: `routes`, `envelope`, `local`
(answered here) or `relay` (answered elsewhere). `in_process` is a port as an httpx transport, `asgi` as an ASGI app.
"""
