"""The judge is judged: deliberate mistakes in the protocol, each of which some run must catch.

`registry` lists the mutants, `patching` puts one in place for a while, `detect` counts the seeds until it is caught,
and `python -m simulation.mutants` runs them all. Nothing here is ever active outside a test or that program.
"""
