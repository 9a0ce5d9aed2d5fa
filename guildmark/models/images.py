"""One image file, from its bytes to the numbers that a model gets. Runs in the confined child only.

The size that the file states is read here, before a decoder allocates for it. JPEG is decoded by libjpeg-turbo with the
accurate integer transform and smooth upsampling, PNG by libpng, both as TensorFlow brings them: to three channels of
eight bits (a palette is resolved, of 16 bits the upper half is kept, transparency is dropped, an orientation in the
file's metadata is not applied). What follows is `resampling`. Sources: ITU-T T.81 annex B, PNG (third edition) 11.2.1.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from guildmark.models.dataset import Array
from guildmark.models.errors import ModelRefused
from guildmark.models.resampling import gray, resample

SIDE_MAX: Final = 16_384
PIXELS_MAX: Final = 1 << 24
"""Width times height of an image; a few hundred MB while it is brought to the model's size."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame; C4, C8 and CC are tables and an extension."""
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers without a length."""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG or PNG file states.

    Raises:
        ModelRefused: `dataset.image`, neither of them or cut off; `dataset.too_large`, beyond SIDE_MAX or PIXELS_MAX.
    """
    if data.startswith(_PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">2I", data, 16)
    elif data.startswith(_JPEG):
        width, height = _jpeg_size(data)
    else:
        raise ModelRefused("dataset.image", "neither a JPEG nor a PNG file")
    if not (0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX and width * height <= PIXELS_MAX):
        raise ModelRefused("dataset.too_large", f"an image of {width} x {height} pixels is not decoded")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes
            position += 1
            continue
        if marker in _FRAMES:
            height, width = struct.unpack_from(">2H", data, position + 5)
            return width, height
        position += 2 if marker in _BARE else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ModelRefused("dataset.image", "a JPEG file without a frame")


def decode(data: bytes, height: int, width: int, channels: int) -> Array:
    """The pixels of an image file as uint8 of shape (height, width, channels); `channels` is 1 or 3.

    Raises:
        ModelRefused: `dataset.image`, `dataset.too_large`.
    """
    import tensorflow as tf

    stated = size_of(data)
    try:
        if data.startswith(_PNG):
            tensor = tf.io.decode_png(data, channels=3, dtype=tf.uint8)
        else:
            tensor = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE", fancy_upscaling=True)
    except tf.errors.OpError as error:
        raise ModelRefused("dataset.image", f"the image cannot be decoded: {str(error)[:200]}") from error
    pixels: Any = tensor.numpy()
    if pixels.shape != (stated[1], stated[0], 3):
        raise ModelRefused("dataset.image", "the image has not the size that it states")
    # Gray before the size, so that there is one order of the two roundings.
    return resample(gray(pixels) if channels == 1 else pixels, height, width)
