"""The tensors of a `.keras` file are found where they lie, and weights that trick are refused.

h5py comes with the TensorFlow extra, which `make dev` leaves out; it imports nothing of TensorFlow.
"""

from __future__ import annotations

import builtins
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifacts.errors import InvalidModelFile
from artifacts.tensors import TensorEntry, tensor_index, tensors_digest

np = pytest.importorskip("numpy")
h5py = pytest.importorskip("h5py")

KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)


def weights(fill: Callable[[Any], None]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def plain(file: Any) -> None:
    file["layers/dense/vars/0"] = KERNEL
    file["layers/dense/vars/1"] = np.zeros(4, np.float32)
    file["optimizer/vars/0"] = np.int64(7)
    file.create_group("layers/flatten/vars")


def archive(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED, year: int = 2026) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, data in members.items():
            file.writestr(zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0)), data, method)
    return path


def keras_file(path: Path, fill: Callable[[Any], None] = plain, **options: Any) -> Path:
    members = {"metadata.json": b"{}", "config.json": b"{}", "model.weights.h5": weights(fill)}
    return archive(path, members, **options)


def test_each_tensor_is_read_back_at_its_offset(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "m.keras")
    entries = tensor_index(path)
    assert [(e.name, e.dtype, e.shape) for e in entries] == [
        ("layers/dense/vars/0", "float32", (3, 4)),
        ("layers/dense/vars/1", "float32", (4,)),
        ("optimizer/vars/0", "int64", ()),
    ]
    kernel = entries[0]
    assert path.read_bytes()[kernel.offset : kernel.offset + KERNEL.nbytes] == KERNEL.tobytes()
    assert kernel.sha256 == hashlib.sha256(KERNEL.tobytes()).digest()


def test_two_saves_of_one_model_have_one_digest(tmp_path: Path) -> None:
    first, second = keras_file(tmp_path / "a"), keras_file(tmp_path / "b", year=2027)
    assert first.read_bytes() != second.read_bytes()
    assert tensors_digest(tensor_index(first)) == tensors_digest(tensor_index(second))


def entry(name: str, value: bytes) -> TensorEntry:
    return TensorEntry(name, "float32", (1,), hashlib.sha256(value).digest(), 0)


def test_names_order_and_optimizer_state_do_not_change_the_digest_but_values_do() -> None:
    digest = tensors_digest([entry("a", b"1"), entry("b", b"2")])
    assert digest == tensors_digest([entry("x", b"2"), entry("y", b"1"), entry("optimizer/vars/0", b"3")])
    assert digest != tensors_digest([entry("a", b"1"), entry("b", b"3")])
    assert digest != tensors_digest([entry("a", b"1"), entry("b", b"2"), entry("c", b"2")])


def external_link(file: Any) -> None:
    file["layers/x"] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file: Any) -> None:
    plain(file)
    file["layers/x"] = h5py.SoftLink("/layers/dense/vars/0")


def external_storage(file: Any) -> None:
    file.create_dataset("layers/x", (64,), "u1", external=[("/etc/passwd", 0, 64)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file.create_virtual_dataset("layers/x", layout)


def shape_bomb(file: Any) -> None:
    file.create_dataset("layers/x", (1 << 40,), "f4", chunks=(1 << 20,))


def unwritten_bomb(file: Any) -> None:
    space = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    space.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
    h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((1 << 42,)), space)


def loop(file: Any) -> None:
    file.create_group("layers/a")
    file["layers/a/again"] = file["layers"]


def deep(file: Any) -> None:
    file.create_group("/".join("a" * 40))


def texts(file: Any) -> None:
    file["layers/x"] = np.array([b"code"], dtype=object)


def compressed(file: Any) -> None:
    file.create_dataset("layers/x", data=np.zeros(4096, np.float32), compression="gzip")


@pytest.mark.parametrize(
    "fill",
    [external_link, soft_link, external_storage, virtual, shape_bomb, unwritten_bomb, loop, deep, texts, compressed],
)
def test_weights_that_hide_something_are_refused(tmp_path: Path, fill: Callable[[Any], None]) -> None:
    """M4, M5: external links and storage, virtual data sets, shapes beyond the file, cycles."""
    with pytest.raises(InvalidModelFile) as caught:
        tensor_index(keras_file(tmp_path / "m.keras", fill))
    assert caught.value.code == "model.weights"


def test_damaged_weights_are_a_typed_error(tmp_path: Path) -> None:
    good = weights(plain)
    for cut in range(0, len(good), 211):
        path = archive(tmp_path / "m.keras", {"model.weights.h5": good[:cut]})
        with pytest.raises(InvalidModelFile):
            tensor_index(path)


def test_an_h5_file_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    """M4: .h5 renamed .keras."""
    path = tmp_path / "model.keras"
    path.write_bytes(weights(plain))
    with pytest.raises(InvalidModelFile) as caught:
        tensor_index(path)
    assert caught.value.code == "model.hdf5_refused"


def test_packed_or_missing_weights_are_refused(tmp_path: Path) -> None:
    for path in (
        keras_file(tmp_path / "a", method=zipfile.ZIP_DEFLATED),
        archive(tmp_path / "b", {"config.json": b"{}"}),
    ):
        with pytest.raises(InvalidModelFile) as caught:
            tensor_index(path)
        assert caught.value.code == "model.weights"


def test_without_h5py_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = keras_file(tmp_path / "m.keras")
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InvalidModelFile, match="`make demo` installs it") as caught:
        tensor_index(path)
    assert caught.value.code == "model.h5py_missing"
