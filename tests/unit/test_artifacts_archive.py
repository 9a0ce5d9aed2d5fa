"""An archive is listed by rules that leave one reading of it; what tricks is refused."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.archive import list_members, read_member
from artifacts.errors import InvalidModelFile


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("name", ["../evil", "/etc/cron.d/x", "a/../../b", "a\\b", "c:x", "a//b", ".", "x/./y"])
def test_a_member_that_would_leave_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    """M4: zip slip, `../` layer names."""
    path = archive(tmp_path / "m.keras", {name: b"x"})
    with path.open("rb") as file, pytest.raises(InvalidModelFile):
        list_members(file)


def test_a_zip_bomb_is_not_unpacked_beyond_its_bound(tmp_path: Path) -> None:
    """M5."""
    path = archive(tmp_path / "bomb", {"config.json": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    with path.open("rb") as file:
        member = list_members(file)["config.json"]
        with pytest.raises(InvalidModelFile, match="more than the"):
            read_member(file, member, 1 << 20)
        # The same, but lying about its size: no more than the claim is ever unpacked.
        lying = member._replace(size_bytes=1_000, crc=zlib.crc32(bytes(1_000)))
        with pytest.raises(InvalidModelFile, match="larger than"):
            read_member(file, lying, 1 << 20)


def test_members_are_read_back(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = archive(tmp_path / "a", {"x": b"some text" * 100, "d/y": b""}, method)
        with path.open("rb") as file:
            members = list_members(file)
            assert [read_member(file, members[name], 10_000) for name in ("x", "d/y")] == [b"some text" * 100, b""]


def test_an_archive_with_zip64_sizes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as file, file.open("x", "w", force_zip64=True) as member:
        member.write(b"text")
    with path.open("rb") as stream:
        assert read_member(stream, list_members(stream)["x"], 10) == b"text"


def mutations() -> list[tuple[str, Callable[[bytearray], None]]]:
    def at(signature: bytes, offset: int, form: str, value: int) -> Callable[[bytearray], None]:
        def change(data: bytearray) -> None:
            struct.pack_into(form, data, data.rindex(signature) + offset, value)

        return change

    end, central, local = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
    return [
        ("more entries than there are", at(end, 10, "<H", 3)),
        ("two disks", at(end, 4, "<H", 1)),
        ("directory beyond the end", at(end, 16, "<L", 1 << 30)),
        ("surplus comment", at(end, 20, "<H", 9)),
        ("encrypted", at(central, 8, "<H", 1)),
        ("unknown method", at(central, 10, "<H", 12)),
        ("size beyond the end", at(central, 20, "<L", 1 << 30)),
        ("two sizes", at(central, 24, "<L", 1)),
        ("header beyond the end", at(central, 42, "<L", 1 << 30)),
        ("overlapping members", at(central, 42, "<L", 0)),
        ("headers that disagree", at(local, 30, "<B", 0x7A)),
        ("zip64 sizes that are missing", at(central, 24, "<L", 0xFFFFFFFF)),
    ]


@pytest.mark.parametrize(("change"), [m[1] for m in mutations()], ids=[m[0] for m in mutations()])
def test_a_doctored_archive_is_refused(tmp_path: Path, change: Callable[[bytearray], None]) -> None:
    """M4: what one reader of zip files sees must be what every reader sees."""
    path = archive(tmp_path / "a", {"x": b"1234567890", "y": b"1234567890"})
    data = bytearray(path.read_bytes())
    change(data)
    with pytest.raises(InvalidModelFile):
        list_members(io.BytesIO(data))


def test_repeated_names_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x", b"2")
    with path.open("rb") as stream, pytest.raises(InvalidModelFile):
        list_members(stream)
