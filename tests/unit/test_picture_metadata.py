"""Taking metadata out of pictures without touching their pixels."""

from __future__ import annotations

import io
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from actors.media.picture_metadata import Damaged, jp2_without_metadata, jpeg_without_metadata
from tests import media_files as files

CAMERA = files.CAMERA.encode()
PHOTO = files.photograph()


def segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def pixels(picture: bytes) -> bytes:
    return Image.open(io.BytesIO(picture)).convert("RGB").tobytes()


@pytest.mark.parametrize(
    "jpeg",
    [
        PHOTO,
        files.picture(progressive=True, exif=b"Exif\0\0" + CAMERA, comment=CAMERA),
        PHOTO[:2] + segment(0xE6, b"GoPro\0" + CAMERA) + PHOTO[2:],
        PHOTO[:2] + b"\xff\xff" + segment(0xE1, b"Exif\0\0" + CAMERA) + PHOTO[2:],
        PHOTO[:2] + segment(0xE2, b"MPF\0" + CAMERA) + PHOTO[2:] + PHOTO,
        PHOTO[:-2] + segment(0xE1, CAMERA) + PHOTO[-2:],
    ],
)
def test_what_the_camera_knew_goes_and_the_pixels_stay(jpeg: bytes) -> None:
    stripped = jpeg_without_metadata(jpeg)
    assert CAMERA in jpeg and CAMERA not in stripped
    assert b"Exif" not in stripped
    assert pixels(stripped) == pixels(jpeg.replace(b"MPF", b"..."))  # which Pillow would read
    assert jpeg_without_metadata(stripped) == stripped


def test_colours_stay_as_they_were() -> None:
    profile = b"ICC_PROFILE\0\1\1" + b"p" * 20
    jpeg = PHOTO[:2] + segment(0xE2, profile) + segment(0xEE, b"Adobe\0d") + PHOTO[2:]
    stripped = jpeg_without_metadata(jpeg)
    assert profile in stripped and b"Adobe" in stripped


def test_one_that_is_cut_off_among_its_pixels_stays_so() -> None:
    cut = PHOTO[:-500]
    assert jpeg_without_metadata(cut) == jpeg_without_metadata(PHOTO)[:-500]


@pytest.mark.parametrize(
    "jpeg", [b"", b"\xff\xd8", b"\xff\xd8\xff", PHOTO[:30], b"GIF89a", PHOTO[1:]]
)
def test_what_has_no_pixels_is_damaged(jpeg: bytes) -> None:
    with pytest.raises(Damaged):
        jpeg_without_metadata(jpeg)


@given(st.binary(max_size=300), st.integers(0, len(PHOTO)))
def test_nothing_makes_it_fail_otherwise_or_grow(noise: bytes, cut: int) -> None:
    jp2 = b"\0\0\0\x0cjP  \r\n\x87\n"
    bare = b"\xff\x4f\xff\x51"
    for strip, data in (
        (jpeg_without_metadata, PHOTO[:cut] + noise),
        (jpeg_without_metadata, b"\xff\xd8" + noise),
        (jp2_without_metadata, jp2 + noise),
        (jp2_without_metadata, bare + noise),
    ):
        with suppress(Damaged):
            assert len(strip(data)) <= len(data)
