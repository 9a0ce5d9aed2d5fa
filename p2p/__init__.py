"""TLS links between registered nodes: who is connected, frames, bounded queues, and whom to ask for what.

A payload is opaque bytes on a channel; what it means is decided elsewhere. No task is born here: the node hands in
`spawn`. `docs/spec/network.md` is the written form of what this room puts on the wire.
"""
