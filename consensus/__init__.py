"""Who decides the order: pure state machines, event in, effects out.

No asyncio, file, socket, clock, thread, logger or randomness lives here, and nothing here has heard of a transaction:
what is ordered are the digests of batches of opaque items.
"""
