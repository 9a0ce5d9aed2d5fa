"""Models and data sets as this package handles them: provenance, confined training and evaluation.

Nothing here imports TensorFlow into the calling process; what needs it runs in a confined child (`sandbox`).
"""
