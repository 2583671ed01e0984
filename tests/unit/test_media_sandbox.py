"""What is made of uploaded files, and what is refused: in the process that opens them."""

from __future__ import annotations

import base64
import io
import os
import zlib
from pathlib import Path

import pikepdf
import pytest
from PIL import Image, features

from actors.media.limits import Limits, Processed
from actors.media.picture_metadata import jpeg_without_metadata
from actors.media.sandbox import process
from config.media import Media
from tests import media_files as files

LIMITS = Limits.of(Media())
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


class Opened:
    """The result of one file."""

    def __init__(self, data: bytes, folder: Path, limits: Limits = LIMITS) -> None:
        source = folder / "source"
        source.write_bytes(data)
        self._folder = folder
        self.result: Processed = process(source, folder, limits)

    @property
    def original(self) -> Path:
        return self._folder / "original"

    def image(self, name: str = "original") -> Image.Image:
        image = Image.open(self._folder / name)
        image.load()
        return image


def test_a_photograph_is_turned_upright_and_knows_no_place(tmp_path: Path) -> None:
    opened = Opened(files.photograph(orientation=6), tmp_path)
    result = opened.result
    assert (result.reason, result.content_type) == ("", "image/jpeg")
    assert (result.width, result.height) == (800, 1200)
    image = opened.image()
    assert image.size == (800, 1200)
    red, _, blue = image.convert("RGB").getpixel((400, 10))  # type: ignore[misc]
    assert red > 200 and blue < 50  # what was left is up now
    assert dict(image.getexif()) == {}
    assert not {"exif", "xmp", "comment", "icc_profile", "photoshop"} & set(image.info)
    raw = opened.original.read_bytes()
    assert files.CAMERA.encode() not in raw
    assert b"Exif" not in raw


def test_thumbnails_are_made_in_each_smaller_size(tmp_path: Path) -> None:
    opened = Opened(files.picture(1200, 800), tmp_path)
    assert opened.result.thumbnails == [960, 320]
    for size, dimensions in ((960, (960, 640)), (320, (320, 213))):
        image = opened.image(str(size))
        assert (image.format, image.size) == ("WEBP", dimensions)
    assert dict(opened.image("320").getexif()) == {}


def test_a_small_picture_needs_no_thumbnail(tmp_path: Path) -> None:
    assert Opened(files.picture(100, 80, "PNG"), tmp_path).result.thumbnails == []


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (files.picture(format="PNG"), "image/png"),
        (files.picture(format="WEBP"), "image/webp"),
        (files.picture(format="GIF"), "image/webp"),
        (files.animation(), "image/webp"),
        (files.animation(format="PNG"), "image/webp"),
    ],
)
def test_kinds_of_pictures(data: bytes, content_type: str, tmp_path: Path) -> None:
    assert Opened(data, tmp_path).result.content_type == content_type


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif_becomes_webp(tmp_path: Path) -> None:
    assert Opened(files.picture(format="AVIF"), tmp_path).result.content_type == "image/webp"


def test_an_animation_keeps_its_frames_and_its_pace(tmp_path: Path) -> None:
    image = Opened(files.animation(3), tmp_path).image()
    assert image.n_frames == 3  # type: ignore[attr-defined]
    assert (image.info["duration"], image.info["loop"]) == (70, 2)


def test_other_kinds_of_colours_are_shown_as_they_were(tmp_path: Path) -> None:
    image = Image.new("I;16", (400, 10), 0x8000)
    image.save(tmp_path / "grey.png")
    opened = Opened((tmp_path / "grey.png").read_bytes(), tmp_path)
    assert abs(opened.image("320").convert("L").getpixel((5, 5)) - 0x80) < 3  # type: ignore[operator]
    Image.new("CMYK", (10, 10), (255, 0, 0, 0)).save(tmp_path / "print.jpg")
    (tmp_path / "second").mkdir()
    opened = Opened((tmp_path / "print.jpg").read_bytes(), tmp_path / "second")
    assert opened.image().mode == "RGB"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (SVG, "Only JPEG"),
        (HTML, "Only JPEG"),
        (b"", "Only JPEG"),
        (b"MZ\x90\0", "Only JPEG"),
        (b"\n%PDF-1.4 after something else", "Only JPEG"),
        (files.picture()[:2000], "damaged"),
        (b"\xff\xd8\xff\xe0" + HTML, "damaged"),
        (b"%PDF-1.4 nothing else", "damaged"),
        (files.png_of_claimed_size(60_000, 60_000), "pixels"),
        (files.png_of_claimed_size(8_000, 8_000), "pixels"),
        (files.animation(300, side=2), "frames"),
        (files.document(201), "pages"),
        (files.document(0), "pages"),
        (files.encrypted_document(), "encrypted"),
        (files.document(OpenAction=pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="x")), "scr"),
        (files.launching_document(), "actions"),
        (files.attaching_document(), "other files"),
    ],
)
def test_what_is_refused_and_why(data: bytes, said: str, tmp_path: Path) -> None:
    opened = Opened(data, tmp_path)
    assert said in opened.result.reason
    assert not opened.original.exists()


