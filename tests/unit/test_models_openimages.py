"""Data sets in the layout of Open Images are read within bounds, and one way only."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from guildmark.models import openimages
from guildmark.models.errors import ModelRefused
from guildmark.models.openimages import ImageSet, read_classes, read_images

CLASSES = 'LabelName,DisplayName\n/m/0b,Dog\n/m/0a,"Cat, tame"\n'
HEAD = "ImageID,Source,LabelName,Confidence\n"


def make(root: Path, labels: str, classes: str = CLASSES, images: tuple[str, ...] = ("1.png", "2.jpg")) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "class-descriptions.csv").write_text(classes)
    (root / "validation-annotations-human-imagelabels.csv").write_text(labels)
    for name in images:
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked at here")
    return root


def samples(found: ImageSet) -> dict[str, tuple[str, str]]:
    return {s.path.stem: (found.classes[s.label], found.groups[s.group]) for s in found.samples}


def refusal(root: Path) -> str:
    with pytest.raises(ModelRefused) as caught:
        read_images(root)
    return caught.value.code


def test_classes_are_in_the_order_of_their_names_and_a_head_may_be_missing(tmp_path: Path) -> None:
    assert read_classes(make(tmp_path, HEAD)) == ("/m/0a", "/m/0b")
    assert read_classes(make(tmp_path, HEAD, "/m/0z,Emu\n/m/0b,Dog\n")) == ("/m/0b", "/m/0z")


def test_an_image_with_one_class_is_a_sample_and_others_are_left_out(tmp_path: Path) -> None:
    rows = [
        "1,verification,/m/0a,1",
        "1,verification,/m/0b,0",  # people said no
        "2,verification,/m/0a,1",
        "2,verification,/m/0b,1.0",  # two classes
        "3,verification,/m/0a,0",  # none
        "4,machine,/m/0a,0.9",  # a machine's guess
        "5,verification,/m/0b,1",
        "5,crowdsource-verification,/m/0b,0",  # they disagree
        "6,verification,/m/0zzz,1",  # a class that is not among the described
        "6,verification,/m/0b,1",
        "absent,verification,/m/0a,1",  # no such file here
    ]
    images = tuple(f"{i}.jpg" for i in range(1, 8))
    found = read_images(make(tmp_path, HEAD + "\n".join(rows) + "\n", images=images))
    assert samples(found) == {"1": ("/m/0a", "/m/0a"), "6": ("/m/0b", "/m/0b")}
    assert found.left_out == 5


def test_columns_may_come_in_any_order_with_others_between(tmp_path: Path) -> None:
    labels = "Confidence,X,LabelName,ImageID,Group\n1,,/m/0a,2,night\n1,,/m/0b,1,day\n"
    found = read_images(make(tmp_path, labels, images=("train/1.png", "2.jpeg", "notes.txt")))
    assert samples(found) == {"1": ("/m/0b", "day"), "2": ("/m/0a", "night")}
    assert [sample.path.stem for sample in found.samples] == ["1", "2"]


def test_tables_may_lie_among_annotations(tmp_path: Path) -> None:
    root = make(tmp_path, HEAD + "1,v,/m/0a,1\n")
    (root / "annotations").mkdir()
    for table in root.glob("*.csv"):
        table.rename(root / "annotations" / table.name)
    assert len(read_images(root).samples) == 1


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        ("", "dataset.table"),
        ("ImageID,LabelName\n1,/m/0a\n", "dataset.table"),
        ("ImageID,ImageID,LabelName,Confidence\n", "dataset.table"),
        (HEAD + "1,v,/m/0a\n", "dataset.table"),
        (HEAD + "1,v,/m/0a,2\n", "dataset.table"),
        (HEAD + "1,v,/m/0a,one\n", "dataset.table"),
        (HEAD + "1,v,/m/0a,-1\n", "dataset.table"),
        (HEAD + "1,v,/m/0a,1.²\n", "dataset.table"),
        (HEAD + '1,v,"/m/0a,1\n', "dataset.table"),
        (HEAD + "x" * 20_000 + ",v,/m/0a,1\n", "dataset.table"),
        ("ImageID,LabelName,Confidence,Group\n1,/m/0a,1,a\n1,/m/0b,0,b\n", "dataset.table"),
        (HEAD, "dataset.empty"),
        (HEAD + "1,v,/m/0a,0.99\n", "dataset.empty"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path: Path, labels: str, code: str) -> None:
    assert refusal(make(tmp_path, labels)) == code


@pytest.mark.parametrize("classes", ["", "/m/0a,Cat\n", "/m/0a,Cat\n/m/0a,Dog\n", "/m/0a\n/m/0b\n", "\xff,x\ny,z\n"])
def test_classes_that_cannot_be_told_are_refused(tmp_path: Path, classes: str) -> None:
    root = make(tmp_path, HEAD)
    (root / "class-descriptions.csv").write_bytes(classes.encode("latin-1"))
    assert refusal(root) == "dataset.table"


def test_a_layout_that_leaves_a_choice_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "a", HEAD + "1,v,/m/0a,1\n")
    (root / "more-labels.csv").write_text(HEAD)
    assert refusal(root) == "dataset.layout"
    root = make(tmp_path / "b", HEAD + "1,v,/m/0a,1\n", images=("1.png", "sub/1.jpg"))
    assert refusal(root) == "dataset.layout"
    root = make(tmp_path / "c", HEAD, images=())
    assert refusal(root) == "dataset.layout"
    root = make(tmp_path / "d", HEAD, images=("a b.png",))
    assert refusal(root) == "dataset.layout"


def test_links_are_not_followed(tmp_path: Path) -> None:
    """M4: a canary outside is no image of the data set."""
    canary = tmp_path / "canary.png"
    canary.write_bytes(b"sings")
    root = make(tmp_path / "set", HEAD + "1,v,/m/0a,1\nlink,v,/m/0a,1\n", images=("1.png",))
    (root / "images" / "link.png").symlink_to(canary)
    (root / "images" / "more").symlink_to(tmp_path)
    assert set(samples(read_images(root))) == {"1"}


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("ROWS_MAX", 1),
        ("TABLE_BYTES_MAX", 10),
        ("IMAGES_MAX", 1),
        ("IMAGE_BYTES_MAX", 3),
        ("IMAGES_BYTES_MAX", 20),
        ("CLASSES_MAX", 1),
        ("GROUPS_MAX", 1),
        ("DIRECTORIES_MAX", 1),
    ],
)
def test_every_size_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int) -> None:
    """M5: rows, classes, groups, images and their bytes, before any image is opened."""
    labels = "ImageID,LabelName,Confidence,Group\n1,/m/0a,1,a\n2,/m/0b,1,b\n"
    root = make(tmp_path, labels, images=("1.png", "sub/2.png"))
    assert len(read_images(root).samples) == 2
    monkeypatch.setattr(openimages, bound, value)
    assert refusal(root) == "dataset.too_large"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">2I", width, height) + b"\x08\x00\x00\x00\x00"


def jpeg(width: int, height: int, frame: int = 0xC2) -> bytes:
    comment = b"\xff\xfe\x00\x06note"
    return (
        b"\xff\xd8"
        + comment
        + b"\xff\xff"
        + bytes([frame])
        + b"\x00\x11\x08"
        + struct.pack(">2H", height, width)
        + b"\x03"
    )


@pytest.mark.parametrize("make_image", [png, jpeg])
def test_the_size_of_an_image_is_known_before_it_is_decoded(make_image: object) -> None:
    """M5: a picture of a few bytes that claims 2^32 pixels."""
    pytest.importorskip("numpy")
    from guildmark.models.images import size_of

    assert callable(make_image)
    assert size_of(make_image(640, 480)) == (640, 480)
    for width, height in ((0, 1), (1, 0), (65_535, 65_535), (16_384, 1_025)):
        with pytest.raises(ModelRefused) as caught:
            size_of(make_image(width, height))
        assert caught.value.code == "dataset.too_large"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(30),
        jpeg(1, 1)[:8],
        png(1, 1)[:20],
        b"\xff\xd8" + b"\xff\xe0\x00\x00" * 9,
        jpeg(4, 4, 0xC4),
    ],
)
def test_what_is_no_image_is_refused(data: bytes) -> None:
    pytest.importorskip("numpy")
    from guildmark.models.images import size_of

    with pytest.raises(ModelRefused) as caught:
        size_of(data)
    assert caught.value.code == "dataset.image"
