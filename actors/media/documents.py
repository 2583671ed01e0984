"""PDF: what acts, hides or is locked is refused; what is left loses its metadata.

Runs in the process of sandbox.py alone. There are no thumbnails: nothing here draws pages.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream

from actors.media.limits import ORIGINAL, Limits, Processed, Refused
from actors.media.picture_metadata import (
    Damaged,
    jp2_without_metadata,
    jpeg_without_metadata,
)

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
_PICTURES: Final = {
    "/DCTDecode": jpeg_without_metadata,
    "/DCT": jpeg_without_metadata,
    "/JPXDecode": jp2_without_metadata,
}
_INLINE: Final = re.compile(rb"/F(ilter)?[\s\[]{0,9}(/\w{1,19}\s{0,9}){0,4}/DCT")


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
            _clean(pdf, part)
        if "/Info" in pdf.trailer:
            del pdf.trailer["/Info"]
        pdf.save(
            folder / ORIGINAL,
            deterministic_id=True,  # the old one tells that two files have one origin
            fix_metadata_version=False,
            object_stream_mode=pikepdf.ObjectStreamMode.generate,
        )
    return Processed(content_type="application/pdf", pages=pages)


def _clean(pdf: Pdf, part: Any) -> None:
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
            _strip_picture(pdf, one)
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


def _strip_picture(pdf: Pdf, stream: Stream) -> None:
    """A photograph on a page still knows where it was taken, also where it is packed once more."""
    filters = [str(name) for name in _listed(stream.get("/Filter"))]
    if not _PICTURES.keys() & set(filters):
        if (drawn := stream.get("/Subtype")) is None or drawn == Name.Form:
            _refuse_inline_photograph(stream)
        return
    *wrappings, kind = filters
    if kind not in _PICTURES or _PICTURES.keys() & set(wrappings):
        raise _unfit_picture()
    parameters = _listed(stream.get("/DecodeParms"))
    raw = stream.read_raw_bytes()
    picture = _unpacked(pdf, raw, wrappings, parameters[:-1]) if wrappings else raw
    try:
        stripped = _PICTURES[kind](picture)
    except Damaged:
        raise _unfit_picture() from None
    if stripped != raw:
        its = parameters[-1] if len(parameters) == len(filters) else None
        name = Name("/DCTDecode" if kind == "/DCT" else kind)
        stream.write(stripped, filter=name, decode_parms=its)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value.as_list()) if isinstance(value, Array) else [value]


def _unpacked(pdf: Pdf, data: bytes, filters: list[str], parameters: list[Any]) -> bytes:
    """By a stream that nothing refers to, so that it is not saved."""
    packed = Stream(pdf, b"")
    packed.write(
        data,
        filter=Array([Name(name) for name in filters]),
        decode_parms=Array(parameters) if len(parameters) == len(filters) else None,
    )
    try:
        return packed.read_bytes(pikepdf.StreamDecodeLevel.specialized)
    except pikepdf.PdfError:
        raise _unfit_picture() from None


def _refuse_inline_photograph(stream: Stream) -> None:
    """What is drawn (pages, forms) may hold small pictures itself; programs put no photographs
    there."""
    try:
        text = stream.read_bytes(pikepdf.StreamDecodeLevel.specialized)
    except pikepdf.PdfError:
        return  # no reader draws it either
    if _INLINE.search(text):
        raise _unfit_picture()


def _unfit_picture() -> Refused:
    return Refused("A picture in it is damaged, or packed in a way that is not taken.")
