"""What the operations mean, one folder a domain.

The domains know one another (a registration checks a grant, a grant pays an asset's pool), their files only in one
direction. Whichever of them is asked for first, they are loaded in this order, so that each file finds complete what
it imports.
"""

from ledger.modules import assets as _first

__all__: list[str] = []
del _first