def test_frames_count_as_pixels(tmp_path: Path) -> None:
    limits = Limits(max_pixels=10_000, max_frames=200, max_pages=1)
    assert Opened(files.animation(3, side=50), tmp_path, limits).result.reason == ""
    assert "pixels" in Opened(files.animation(5, side=50), tmp_path, limits).result.reason


def test_a_bound_of_memory_ends_the_process_and_not_ours(tmp_path: Path) -> None:
    bomb = files.unpacking_document(300)
    assert len(bomb) < 2_000_000
    limits = Limits(1_000_000, 1, 200, memory_bytes=400 << 20)
    assert Opened(bomb, tmp_path, limits).result.reason
    good = files.unpacking_document(1)
    assert Opened(good, tmp_path, limits).result.reason == ""


def test_a_bound_of_time_ends_it_too(tmp_path: Path) -> None:
    limits = Limits(50_000_000, 200, 200, cpu_seconds=1)
    noise = Image.frombytes("RGB", (5_000, 4_000), os.urandom(60_000_000))
    noise.save(tmp_path / "noise.png", compress_level=0)
    opened = Opened((tmp_path / "noise.png").read_bytes(), tmp_path, limits)
    assert "too much" in opened.result.reason


def test_a_document_loses_what_it_knows_of_its_author(tmp_path: Path) -> None:
    opened = Opened(files.document_with_photograph(), tmp_path)
    assert (opened.result.content_type, opened.result.pages) == ("application/pdf", 1)
    with pikepdf.open(opened.original) as pdf:
        assert "/Info" not in pdf.trailer
        assert "/Metadata" not in pdf.Root
        photo = pdf.pages[0].Resources.XObject.Photo.read_raw_bytes()
    assert files.CAMERA.encode() not in photo
    assert photo == jpeg_without_metadata(files.photograph())
    assert files.CAMERA.encode() not in opened.original.read_bytes()


def test_equal_files_become_equal_bytes(tmp_path: Path) -> None:
    results = set()
    for name, data in (("a", files.document(3)), ("b", files.document(3))):
        (tmp_path / name).mkdir()
        results.add(Opened(data, tmp_path / name).original.read_bytes())
    assert len(results) == 1


def _in_letters(data: bytes) -> bytes:
    return base64.a85encode(data) + b"~>"


PHOTO = files.photograph()


@pytest.mark.parametrize(
    ("filters", "data"),
    [
        (("/DCT",), PHOTO),
        (("/FlateDecode", "/DCTDecode"), zlib.compress(PHOTO)),
        (("/ASCII85Decode", "/DCTDecode"), _in_letters(PHOTO)),
        (("/ASCIIHexDecode", "/FlateDecode", "/DCTDecode"), zlib.compress(PHOTO).hex().encode()),
    ],
)
def test_a_photograph_that_is_packed_once_more_knows_no_place(
    filters: tuple[str, ...], data: bytes, tmp_path: Path
) -> None:
    opened = Opened(files.document_with_photograph(filters, data), tmp_path)
    assert opened.result.reason == ""
    with pikepdf.open(opened.original) as pdf:
        photo = pdf.pages[0].Resources.XObject.Photo
        assert photo.read_raw_bytes() == jpeg_without_metadata(PHOTO)
        assert photo.Filter == pikepdf.Name.DCTDecode
        assert isinstance(photo, pikepdf.Stream)
        assert pikepdf.PdfImage(photo).as_pil_image().size == (1200, 800)


@pytest.mark.skipif(not features.check("jpg_2000"), reason="this Pillow has no JPEG 2000")
@pytest.mark.parametrize("filters", [("/JPXDecode",), ("/FlateDecode", "/JPXDecode")])
def test_boxes_of_jpeg_2000_know_no_place(filters: tuple[str, ...], tmp_path: Path) -> None:
    data = files.photograph_in_boxes()
    packed = data if len(filters) == 1 else zlib.compress(data)
    opened = Opened(files.document_with_photograph(filters, packed), tmp_path)
    assert opened.result.reason == ""
    with pikepdf.open(opened.original) as pdf:
        photo = pdf.pages[0].Resources.XObject.Photo.read_raw_bytes()
    assert data.count(files.CAMERA.encode()) == 5
    assert files.CAMERA.encode() not in photo
    shown, sent = Image.open(io.BytesIO(photo)), Image.open(io.BytesIO(data))
    assert shown.tobytes() == sent.tobytes()


@pytest.mark.parametrize(
    "document",
    [
        files.document_with_photograph(("/DCTDecode", "/FlateDecode"), zlib.compress(PHOTO)),
        files.document_with_photograph(("/DCTDecode", "/DCTDecode"), PHOTO),
        files.document_with_photograph(("/FlateDecode", "/DCTDecode"), PHOTO),
        files.document_with_photograph(data=PHOTO[:300]),
        files.document_with_photograph(("/JPXDecode",), PHOTO),
        files.document_with_inline_photograph(),
        files.document_with_inline_photograph(b"[/A85 /DCT]"),
    ],
)
def test_pictures_that_can_t_be_stripped_are_refused(document: bytes, tmp_path: Path) -> None:
    opened = Opened(document, tmp_path)
    assert "A picture in it" in opened.result.reason
    assert not opened.original.exists()
