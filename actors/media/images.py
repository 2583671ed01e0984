"""Pictures made anew: turned upright, in sRGB, without anything that is not the picture.

Runs in the process of sandbox.py alone. JPEG and PNG stay what they are; all else, and whatever
moves, becomes WebP, which every browser shows and which is smaller.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

from PIL import AvifImagePlugin, Image, ImageCms, ImageOps

from actors.media.limits import ORIGINAL, Limits, Processed, Refused
from actors.media.sniffing import Kind
from config.media import THUMBNAIL_SIZES

# Of what was photographed nobody sees a difference to the original.
_JPEG: Final[dict[str, Any]] = {"quality": 90, "optimize": True, "progressive": True}
_WEBP: Final[dict[str, Any]] = {"quality": 85, "method": 4}
_THUMBNAIL: Final[dict[str, Any]] = {"quality": 78, "method": 4}
_TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def process_image(source: Path, folder: Path, kind: Kind, limits: Limits) -> Processed:
    """Writes `original` and the thumbnails (by size) into `folder`. Raises Refused, and what Pillow
    raises for damaged files."""
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each reserves memory, which is bounded here
    try:
        image = Image.open(source, formats=[kind.upper()])
    except Image.DecompressionBombError:
        raise _too_many_pixels(limits) from None
    with image:
        # So far only the header was read: dimensions and the number of frames are known.
        frames = 1 if kind == "jpeg" else getattr(image, "n_frames", 1)
        _check(image.width * image.height, frames, limits)
        animated = frames > 1
        target = folder / ORIGINAL
        if animated:
            format = "WEBP"
            _save_animation(image, frames, target)
            image.seek(0)
        first = _upright(image)
        if not animated:
            format = {"jpeg": "JPEG", "png": "PNG"}.get(kind, "WEBP")
            _save(first, format, target)
    return Processed(
        content_type=_TYPES[format],
        width=first.width,
        height=first.height,
        thumbnails=_save_thumbnails(first, folder),
    )


def _check(pixels: int, frames: int, limits: Limits) -> None:
    if pixels * frames > limits.max_pixels:
        raise _too_many_pixels(limits)
    if frames > limits.max_frames:
        raise Refused(f"It has more than {limits.max_frames} frames.")


def _too_many_pixels(limits: Limits) -> Refused:
    return Refused(f"It has more than {limits.max_pixels} pixels.")


def _upright(image: Image.Image) -> Image.Image:
    """The picture itself: turned as its camera was held, colours in sRGB, nothing else kept."""
    profile = image.info.get("icc_profile")
    picture = ImageOps.exif_transpose(image)
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        converted = _in_srgb(picture, profile, "RGB")
        picture = converted or picture.convert("RGB")
    elif profile and picture.mode in ("RGB", "RGBA"):
        picture = _in_srgb(picture, profile, picture.mode) or picture
    kept = picture.info.get("transparency")
    # What Pillow finds here it writes again: comments, profiles, positions of cameras.
    picture.info = {} if kept is None else {"transparency": kept}
    return picture


def _in_srgb(picture: Image.Image, profile: bytes | None, mode: str) -> Image.Image | None:
    """None: the profile says nothing that can be used."""
    if not profile:
        return None
    try:
        return ImageCms.profileToProfile(
            picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode=mode
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _save(picture: Image.Image, format: str, target: Path) -> None:
    if format == "JPEG":
        picture = picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
        picture.save(target, format, **_JPEG)
    elif format == "PNG":
        picture.save(target, format)
    else:
        _in_colour(picture).save(target, format, **_WEBP)


def _save_animation(image: Image.Image, frames: int, target: Path) -> None:
    durations = []
    for number in range(frames):
        image.seek(number)
        durations.append(int(image.info.get("duration", 100)) or 100)
    loops = int(image.info.get("loop", 0))
    image.seek(0)
    image.save(target, "WEBP", save_all=True, duration=durations, loop=loops, exif=b"", **_WEBP)


def _save_thumbnails(picture: Image.Image, folder: Path) -> list[int]:
    """Largest first, each from the one before; none that would not be smaller than the original."""
    small = _in_colour(picture)
    made = []
    for size in sorted(THUMBNAIL_SIZES, reverse=True):
        if max(picture.size) > size:
            small = small.copy()
            small.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
            small.save(folder / str(size), "WEBP", **_THUMBNAIL)
            made.append(size)
    return made


def _in_colour(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which `convert` would cut off at 255
        return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if picture.mode in ("RGB", "RGBA"):
        return picture
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
