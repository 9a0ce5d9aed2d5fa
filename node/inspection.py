"""What a data directory holds, read from a copy: nothing in it is changed, and no node has to run."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from ledger.archive import Archive
from ledger.block import Header, block_hash
from ledger.errors import InvalidBlock, LedgerError
from ledger.state.records import STATE_PREFIX
from ledger.state.store import LevelStore, Store
from ledger.state.view import table_of
from node import keys
from node.data_directory import DataDirectory
from node.engine_setup import log_secret
from node.failures import ExitCode, NodeFailure
from node.journal import FILE_NAME, parse
from node.offline import store_copy
from primitives.codec import CodecError, reader

VALUE_BYTES_SHOWN_MAX: Final = 4_096
"""Of a record's value; more is cut."""
_ARCHIVE_TABLES: Final = {
    b"h": "headers",
    b"b": "blocks",
    b"r": "receipts",
    b"c": "certificates",
    b"t": "transactions",
    b"x": "search notes",
    b"i": "executed ids",
    b"u": "past records",
    b"n": "past nodes of the tree",
    b"d": "what blocks replaced",
    b"m": "meta",
}

Answer = Callable[[Mapping[str, object]], None]


def inspect(
    data: DataDirectory, *, block: int | None, record: bytes | None, scratch: Path | None, answer: Answer
) -> ExitCode:
    """Say what the directory holds, or show one block or one record of the state.

    Ends with `STORAGE` where it is damaged, and with `FATAL` where the block or record is not there.
    """
    try:
        with store_copy(data, scratch) as (_, store):
            if block is not None or record is not None:
                shown = _block(Archive(store), block) if block is not None else _record(store, record or b"")
                answer(shown)
                return ExitCode.STOPPED if shown["found"] else ExitCode.FATAL
            document = {"directory": str(data.path), **_ledger(store)}
    except (LedgerError, CodecError) as error:
        document = {"directory": str(data.path), "damage": [str(error)]}
    document["vote_log"] = _vote_log(data)
    document["files"] = dict(_files(data))
    answer(document)
    return ExitCode.STORAGE if document.get("damage") else ExitCode.STOPPED


def _ledger(store: LevelStore) -> dict[str, Any]:
    archive = Archive(store)
    height = archive.height()
    header = archive.header(height)
    damage: list[str] = []
    tables = _tables(store, damage)
    oldest = next((int.from_bytes(key[1:], "big") for key, _ in store.iterate(b"b")), None)
    return {
        "network_id": None if header is None else header.network_id.hex(),
        "height": height,
        "certified_height": archive.certified_height(),
        "oldest_block": oldest,
        **({} if header is None else _header(header)),
        "tables": tables,
        "damage": damage,
    }


def _tables(store: Store, damage: list[str]) -> dict[str, dict[str, int]]:
    """Count records and bytes by table: every one is read, so damage shows."""
    records: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for first in range(256):
        prefix = bytes([first])
        try:
            for key, value in store.iterate(prefix):
                name = _table(key)
                records[name] += 1
                sizes[name] += len(key) + len(value)
        except LedgerError as error:
            damage.append(error.message)
    return {name: {"records": records[name], "bytes": sizes[name]} for name in sorted(records)}


def _table(key: bytes) -> str:
    if key.startswith(STATE_PREFIX):
        record = key[len(STATE_PREFIX) :]
        table = table_of(record).rstrip(b"/") or record  # single records belong to no table
        return f"state {table.decode('ascii', 'backslashreplace')}"
    return _ARCHIVE_TABLES.get(key[:1], f"other {key[:1].hex()}")


def _header(header: Header) -> dict[str, Any]:
    return {
        "block_hash": block_hash(header).hex(),
        "state_root": header.state_root.hex(),
        "block_time_ms": header.timestamp_ms,
        "epoch": header.epoch,
        "epoch_end": header.epoch_end,
    }


def _block(archive: Archive, height: int) -> dict[str, Any]:
    header = archive.header(height)
    if header is None:
        return {"height": height, "found": False, "head": archive.height(), "oldest_block": archive.oldest_block()}
    shown: dict[str, Any] = {
        "height": height,
        "found": True,
        **_header(header),
        "parent_hash": header.parent_hash.hex(),
        "proposer": header.proposer,
        "transactions_root": header.transactions_root.hex(),
        "receipts_root": header.receipts_root.hex(),
    }
    certificate = archive.certificate(height)
    shown["certified_by"] = None if certificate is None else [index for index, _ in certificate.signatures]
    try:
        body = archive.block(height)
    except InvalidBlock as error:
        shown["damage"] = error.message
        return shown
    results = archive.results(height)
    shown["batches"] = None if body is None else len(body.batches)
    shown["transactions"] = None if body is None else sum(len(batch.transactions) for batch in body.batches)
    if results is not None:
        shown["receipts"] = [{"id": receipt.id.hex(), "code": receipt.code} for receipt in results.receipts]
    return shown


def _record(store: Store, key: bytes) -> dict[str, Any]:
    value = store.get(STATE_PREFIX + key)
    shown: dict[str, Any] = {"key": key.hex(), "found": value is not None}
    if value is not None:
        shown["bytes"] = len(value)
        shown["value"] = value[:VALUE_BYTES_SHOWN_MAX].hex()
        try:
            shown["decoded"] = _plain(reader(Any)(value))
        except CodecError:
            shown["decoded"] = None  # some records are no MessagePack
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    return value


def _vote_log(data: DataDirectory) -> dict[str, Any]:
    path = data.journal / FILE_NAME
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {"found": False}
    except OSError as error:
        return {"found": True, "damage": error.strerror or str(error)}
    try:
        held = keys.load(data.path, keys.read_passphrase(dict(os.environ)))
        log = parse(log_secret(held.signing_key), content)
    except NodeFailure as failure:
        return {"found": True, "bytes": len(content), "damage": str(failure)}
    return {
        "found": True,
        "bytes": len(content),
        "torn_bytes": len(content) - log.size_bytes,
        "records": len(log.records),
        "last_position": log.last_position,
        "epoch": log.head.epoch,
        "ledger_height": log.head.ledger_height,
        "incarnation": log.head.incarnation,
    }


def _files(data: DataDirectory) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield how many files, and bytes, each part of the directory takes."""
    for name in ("chain", "chain.damaged", "journal", "artifacts", "search", "snapshots"):
        folder = data.path / name
        if folder.is_dir():
            sizes = [path.lstat().st_size for path in folder.rglob("*") if path.is_file()]
            yield name, {"files": len(sizes), "bytes": sum(sizes)}
