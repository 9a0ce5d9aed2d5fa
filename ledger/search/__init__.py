"""Search over assets: an SQLite database beside the chain that holds nothing which the state does not say.

`index` follows the chain and is its only writer; `reader` answers from a snapshot that names its height. What is
derived from which records stands in `sources`.
"""
