"""Settings of uploaded files: where objects are kept, and what a member may upload."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import Meta

from config.section import Section

# The long sides of the smaller copies that are made of every picture, in pixels. In paths and in
# stored objects: a size that is added here exists of what is uploaded from then on.
THUMBNAIL_SIZES: Final = (320, 960)


class Objects(Section, frozen=True):
    """The object store. S3, R2, and Google's by its S3 interface with HMAC keys."""

    url: str = ""
    """`s3://bucket/prefix`, or `file:///folder` that all nodes share; empty: the folder `objects`
    of the data directory."""
    endpoint: str = ""
    """Of an S3 server; empty: Amazon's in that region."""
    public_endpoint: str = ""
    """Where browsers reach it, if that is elsewhere."""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = ""
    allow_http: bool = False
    """Also an endpoint without TLS."""
    path_style: bool = True
    """The bucket in the path; false: in the host name."""

    def __post_init__(self) -> None:
        # Messages never repeat what may hold a password.
        scheme = urlsplit(self.url).scheme
        if self.url and scheme not in ("s3", "file"):
            raise ValueError("url: must begin with s3:// or file:///")
        if scheme == "s3":
            if not urlsplit(self.url).netloc:
                raise ValueError("url: must name a bucket, s3://bucket")
            if not (self.access_key_id and self.secret_access_key):
                raise ValueError("access_key_id: s3:// needs it, and secret_access_key")
        for field in ("endpoint", "public_endpoint"):
            scheme = urlsplit(getattr(self, field)).scheme
            if getattr(self, field) and scheme not in ("http", "https"):
                raise ValueError(f"{field}: must begin with http:// or https://")
            if scheme == "http" and not self.allow_http:
                raise ValueError(f"{field}: http:// needs allow_http")


class Media(Section, frozen=True):
    """What a member may upload, and how long it is kept."""

    max_file_bytes: Annotated[int, Meta(ge=1_024, le=1 << 30)] = 10 * 1024 * 1024
    bytes_per_day: Annotated[int, Meta(ge=1_024, le=1 << 40)] = 200 * 1024 * 1024
    """Of one member, in any 24 hours."""
    upload_seconds: Annotated[int, Meta(ge=60, le=86_400)] = 900
    """How long the address of an upload is good."""
    max_pixels: Annotated[int, Meta(ge=10_000, le=200_000_000)] = 50_000_000
    """Of a picture, or of all frames of an animation. Decoding takes up to 16 bytes each."""
    max_frames: Annotated[int, Meta(ge=1, le=10_000)] = 200
    max_pages: Annotated[int, Meta(ge=1, le=10_000)] = 200
    orphan_hours: Annotated[int, Meta(ge=1, le=8_760)] = 24
    """What was never sent, or belongs to no post or comment, is deleted after this time."""
    cold_after_days: Annotated[int, Meta(ge=1, le=36_500)] = 365
    cold_class: str = ""
    """Storage class that originals move to by then, such as `STANDARD_IA`; empty: they stay. Only
    for `s3://`: the bucket's own rule does it."""
