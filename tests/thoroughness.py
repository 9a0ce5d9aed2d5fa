"""How much the tests that sample try: as much as every run can afford, or a multiple of it.

`make thorough` multiplies the seeds and examples of these tests; `THOROUGH=25 make thorough` says by how much.
"""

from __future__ import annotations

import os
from typing import Final

FACTOR: Final = int(os.environ.get("THOROUGH", "1"))


def tries(number: int) -> int:
    """How many seeds, cases or examples a test tries that tries `number` of them in every run."""
    return number * FACTOR
