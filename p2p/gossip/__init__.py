"""Gossip between registered nodes: who is whose neighbor, and how a payload reaches everybody once.

A pure core like consensus: event in, effects out; time and chance are arguments. What a payload means is the host's to
know: the core asks it to verify each one before it goes on. Spec: docs/spec/gossip.md.
"""
