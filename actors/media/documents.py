"""PDF: what acts, hides or is locked is refused; what is left loses its metadata.

Runs in the process of sandbox.py alone. There are no thumbnails: nothing here draws pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream

from actors.media.limits import ORIGINAL, Limits, Processed, Refused

# Keys and values (of /S, /Subtype, /Type) of what does something when a page is opened, or carries
# other files along. ISO 32000-2, 12.6 (actions), 7.11 (files), 13 (multimedia).
_SCRIPTS: Final = frozenset({"/JS", "/JavaScript", "/XFA"})
_FILES: Final = frozenset({"/EmbeddedFiles", "/EF", "/AF", "/RichMediaContent"})
_BAD_ACTIONS: Final = frozenset(
    {"/JavaScript", "/Launch", "/ImportData", "/SubmitForm", "/GoToE", "/Rendition", "/Movie"}
)
_BAD_KINDS: Final = frozenset({"/RichMedia", "/FileAttachment", "/EmbeddedFile", "/3D", "/Movie"})
# Where programs keep what they know of the document's author, and former versions of pages.
_METADATA: Final = ("/Metadata", "/PieceInfo", "/Thumb", "/LastModified")
_DCT: Final = Name("/DCTDecode")


def process_pdf(source: Path, folder: Path, limits: Limits) -> Processed:
    """Writes `original` into `folder`. Raises Refused, and what pikepdf raises of damaged files."""
    try:
        pdf = Pdf.open(source)
    except pikepdf.PasswordError:
        raise Refused("It is encrypted.") from None
    with pdf:
        if pdf.is_encrypted:
            raise Refused("It is encrypted.")
        pages = len(pdf.pages)
        if pages > limits.max_pages:
            raise Refused(f"It has more than {limits.max_pages} pages.")
        if pages == 0:
            raise Refused("It has no pages.")
        for part in pdf.objects:
            _clean(part)
        if "/Info" in pdf.trailer:
            del pdf.trailer["/Info"]
        pdf.save(
            folder / ORIGINAL,
            deterministic_id=True,  # the old one tells that two files have one origin
            fix_metadata_version=False,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
        )
    return Processed(content_type="application/pdf", pages=pages)


def _clean(part: Any) -> None:
    """Looks at one object and at what stands directly in it; raises Refused."""
    waiting = [part]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Array):
            waiting.extend(item for item in one.as_list() if _is_direct(item))
            continue
        if not isinstance(one, (Dictionary, Stream)):
            continue
        keys = set(one.keys())
        _judge(one, keys)
        for key in _METADATA:
            if key in keys:
                del one[key]
        if isinstance(one, Stream):
            _strip_photo(one)
        waiting.extend(
            value for key in keys.difference(_METADATA) if _is_direct(value := one.get(key))
        )


def _is_direct(value: Any) -> bool:
    """Indirect objects are looked at by themselves."""
    return isinstance(value, (Array, Dictionary)) and not value.is_indirect


def _judge(one: Any, keys: set[str]) -> None:
    if keys & _SCRIPTS:
        raise Refused("It contains scripts.")
    if keys & _FILES:
        raise Refused("It contains other files.")
    for key, refused in (("/S", _BAD_ACTIONS), ("/Subtype", _BAD_KINDS), ("/Type", _BAD_KINDS)):
        value = one.get(key) if key in keys else None
        if isinstance(value, Name) and str(value) in refused:
            raise Refused("It contains actions or media.")


def _strip_photo(stream: Stream) -> None:
    """A photograph on a page still knows where it was taken."""
    filters = stream.get("/Filter")
    if filters == _DCT or (isinstance(filters, Array) and filters.as_list() == [_DCT]):
        raw = stream.read_raw_bytes()
        stripped = without_metadata(raw)
        if len(stripped) < len(raw):
            parameters: Any = stream.get("/DecodeParms")
            stream.write(stripped, filter=_DCT, decode_parms=parameters)


_COMMENT: Final = 0xFE
_EXIF_XMP: Final = 0xE1
_IPTC: Final = 0xED
_SCAN: Final = 0xDA


def without_metadata(jpeg: bytes) -> bytes:
    """The same JPEG without Exif, XMP, IPTC and comments; the picture's own bytes stay. What can't
    be read is returned as it is."""
    out = bytearray(jpeg[:2])
    place = 2
    while place + 4 <= len(jpeg) and jpeg[place] == 0xFF and jpeg[place + 1] != _SCAN:
        length = int.from_bytes(jpeg[place + 2 : place + 4])
        if length < 2:
            return jpeg
        end = place + 2 + length
        if jpeg[place + 1] not in (_COMMENT, _EXIF_XMP, _IPTC):
            out += jpeg[place:end]
        place = end
    return bytes(out + jpeg[place:])
