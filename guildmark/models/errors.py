"""What can go wrong with a model or data set.

GuildmarkError
└── ModelError
    ├── ModelRefused      the file says something that we do not load: `model.*` or `dataset.*`
    └── ConfinedRunFailed the child did not end as it should: `confined.timeout`, `.output`, `.killed`, `.failed`
"""

from __future__ import annotations

from guildmark.errors import GuildmarkError


class ModelError(GuildmarkError):
    pass


class ModelRefused(ModelError):
    pass


class ConfinedRunFailed(ModelError):
    def __init__(self, code: str, message: str, stderr: str = "") -> None:
        super().__init__(code, message)
        self.stderr = stderr
        """The end of what the child wrote on stderr."""
