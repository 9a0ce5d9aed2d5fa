"""`python -m benchmarks.generator DIRECTORY`: carry out the plan in a directory."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.generator.process import main

if __name__ == "__main__":
    main(Path(sys.argv[1]))
