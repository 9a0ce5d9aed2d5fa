"""What options and environment say about network, nodes, wallet and account. Heavy things are made when asked for.

GUILDMARK_NETWORK   directory of a local network       GUILDMARK_NODE      URLs of nodes, separated by spaces
GUILDMARK_WALLET    directory of key files             GUILDMARK_ACCOUNT   name of the key that acts
GUILDMARK_PASSPHRASE or GUILDMARK_PASSPHRASE_FILE      opens the key files
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import rich_click as click

from guildmark.errors import NotFound, WalletError

if TYPE_CHECKING:
    from guildmark.identity import Account
    from guildmark.sync import Client
    from guildmark.wallet import Wallet

F = TypeVar("F", bound=Callable[..., Any])
DEFAULT_NETWORK: Final = Path("guildmark-network")
RETRY_TIMEOUT_S: Final = 5.0
"""How long a command tries to reach nodes that do not answer."""


class Session:
    """One invocation's surroundings."""

    def __init__(
        self,
        *,
        json: bool = False,
        network: Path | None = None,
        nodes: tuple[str, ...] = (),
        wallet: Path | None = None,
        account: str | None = None,
        passphrase_file: Path | None = None,
    ) -> None:
        self.json = json
        self._network = network
        self._nodes = nodes
        self._wallet = wallet
        self._account = account
        self._passphrase_file = passphrase_file

    @property
    def given_passphrase_file(self) -> bool:
        """Whether the option names a file."""
        return self._passphrase_file is not None

    @property
    def network(self) -> Path | None:
        """The local network's directory, where there is one."""
        if self._network is not None:
            return self._network
        return DEFAULT_NETWORK if (DEFAULT_NETWORK / "network.json").is_file() else None

    @property
    def wallet_directory(self) -> Path:
        if self._wallet is not None:
            return self._wallet
        if self.network is not None:
            return self.network / "wallet"
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return Path(data) / "guildmark" / "wallet"

    @property
    def wallet(self) -> Wallet:
        from guildmark.wallet import Wallet

        return Wallet(self.wallet_directory)

    def passphrase(self, *, confirm: bool = False) -> str:
        """From the option, the environment, the development wallet, or the terminal.

        Raises:
            WalletError: `wallet.passphrase_missing` where there is none and nobody to ask.
        """
        from guildmark.wallet import passphrase_from_environment

        if self._passphrase_file is not None:
            return self._passphrase_file.read_text(encoding="utf-8").rstrip("\r\n")
        known = passphrase_from_environment(self.wallet_directory)
        if known:
            return known
        if not sys.stdin.isatty():
            raise WalletError(
                "wallet.passphrase_missing",
                f"no passphrase for the wallet {self.wallet_directory} (--wallet names another): set "
                "GUILDMARK_PASSPHRASE or GUILDMARK_PASSPHRASE_FILE, or use a terminal",
            )
        answer: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        return answer

    def account(self) -> Account:
        """The account that acts: the named key, or the only one in the wallet."""
        name = self.acting_key()
        return self.wallet.open(name, self.passphrase())

    def acting_key(self) -> str:
        """The name of the key that acts, which is there: nobody is asked for the passphrase of one that is not.

        Raises:
            NotFound, WalletError: as `account_name` and `Wallet.read_assigned`.
        """
        name = self.account_name()
        self.wallet.read_assigned(name)
        return name

    def account_name(self) -> str:
        """Its name. Raises WalletError when nothing says which key acts."""
        if self._account:
            return self._account
        names = self.wallet.names()
        if len(names) == 1:
            return names[0]
        known = ", ".join(names) or "none"
        raise WalletError("wallet.account_missing", f"name the key that acts with --account; the wallet has: {known}")

    def resolve(self, who: str) -> str:
        """`gm1...` for an account id or the name of a key in the wallet.

        Raises:
            NotFound, WalletError: no such key, or it belongs to no account.
        """
        if who.startswith("gm1"):
            return who
        account = self.wallet.read(who).account
        if not account:
            raise NotFound("wallet.no_account", f"the key {who!r} is not assigned to an account yet")
        return account

    def resolve_key(self, which: str) -> str:
        """did:key for itself or for the name of a key in the wallet. Raises as `Wallet.read`."""
        return which if which.startswith("did:key:") else self.wallet.read(which).public_key

    @property
    def urls(self) -> list[str]:
        """Where the nodes are. Raises a usage error when nothing says it."""
        if self._nodes:
            return list(self._nodes)
        if self.network is not None:
            from guildmark.cluster.membership import LocalNetwork

            return LocalNetwork(self.network).urls
        raise click.UsageError("name a node with --node URL, or a local network with --network DIR")

    def network_id(self) -> bytes | None:
        """The id that nodes must belong to, where a local genesis file says it."""
        if self._nodes or self.network is None:
            return None
        from guildmark.cluster.membership import LocalNetwork

        return LocalNetwork(self.network).network_id

    @contextmanager
    def client(self, *, acting: bool = False) -> Iterator[Client]:
        """A client; with `acting` for the session's account."""
        from guildmark.sync import Client

        account = self.account() if acting else None
        with Client(
            self.urls,
            account,
            network_id=self.network_id(),
            retry_timeout_s=RETRY_TIMEOUT_S,
            on_slow=_say_that_it_waits,
        ) as client:
            yield client


def _say_that_it_waits(identifier: str) -> None:
    click.echo(f"transaction {identifier} was sent; waiting for the network to settle it ...", err=True)


_JSON = click.option("--json", "json", is_flag=True, help="Print the result as JSON.")
_NETWORK = click.option(
    "--network",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="GUILDMARK_NETWORK",
    help="Directory of a local network.",
)
_NODES = click.option(
    "--node", "nodes", multiple=True, envvar="GUILDMARK_NODE", metavar="URL", help="A node's API; may be repeated."
)
_WALLET = click.option(
    "--wallet",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="GUILDMARK_WALLET",
    help="Directory of key files.",
)
_ACCOUNT = click.option("--account", envvar="GUILDMARK_ACCOUNT", metavar="NAME", help="Key in the wallet that acts.")
_PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the wallet's passphrase.",
)


def with_session(
    *, network: bool = True, nodes: bool = False, wallet: bool = False, account: bool = False
) -> Callable[[F], F]:
    """Give a command `--json` and the options that it needs; it gets a `Session` as its first argument."""
    options = [_JSON, *([_NETWORK] if network else [])]
    options += [_NODES] if nodes else []
    options += [_WALLET, _PASSPHRASE] if wallet or account else []
    options += [_ACCOUNT] if account else []
    names = ("json", "network", "nodes", "wallet", "account", "passphrase_file")

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*arguments: Any, **values: Any) -> Any:
            session = Session(**{name: values.pop(name) for name in names if name in values})
            return function(session, *arguments, **values)

        decorated: Any = call
        for option in reversed(options):
            decorated = option(decorated)
        typed: F = decorated
        return typed

    return decorate


def pairs(values: tuple[str, ...], what: str) -> dict[str, str]:
    """Read `name=value` options. Raises a usage error."""
    found: dict[str, str] = {}
    for value in values:
        name, separator, rest = value.partition("=")
        if not separator or not name:
            raise click.UsageError(f"{what}: write name=value, not {value!r}")
        if name in found:
            raise click.UsageError(f"{what}: {name} is given twice, as {found[name]!r} and as {rest!r}")
        found[name] = rest
    return found
