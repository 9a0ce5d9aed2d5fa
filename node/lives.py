"""The node's lives in one process: it begins anew where that is the remedy, and ends with what nothing here can mend.

A full disk: the node votes no more and acknowledges nothing, answers reads, and begins anew when there is room. A
damaged ledger, where the configuration says so: it is moved aside, and the next life fetches it from the peers. A new
life begins as after a crash, by reading everything from the disk; nothing is carried over but the addresses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from ledger.errors import LedgerError, StorageError
from ledger.rewriting import rewrite_store
from ledger.snapshot.store_building import switch_stores
from node import memory
from node.assembly import Node
from node.configuration import Configuration, P2p
from node.disk_space import POLL_PERIOD_S, RETRY_DELAY_MAX_S, DiskSpace, is_full
from node.failures import DirectoryUnusable, LedgerDamaged, NodeFailure
from node.node_files import NodeFiles
from node.offline import set_aside
from node.snapshot_exchange import SnapshotInstalled

RESYNCS_MAX: Final = 2
"""In the life of a process: a disk that damages what was fetched anew must be replaced."""

REWRITES_MAX: Final = 8
"""In the life of a process, each for damage that was found and mended, or that a start met."""

log: Final = structlog.get_logger("node.process")

Listening = dict[str, str]


class Lives:
    """Runs one node after the other over the same directory."""

    def __init__(self, files: NodeFiles, announce: Callable[[Listening], None]) -> None:
        """Called on the loop. `announce` hears where the node listens, once: the address stays."""
        self._files = files
        self._announce = announce
        self._ending: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._told_to_stop = False
        self._announced = False
        self._resyncs = 0
        self._rewrites = 0
        self._rewritten_in_vain = False
        """Whether no life has begun since."""
        self._retry_delay_s = POLL_PERIOD_S

    def stop(self) -> None:
        """End: it was asked for."""
        self._told_to_stop = True
        self._end(None)

    async def run(self) -> BaseException | None:
        """Live until the end; return what ended the last life, None when it was asked for.

        Raises:
            NodeFailure: the node could not start.
        """
        while True:
            error = await self._live()
            if self._told_to_stop or error is None:
                return None
            if isinstance(error, SnapshotInstalled):
                directory = self._files.directory
                await asyncio.to_thread(switch_stores, directory.fresh_chain, directory.chain)
                log.info("the chain begins with a snapshot", height=error.height)
            elif is_full(error):
                log.info("there is room again: the node begins anew", bytes=self._space().free_bytes)
            elif _is_damage(error) and await self._rewritten(error):
                continue
            elif _is_damage(error) and self._may_resync():
                self._resyncs += 1
                kept = await asyncio.to_thread(set_aside, self._files.directory)
                log.error("the ledger is fetched from the peers", damage=str(error), set_aside=str(kept))
            elif _is_damage(error):
                return LedgerDamaged(self._what_helps(error))
            else:
                return error

    async def _rewritten(self, error: BaseException) -> bool:
        """Write the ledger anew without what cannot be read, where a table of it is damaged; tell whether it was."""
        if self._rewrites >= REWRITES_MAX or self._rewritten_in_vain:
            return False
        self._rewrites += 1
        self._rewritten_in_vain = True
        chain = self._files.directory.chain
        kept = chain.with_name(chain.name + ".damaged")
        try:
            records = await asyncio.to_thread(rewrite_store, chain, kept)
        except (StorageError, OSError) as failure:
            log.error("the ledger cannot be written anew", damage=str(error), reason=str(failure))
            return False
        log.warning("the ledger was written anew", damage=str(error), records=records, set_aside=str(kept))
        return True

    async def _live(self) -> BaseException | None:
        """One life, and the wait for room behind it; return what ended it."""
        ending: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        if self._told_to_stop:
            return None
        self._ending = ending
        node = Node(self._files, self._on_fatal)
        try:
            started = asyncio.ensure_future(node.start())
            either: list[asyncio.Future[Any]] = [started, ending]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not started.done():
                started.cancel()
                await asyncio.wait([started])
                return ending.result()
            error = self._begun(started)
            if error is None:
                memory.settle()
                error = await ending
            if is_full(error) and not self._told_to_stop:
                error = await self._wait_for_room(node.space, error)
            return error
        finally:
            await node.stop()

    def _begun(self, started: asyncio.Future[Listening]) -> BaseException | None:
        """Say where the node listens; return what stood in the way of a later life, or can be mended.

        Raises:
            NodeFailure: anything else did.
        """
        try:
            listening = started.result()
        except LedgerError as error:
            if _is_damage(error) or (self._announced and is_full(error)):
                return error
            raise DirectoryUnusable(f"the ledger cannot be opened: {error.message}") from error
        except NodeFailure as error:
            if self._announced and is_full(error):
                return error
            raise
        self._rewritten_in_vain = False
        if self._announced:
            log.info("listening", **listening)
        else:
            self._announced = True
            self._announce(listening)
        self._files = msgspec.structs.replace(
            self._files, configuration=_listening_there(self._files.configuration, listening)
        )
        return None

    async def _wait_for_room(self, space: DiskSpace, error: BaseException | None) -> BaseException | None:
        """Wait until there is room, or another end; return `error`, or what ended it then."""
        space.suspended = f"the disk is full ({error}); the node goes on by itself when there is room again"
        log.error("the disk is full: not voting, taking no transactions", reserve_bytes=space.reserve_bytes)
        delay_s, self._retry_delay_s = self._retry_delay_s, min(2 * self._retry_delay_s, RETRY_DELAY_MAX_S)
        self._ending = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._ending], timeout=delay_s)
        while not self._ending.done():
            space.poll()
            if space.room:
                return error
            self._retry_delay_s = POLL_PERIOD_S  # a disk that is seen to be full needs no patience
            await asyncio.wait([self._ending], timeout=POLL_PERIOD_S)
        later = self._ending.result()
        return error if is_full(later) else later

    def _on_fatal(self, error: BaseException) -> None:
        if not self._ending.done():
            if not isinstance(error, SnapshotInstalled):
                _log_fatal(error)
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        if not self._ending.done():
            self._ending.set_result(error)

    def _space(self) -> DiskSpace:
        return DiskSpace(self._files.directory.path, self._files.configuration.storage.reserve_bytes)

    def _may_resync(self) -> bool:
        return self._files.configuration.storage.on_damage == "resync" and self._resyncs < RESYNCS_MAX

    def _what_helps(self, error: BaseException) -> str:
        directory = self._files.directory.path
        return (
            f"the ledger is damaged ({error}). Run `guildmark node resync --directory {directory}` and start the node: "
            "it synchronizes from its peers"
        )


def _is_damage(error: BaseException | None) -> bool:
    return isinstance(error, LedgerError) and error.code in ("storage.damaged", "storage.rewrite")


def _listening_there(configuration: Configuration, listening: Listening) -> Configuration:
    """Return the configuration with the addresses that were taken in place of those that the system chose."""
    api = msgspec.structs.replace(configuration.api, listen=listening["api"].partition("://")[2])
    p2p: P2p = msgspec.structs.replace(configuration.p2p, listen=listening["p2p"])
    return msgspec.structs.replace(configuration, api=api, p2p=p2p)


def _log_fatal(error: BaseException) -> None:
    if isinstance(error, NodeFailure | LedgerError):
        log.error("the node cannot go on", error=str(error), kind=type(error).__name__)
    else:
        log.error("the node cannot go on", exc_info=error)
