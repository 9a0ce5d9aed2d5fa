"""Certificates: one file that shows what was in the state at a height, to anyone who knows the genesis hash.

`format` is the file, `subjects` what a file can be about, `export` makes one from a chain, `verification` checks one
with nothing but the genesis hash. docs/spec/certificates.md is the specification.
"""
