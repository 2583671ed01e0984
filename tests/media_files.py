"""Files that members send, the good and the bad ones, made when they are needed."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

CAMERA = "Serial 4711"


def picture(width: int = 1200, height: int = 800, format: str = "JPEG", **options: Any) -> bytes:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), "red")
    image.paste("blue", (width // 2, 0, width, height))
    return _saved(image, format, **options)


def photograph(orientation: int = 6) -> bytes:
    """With a camera, a place and a comment in it, held sideways."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0110] = CAMERA  # Model
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)}
    return picture(exif=exif, comment=CAMERA.encode())


def animation(frames: int = 3, side: int = 40, format: str = "GIF") -> bytes:
    images = [
        Image.new("RGB", (side, side), (number * 80 % 256, number % 7 * 30, 99))
        for number in range(frames)
    ]
    return _saved(images[0], format, save_all=True, append_images=images[1:], duration=70, loop=2)


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png_of_claimed_size(width: int, height: int) -> bytes:
    """A few bytes whose header claims any number of pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + data + chunk(b"IEND", b"")


def document(pages: int = 2, **root: Any) -> bytes:
    """A PDF; `root` are entries of its catalog."""
    with pikepdf.new() as pdf:
        for _ in range(pages):
            pdf.add_blank_page(page_size=(100, 100))
        for name, value in root.items():
            pdf.Root[f"/{name}"] = value
        return _saved_pdf(pdf)


def document_with_photograph(
    filters: tuple[str, ...] = ("/DCTDecode",), data: bytes | None = None
) -> bytes:
    """`data`: as it stands in the file, packed by all of `filters`."""
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(100, 100))
        photo = Stream(pdf, b"")
        packed = photograph() if data is None else data
        names = [Name(name) for name in filters]
        photo.write(packed, filter=names[0] if len(names) == 1 else Array(names))
        photo.Type, photo.Subtype = Name.XObject, Name.Image
        photo.Width, photo.Height, photo.BitsPerComponent = 1200, 800, 8
        photo.ColorSpace = Name.DeviceRGB
        page.Resources = Dictionary(XObject=Dictionary(Photo=photo))
        pdf.docinfo["/Author"] = CAMERA
        with pdf.open_metadata() as metadata:
            metadata["dc:creator"] = [CAMERA]
        return _saved_pdf(pdf)


def document_with_inline_photograph(filters: bytes = b"/DCT") -> bytes:
    """Drawn by the page's own content."""
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page(page_size=(100, 100))
        about = b"/W 1200 /H 800 /BPC 8 /CS /RGB /F " + filters
        page.Contents = pdf.make_stream(b"BI " + about + b" ID " + photograph() + b" EI")
        return _saved_pdf(pdf)


def photograph_in_boxes() -> bytes:
    """JPEG 2000, with places in a box, in the header's, and in a comment."""
    jp2 = picture(40, 30, "JPEG2000", comment=CAMERA.encode())
    box = _box(b"uuid", CAMERA.encode()) + _box(b"xml ", CAMERA.encode())
    at = jp2.index(b"jp2h") - 4
    size = int.from_bytes(jp2[at : at + 4])
    header = _box(b"jp2h", jp2[at + 8 : at + size] + box)
    return jp2[:at] + header + box + jp2[at + size :]


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def encrypted_document() -> bytes:
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        return _saved_pdf(pdf, encryption=pikepdf.Encryption(owner="o", user=""))


def launching_document() -> bytes:
    action = Dictionary(S=Name.Launch, F="calc.exe")
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        link = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([0, 0, 9, 9]), A=action)
        page.Annots = Array([link])
        return _saved_pdf(pdf)


def attaching_document() -> bytes:
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.attachments["x.exe"] = b"MZ"
        return _saved_pdf(pdf)


def _saved_pdf(pdf: pikepdf.Pdf, **options: Any) -> bytes:
    file = io.BytesIO()
    pdf.save(file, **options)
    return file.getvalue()


def unpacking_document(megabytes: int) -> bytes:
    """A PDF of some kB with a stream of objects that unpacks to this much."""
    packer = zlib.compressobj(1)
    page = b"3 0 <</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
    packed = packer.compress(page)
    spaces = b" " * (1 << 20)
    packed += b"".join(packer.compress(spaces) for _ in range(megabytes)) + packer.flush()
    out = b"%PDF-1.5\n"
    places = {}

    def add(number: int, body: bytes) -> None:
        nonlocal out
        places[number] = len(out)
        out += b"%d 0 obj" % number + body + b"\nendobj\n"

    add(1, b"<</Type/Catalog/Pages 2 0 R>>")
    add(2, b"<</Type/Pages/Count 1/Kids[3 0 R]>>")
    about = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>" % len(packed)
    add(4, about + b"\nstream\n" + packed + b"\nendstream")
    table = struct.pack(">BIB", 0, 0, 255)
    for number in (1, 2):
        table += struct.pack(">BIB", 1, places[number], 0)
    table += struct.pack(">BIB", 2, 4, 0)  # the page: in object 4, the first
    table += struct.pack(">BIB", 1, places[4], 0) + struct.pack(">BIB", 1, len(out), 0)
    start = len(out)
    about = b"<</Type/XRef/Size 6/W[1 4 1]/Root 1 0 R/Length %d>>" % len(table)
    add(5, about + b"\nstream\n" + table + b"\nendstream")
    return out + b"startxref\n%d\n%%%%EOF\n" % start
