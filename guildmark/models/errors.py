"""What can go wrong with a model or data set.

GuildmarkError
└── ModelError
    ├── ModelRefused      the file says something that we do not load: `model.*` or `dataset.*`
    └── ConfinedRunFailed the child did not end as it should: it was stopped (`confined.timeout`, `.output`, `.disk`,
                          `.memory`, `.processes`), or ended otherwise (`.killed`, `.failed`)
"""

from __future__ import annotations

from typing import Final

from guildmark.errors import GuildmarkError

INSTALL: Final = "in a clone, `make demo` installs TensorFlow, or `pip install '.[tensorflow]'`"
"""What to do where TensorFlow or what comes with it is missing."""
MESSAGE_CHARACTERS_MAX: Final = 1_000
"""Of a message; the rest is cut off."""


class ModelError(GuildmarkError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, printable(message))


class ModelRefused(ModelError):
    pass


class ConfinedRunFailed(ModelError):
    def __init__(self, code: str, message: str, stderr: str = "") -> None:
        super().__init__(code, message)
        self.stderr = stderr
        """The end of what the child wrote on stderr."""


def printable(text: str) -> str:
    """Return what a stranger's file says as one line of bounded length that moves no terminal: a name of a layer may
    hold escape sequences."""
    line = " ".join(text[: 2 * MESSAGE_CHARACTERS_MAX].split())
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
    return shown if len(shown) <= MESSAGE_CHARACTERS_MAX else shown[: MESSAGE_CHARACTERS_MAX - 4] + " ..."
