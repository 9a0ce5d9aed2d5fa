"""What the chapters share: the cluster, the accounts, what has been made so far."""

from __future__ import annotations

import urllib.error
import urllib.request
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from guildmark.assets import RegisteredVersion
from guildmark.cluster.local import LocalCluster
from guildmark.demo import cast
from guildmark.demo.narrator import Narrator
from guildmark.models.training import TrainedModel

if TYPE_CHECKING:
    from guildmark.sync import Client

HTTP_TIMEOUT_S = 10.0


class Stage:
    """Props of the story. Everything here is real: processes, keys, files."""

    def __init__(self, directory: Path, narrator: Narrator, *, keep: bool) -> None:
        self.directory = directory
        self.keep = keep
        """The network outlives the demo."""
        self.narrator = narrator
        self.cluster = LocalCluster.create(
            directory / "network",
            organizations=cast.ORGANIZATIONS,
            accounts=cast.ACCOUNTS,
            genesis=cast.GENESIS,
            node=cast.NODE,
        )
        self.trained: dict[int, TrainedModel] = {}
        self.dataset: RegisteredVersion | None = None
        self.model: RegisteredVersion | None = None
        self.training_grant = ""
        self.license = ""
        """What the buyer has bought."""
        self.bought: tuple[Path, Path] | None = None
        """The buyer's copies of the model and of the data set."""
        self.killed: int | None = None
        self._clients: dict[tuple[str, int | None], Client] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="training")
        self._second: Future[TrainedModel] | None = None

    def client(self, name: str, node: int | None = None) -> Client:
        """A client for an organization's account, through all validators or through one."""
        if (name, node) not in self._clients:
            self._clients[name, node] = self.cluster.client(name, node=node)
        return self._clients[name, node]

    def train_second(self) -> None:
        """Begin to train version 2 while the story goes on."""
        from guildmark.models.training import train_digits

        self._second = self._pool.submit(train_digits, self.directory / "version-2", seed=11)

    def second(self) -> TrainedModel:
        """Version 2, waited for."""
        assert self._second is not None
        self.trained[2] = self._second.result()
        return self.trained[2]

    def dataset_asset(self) -> str:
        assert self.dataset is not None
        return self.dataset.asset

    def alive(self) -> list[int]:
        return self.cluster.running()

    def block_url(self, node: int, cid: str) -> str:
        return f"{self.cluster.url(node)}/v1/artifacts/{cid}/blocks/{cid}"

    def close(self, *, keep: bool) -> None:
        """Stop everything that was started, unless the network shall stay."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for client in self._clients.values():
            client.close()
        if not keep:
            self.cluster.stop()


def http_status(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask as any program would, without our client. Return status and body."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=HTTP_TIMEOUT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
