"""`python -P -m node`: see `node.commands`."""

from __future__ import annotations

import sys

from node.commands import main

sys.exit(main(sys.argv[1:]))
