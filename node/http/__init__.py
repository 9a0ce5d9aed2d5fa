"""The HTTP API of a node: one typed route table, one file a resource, and limits around all of it.

Nothing here decides anything about the chain: handlers check what a client sent, ask the node through the ports in
`services.py`, and write the answer. Every error is a problem document (RFC 9457) with a stable code.
"""
