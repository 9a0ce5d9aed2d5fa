"""Times, spans and whole numbers as XML Schema writes them, exactly and without floats."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

DAY_MS: Final = 86_400_000
_CYCLE_YEARS: Final = 400
_CYCLE_MS: Final = 146_097 * DAY_MS
"""The Gregorian calendar repeats itself, to the day, after this: so years beyond 9999 need no calendar of our own."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DIGITS_MAX: Final = 20
"""Of one number; the largest amount has 19."""

_DATE: Final = re.compile(
    r"([0-9]{4,7})-([0-9]{2})-([0-9]{2})(?:T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,3}))?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})"
)
_DURATION: Final = re.compile(
    r"P(?=.)(?:([0-9]{1,20})D)?"
    r"(?:T(?=.)(?:([0-9]{1,20})H)?(?:([0-9]{1,20})M)?(?:([0-9]{1,20})(?:\.([0-9]{1,3}))?S)?)?"
)
_WHOLE: Final = re.compile(r"0|[1-9][0-9]{0,19}")


def date_time(ms: int) -> str:
    """Write Unix milliseconds (not negative) as an xsd:dateTime in UTC."""
    cycles, rest = divmod(ms, _CYCLE_MS)
    moment = _EPOCH + timedelta(milliseconds=rest)
    return f"{moment.year + cycles * _CYCLE_YEARS:04d}{moment:-%m-%dT%H:%M:%S}.{moment.microsecond // 1_000:03d}Z"


def read_date_time(text: str) -> int | None:
    """Return the Unix milliseconds of an xsd:dateTime, or of the first moment of an xsd:date, with a time zone.

    None where it is neither, has no time zone, is finer than a millisecond or lies before 1970.
    """
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    cycles, of_cycle = divmod(year - _EPOCH.year, _CYCLE_YEARS)
    try:
        moment = datetime(_EPOCH.year + of_cycle, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    offset_minutes = _offset_minutes(found[8])
    if offset_minutes is None:
        return None
    ms = cycles * _CYCLE_MS + (moment - _EPOCH) // timedelta(milliseconds=1) + int((found[7] or "").ljust(3, "0"))
    ms -= offset_minutes * 60_000
    return ms if ms >= 0 else None


def _offset_minutes(zone: str) -> int | None:
    if zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if zone[0] == "-" else 1)


def duration(ms: int) -> str:
    """Write milliseconds as an xsd:duration of days, hours, minutes and seconds."""
    days, rest = divmod(ms, DAY_MS)
    hours, rest = divmod(rest, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, fraction = divmod(rest, 1_000)
    exact = f"{seconds}.{fraction:03d}S" if fraction else f"{seconds}S" if seconds else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "") + exact
    if not clock:
        return f"P{days}D" if days else "PT0S"
    return (f"P{days}DT" if days else "PT") + clock


def read_duration(text: str) -> int | None:
    """Return an xsd:duration in milliseconds; None where it is none, negative, finer than a millisecond, or in years
    or months, which have no fixed length."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[:4])
    fraction = int((found[5] or "").ljust(3, "0"))
    return days * DAY_MS + hours * 3_600_000 + minutes * 60_000 + seconds * 1_000 + fraction


def read_whole(text: str) -> int | None:
    """Return a whole number that is not negative and in its shortest spelling."""
    return int(text) if _WHOLE.fullmatch(text) else None
