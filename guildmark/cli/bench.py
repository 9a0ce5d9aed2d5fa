"""`guildmark bench`: measuring networks. Guide: docs/benchmarking.md."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from guildmark.cli.bench_analysis import ANALYSIS_COMMANDS
from guildmark.cli.numbers import Whole
from guildmark.cli.output import note
from guildmark.errors import InvalidArgument

if TYPE_CHECKING:
    from benchmarks.results.schema import Configuration, Result

NOT_VALID: Final = 1
"""Exit code of a run that was made and does not count."""
_SCALAR: Final = re.compile(r"\A-?\d+\Z")


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic in newer stubs only
    """Units a second, or `saturate`."""

    name = "R|saturate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        if value == "saturate":
            return "saturate"
        try:
            rate = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'saturate'", param, ctx)
        if not 0 < rate < float("inf"):
            self.fail("a rate is above 0", param, ctx)
        return rate


@click.group()
def bench() -> None:
    """Measure networks: run, sweep, compare, plot. Needs the extra `bench`."""


@bench.command("run")
@click.option("--validators", type=Whole(1, 64), default=4, show_default=True)
@click.option(
    "--workload",
    default="transfers",
    show_default=True,
    metavar="NAME|FILE",
    help="transfers, licenses, market, opaque, mixed, or a file with weights.",
)
@click.option("--rate", type=Rate(), default="saturate", show_default=True, help="Units offered in a second.")
@click.option("--arrivals", type=click.Choice(["poisson", "uniform"]), default="poisson", show_default=True)
@click.option("--duration", type=click.FloatRange(0.5), default=60.0, show_default=True, help="Seconds measured.")
@click.option("--warmup", type=click.FloatRange(0), default=5.0, show_default=True, help="Seconds before that.")
@click.option("--batch-submit", type=Whole(1, 1000), help="Transactions in a request; 100 where the rate allows.")
@click.option("--outstanding", type=Whole(1), help="Saturated: units on their way; 8000, or 40000 opaque payloads.")
@click.option("--payload", type=Whole(1, 60_000), default=512, show_default=True, help="Bytes, where opaque.")
@click.option("--accounts", type=Whole(2), default=100_000, show_default=True, help="In the state.")
@click.option("--faults", default="", metavar="S:ACTION:NODE,...", help="kill, pause, resume, restart at second S.")
@click.option("--latency", default="", metavar="wan|FILE", help="Delays between validators.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--node", "node", multiple=True, metavar="TABLE.KEY=VALUE", help="A setting of node.toml.")
@click.option("--genesis", multiple=True, metavar="KEY=VALUE", help="A parameter of the chain.")
@click.option("--simulated", metavar="CALIBRATION", help="In virtual time, with the costs of this file or result.")
@click.option("--attach", "urls", multiple=True, metavar="URL", help="A running network's nodes, and no own network.")
@click.option("--wallet", type=click.Path(path_type=Path, file_okay=False), envvar="GUILDMARK_WALLET")
@click.option("--account", envvar="GUILDMARK_ACCOUNT", help="With --attach: the key that opens and pays the accounts.")
@click.option(
    "--json", "json", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT", help="Where the result goes."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where raw events go; beside OUT by default, and nowhere without it.",
)
def run_command(**options: Any) -> int:
    """Start a network, offer it a load, check what came of it, and say what it cost.

    Exit code 1 means that the result does not count; the summary says why.
    """
    _need_extra()
    from benchmarks.results.schema import write
    from benchmarks.results.summary import summary
    from benchmarks.running import run

    configuration = _configuration(options)
    out: Path | None = options["json"]
    with _directory(options["directory"], out) as directory, _telling() as progress:
        if options["urls"]:
            result = _attached(configuration, options, directory, progress)
        else:
            result = run(configuration, directory, progress)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(write(result))
    click.echo(summary(result))
    return 0 if result.valid else NOT_VALID


def _need_extra() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("hdrh", "numpy", "polars") if find_spec(name) is None]
    if missing:
        raise InvalidArgument("bench.extra", f"{', '.join(missing)} not installed: pip install 'guildmark[bench]'")


def _attached(
    configuration: Configuration, options: dict[str, Any], directory: Path, progress: Callable[[str], None]
) -> Result:
    """Measure a network that somebody else runs."""
    import msgspec

    from benchmarks.running.real import run_attached
    from benchmarks.workloads.accounts import Identity
    from guildmark.sync import Client
    from guildmark.wallet import Wallet, passphrase_from_environment

    fixed = [name for name in ("faults", "latency", "node", "genesis", "simulated") if options[name]]
    if fixed:
        raise InvalidArgument("bench.attach", f"a running network takes no {', '.join('--' + name for name in fixed)}")
    if not options["wallet"] or not options["account"]:
        raise InvalidArgument("bench.attach", "--attach needs --wallet and --account: an account of the genesis")
    sponsor = Wallet(options["wallet"]).open(options["account"], passphrase_from_environment(options["wallet"]) or "")
    urls = list(options["urls"])
    with Client(urls, sponsor) as client:
        organization = str(client.accounts.get()["organization"])
        validators = int(client.status()["validators"])
    attached = msgspec.structs.replace(configuration, attach=tuple(urls), validators=validators)
    return run_attached(attached, Identity(sponsor.id, sponsor.key, organization), directory, progress)


for _command in ANALYSIS_COMMANDS:
    bench.add_command(_command)


def _configuration(options: dict[str, Any]) -> Configuration:
    from benchmarks.results.schema import Configuration
    from benchmarks.sweeps.specification import default_batch_submit, default_outstanding

    rate, batch = options["rate"], options["batch_submit"]
    if batch is None:
        batch = default_batch_submit(rate)
    node: dict[str, dict[str, int | float | str | bool]] = {}
    for name, value in _settings(options["node"], "--node").items():
        table, dot, key = name.partition(".")
        if not dot:
            raise InvalidArgument("bench.node", f"--node: write TABLE.KEY=VALUE, not {name}")
        node.setdefault(table, {})[key] = value
    simulated = {"kind": "simulated", "calibration": options["simulated"]} if options["simulated"] else {}
    return Configuration(
        **simulated,
        validators=options["validators"],
        workload=options["workload"],
        rate=rate,
        arrivals=options["arrivals"],
        duration_s=options["duration"],
        warmup_s=options["warmup"],
        batch_submit=batch,
        outstanding=options["outstanding"] or default_outstanding(options["workload"]),
        payload_bytes=options["payload"],
        accounts=options["accounts"],
        faults=options["faults"],
        latency=options["latency"],
        seed=options["seed"],
        node=node,
        genesis=_settings(options["genesis"], "--genesis"),
    )


def _settings(values: tuple[str, ...], what: str) -> dict[str, int | float | str | bool]:
    from guildmark.cli.session import pairs

    found: dict[str, int | float | str | bool] = {}
    for name, text in pairs(values, what).items():
        if text in ("true", "false"):
            found[name] = text == "true"
        else:
            found[name] = int(text) if _SCALAR.match(text) else text
    return found


@contextmanager
def _directory(given: Path | None, out: Path | None) -> Iterator[Path]:
    """Where the run keeps its files: a temporary place when nobody wants them."""
    if given is not None or out is not None:
        yield given if out is None or given is not None else _beside(out)  # type: ignore[misc]  # one of them is there
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="guildmark-bench-") as place:
        yield Path(place)


def _beside(out: Path) -> Path:
    return out.with_suffix("") if out.suffix else out.with_name(out.name + "-events")


@contextmanager
def _telling() -> Iterator[Callable[[str], None]]:
    """What is being done, on standard error: one line that changes on a terminal, else a line each."""
    if not sys.stderr.isatty():
        yield note
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
