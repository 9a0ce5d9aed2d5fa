"""Numbers on the command line: whole ones that say what they count, and decimals that are kept in millionths."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import rich_click as click

INTEGER_MAX: Final = 2**63 - 1
"""What the ledger's amounts go up to (`ledger.modules.fields.AMOUNT_MAX`, which a command that only helps must not
import), and nothing on the command line beyond."""
_DIGITS: Final = re.compile(r"-?[0-9]{1,40}")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[,_' ][0-9]{3}){1,6}")
"""1,000 and 1_000; but 1,5 is a decimal to many."""
_DECIMAL: Final = re.compile(r"[0-9]{1,19}\.[0-9]{1,19}")


class Whole(click.IntRange):
    """An integer from `least` on, up to `most` where there is a limit, of what `unit` names.

    Of a fraction that is written in parts, `parts` of these are one: who writes the decimal is told the parts.
    """

    name = "integer"

    def __init__(self, least: int, most: int | None = None, unit: str = "", *, parts: int | None = None) -> None:
        super().__init__(least, most)
        self.least = least
        self.most = INTEGER_MAX if most is None else most
        self.unit = unit
        self.parts = parts

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number. Raises a usage error that says how to write it."""
        if isinstance(value, str) and _DIGITS.fullmatch(value) is None:
            self.fail(f"{value[:40]!r}: {self._advice(value)}", param, ctx)
        number = int(value)
        if not self.least <= number <= self.most:
            unit = self.unit and f" {self.unit}"
            limits = f"at least {self.least}" if number < self.least else f"at most {self.most}"
            self.fail(f"{number}: {limits}{unit}", param, ctx)
        return number

    def read(self, what: str, text: str) -> int:
        """Return the number that is a part of the argument `what`. Raises a usage error that names it."""
        try:
            return self.convert(text, None, None)
        except click.BadParameter as error:
            raise click.UsageError(f"{what}: {error.message}") from error

    def _advice(self, text: str) -> str:
        advice = "write a whole number" + (f" of {self.unit}" if self.unit else "")
        if _GROUPED.fullmatch(text) is not None:
            return f"{advice} in digits alone, {re.sub('[^0-9]', '', text)}"
        if self.parts is not None and _DECIMAL.fullmatch(text) is not None:
            meant = Decimal(text) * self.parts
            if meant == meant.to_integral_value() and self.least <= meant <= self.most:
                return f"{advice}, {int(meant)} for {text}"
        return advice


UNITS: Final = Whole(1, unit="minor units")
PRICE: Final = Whole(0, unit="minor units")
PPM: Final = Whole(0, 1_000_000, "parts per million", parts=1_000_000)
VERSION: Final = Whole(1, 2**32 - 1)


def bps(least: int, most: int) -> Whole:
    """Ten-thousandths of something."""
    return Whole(least, most, "ten-thousandths, of which 100 are one percent", parts=10_000)


def millionths(what: str, text: str) -> int:
    """Read a decimal number as parts per million. Raises a usage error that names the option `what`."""
    try:
        return int((Decimal(text) * 1_000_000).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise click.UsageError(f"{what}: not a number: {text!r}") from error
