"""The ground every other room stands on: keys, digests, encoding, names, quorum arithmetic.

Nothing here imports another room, reads a clock, touches a file or keeps state. Whatever enters this room must be
needed by at least two others and be small enough to read in one sitting; everything else belongs to its consumer.
"""
