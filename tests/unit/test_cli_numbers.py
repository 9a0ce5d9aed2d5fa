"""Numbers on the command line: who writes another is told what is counted, and what to write."""

from __future__ import annotations

import pytest
import rich_click as click
from modules_kit import cid

from guildmark.cli import main
from guildmark.cli.main import COMMANDS, root
from guildmark.cli.numbers import INTEGER_MAX, PPM, PRICE, UNITS, Whole, bps
from ledger.modules.fields import AMOUNT_MAX

ASSET = "ab" * 32
CID = cid("evidence")


def refusal(kind: Whole, text: str) -> str:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    return caught.value.message


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("007", 7), (str(INTEGER_MAX), INTEGER_MAX)])
def test_a_whole_number_is_read(text: str, number: int) -> None:
    assert UNITS.convert(text, None, None) == number


def test_amounts_go_as_far_as_the_ledgers() -> None:
    assert INTEGER_MAX == AMOUNT_MAX
    assert refusal(UNITS, "9" * 19) == f"{'9' * 19}: at most {AMOUNT_MAX} minor units"


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (UNITS, "1.5", "'1.5': write a whole number of minor units"),
        (UNITS, "1.000", "'1.000': write a whole number of minor units"),
        (UNITS, "1,5", "'1,5': write a whole number of minor units"),
        (UNITS, "1,000", "'1,000': write a whole number of minor units in digits alone, 1000"),
        (UNITS, "1_000_000", "'1_000_000': write a whole number of minor units in digits alone, 1000000"),
        (UNITS, "", "'': write a whole number of minor units"),
        (UNITS, " 5", "' 5': write a whole number of minor units"),
        (UNITS, "\u0661", "'\u0661': write a whole number of minor units"),
        (UNITS, "9" * 5_000, f"'{'9' * 40}': write a whole number of minor units"),
        (UNITS, str(2**64), f"{2**64}: at most {AMOUNT_MAX} minor units"),
        (UNITS, "0", "0: at least 1 minor units"),
        (PRICE, "-5", "-5: at least 0 minor units"),
        (PPM, "0.9", "'0.9': write a whole number of parts per million, 900000 for 0.9"),
        (PPM, "1.0", "'1.0': write a whole number of parts per million, 1000000 for 1.0"),
        (PPM, "1.5", "'1.5': write a whole number of parts per million"),
        (PPM, "0.00000001", "'0.00000001': write a whole number of parts per million"),
        (PPM, "1000001", "1000001: at most 1000000 parts per million"),
        (
            bps(0, 5_000),
            "0.025",
            "'0.025': write a whole number of ten-thousandths, of which 100 are one percent, 250 for 0.025",
        ),
        (Whole(1, 64), "four", "'four': write a whole number"),
        (Whole(1, 64), "65", "65: at most 64"),
    ],
)
def test_anything_else_is_told_the_unit_and_what_to_write(kind: Whole, text: str, message: str) -> None:
    assert refusal(kind, text) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("license", "offer", ASSET, "--price", "1.5"), "--price': '1.5': write a whole number of minor units"),
        (("attestation", "review", ASSET, "--rating-ppm", "0.9"), "900000 for 0.9"),
        (("bounty", "open", ASSET, "5", "--hours", "1.5"), "--hours': '1.5': write a whole number of hours"),
        (("market", "offer", "--share", f"{ASSET}:2.5", "--price", "1"), "--share ASSET:BPS: '2.5': write a whole"),
        (("market", "offer", "--share", ASSET, "--price", "1"), "--share: write ASSET:BPS"),
        (("governance", "propose", "parameters", "fee_bps=1.5"), "fee_bps: '1.5': write a whole number"),
        (("network", "init", "n", "--open-account", "a=alder:1_000"), "--open-account a: '1_000': write a whole"),
        (
            ("dispute", "file", "--version", ASSET, "--relief", "refund", "--evidence", CID),
            "--version: write ASSET:VERSION",
        ),
    ],
)
def test_commands_say_which_argument_it_is(
    arguments: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run([*arguments, "--json"]) == 2
    assert message in capsys.readouterr().err


def commands(group: click.Group, context: click.Context) -> list[click.Command]:
    """All commands below a group."""
    found: list[click.Command] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found += commands(command, context) if isinstance(command, click.Group) else [command]
    return found


def test_every_range_on_the_command_line_says_what_it_counts() -> None:
    context = click.Context(root)
    every = commands(root, context)
    assert len(every) > len(COMMANDS)
    plain = {
        f"{command.name} {parameter.name}"
        for command in every
        for parameter in command.params
        if isinstance(parameter.type, click.IntRange) and not isinstance(parameter.type, Whole)
    }
    assert plain == set()
