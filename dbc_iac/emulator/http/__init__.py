"""HTTP interface of a node: routing, validation of bodies, local answers, and relaying to other nodes.

`node.HttpNode` is one port: of a client node, a GPU node or a manager. On a real port, `listener` accepts connections
and `evhttp` parses and writes HTTP as the node's library does. Order within a request: `routes`, `envelope`, `local`
(answered here) or `relay` (answered elsewhere). `in_process` is a port as an httpx transport.
"""
