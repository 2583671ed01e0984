"""Addresses of files: in texts, of uploads, and those that S3 checks."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from actors.markdown import _cleaner, _picture_cleaner, render
from actors.media import upload_signature
from actors.media.links import MAX_FILES, PATH, linked_files
from actors.media.sniffing import ACCEPTED_TYPES, sniff
from config.errors import AppError
from config.media import Objects
from storage import bucket_rules
from storage.identity import new_id
from storage.objects import Objects as ObjectStore
from storage.presigning import Bucket, presign

ID = "0192f5a6-7c3e-7000-8b1a-9c7d5e3f1a2b"
OWN = f"{PATH}{ID}"
REL = 'rel="nofollow noopener ugc"'
PICTURE = f'<img src="{OWN}/thumbnails/960" alt="{{}}" loading="lazy">'


def test_the_address_is_the_one_of_the_published_example() -> None:
    """docs.aws.amazon.com, Signature Calculation: Query Parameters."""
    bucket = Bucket(
        "https://s3.amazonaws.com",
        "examplebucket",
        "us-east-1",
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        path_style=False,
    )
    url = presign(bucket, "GET", "test.txt", 86_400, datetime(2013, 5, 24, tzinfo=UTC))
    assert url.startswith("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4")
    assert url.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    assert "wJalr" not in repr(bucket)


def test_length_and_type_of_an_upload_are_signed() -> None:
    bucket = Bucket("http://127.0.0.1:9", "b", "r", "k", "s")
    now = datetime(2026, 1, 1, tzinfo=UTC)

    def url(**headers: str) -> str:
        return presign(bucket, "PUT", "a b/ü", 60, now, headers=headers)

    one = url(**{"Content-Type": "image/png", "Content-Length": "5"})
    assert one.startswith("http://127.0.0.1:9/b/a%20b/%C3%BC?")
    assert "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost" in one
    assert one != url(**{"Content-Type": "image/png", "Content-Length": "6"})


def test_a_signed_upload_is_good_for_its_file_its_size_and_its_time() -> None:
    secret, media_id = "s" * 32, new_id(0)
    signature = upload_signature.sign(secret, media_id, 10, 1_000)
    upload_signature.check(secret, media_id, 10, 1_000, signature, 999.0)
    for changed in (
        ("t" * 32, media_id, 10, 1_000, signature, 999.0),
        (secret, new_id(0), 10, 1_000, signature, 999.0),
        (secret, media_id, 11, 1_000, signature, 999.0),
        (secret, media_id, 10, 2_000, signature, 999.0),
        (secret, media_id, 10, 1_000, signature[:-1] + "ü", 999.0),
        (secret, media_id, 10, 1_000, signature, 1_001.0),
    ):
        with pytest.raises(AppError, match="not_permitted"):
            upload_signature.check(*changed)


async def test_originals_move_to_the_colder_class_by_a_rule_of_the_bucket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As S3 documents it; the server of the other tests has no classes."""
    kept = b""

    def send(bucket: Bucket, method: str, body: bytes | None) -> bytes:
        nonlocal kept
        kept = body or kept
        return kept or b"<LifecycleConfiguration/>"

    monkeypatch.setattr(bucket_rules, "_send", send)
    store = ObjectStore.open(Objects(url="s3://b/p", access_key_id="k", secret_access_key="s"))
    assert await bucket_rules.apply(store, 365, "STANDARD_IA")
    assert not await bucket_rules.apply(store, 365, "STANDARD_IA")
    assert (
        b"<Rule><ID>serai-cold-originals</ID><Filter><Prefix>p/original/</Prefix></Filter>"
        b"<Status>Enabled</Status><Transition><Days>365</Days>"
        b"<StorageClass>STANDARD_IA</StorageClass></Transition></Rule>"
    ) in kept
    assert await bucket_rules.apply(store, 365, "")
    assert b"Transition" not in kept


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe1", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF89a", "gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"\0\0\0 ftypavif", "avif"),
        (b"%PDF-1.7", "pdf"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"\0\0\0 ftypheic", None),
        (b"<svg", None),
        (b"II*\0", None),
        (b"", None),
    ],
)
def test_a_kind_is_told_by_its_first_bytes(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind
    assert kind is None or kind in ACCEPTED_TYPES.values()


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        (f"![My visa](/media/{ID})", f'<a href="{OWN}" {REL}>{PICTURE.format("My visa")}</a>'),
        (f"![]({OWN})", f'<a href="{OWN}" {REL}>{PICTURE.format("")}</a>'),
        (f"[letter](/media/{ID})", f'<a href="{OWN}" {REL}>letter</a>'),
        (
            f"[![x](/media/{ID})](https://e.example)",
            f'<a href="https://e.example" {REL}>{PICTURE.format("x")}</a>',
        ),
        (
            f'![a " onerror=x <b>](/media/{ID})',
            f'<a href="{OWN}" {REL}>{PICTURE.format("a &quot; onerror=x &lt;b&gt;")}</a>',
        ),
        (f"![x](/media/{ID}/../x)", "x"),
        (f"![x](//e.example/media/{ID})", "x"),
        (f"[x](/api/v1/media/{ID}/complete)", "x"),
        (f"[x](/media/{ID.upper()})", "x"),
        ("[x](/api/v1/me)", "x"),
    ],
)
def test_texts_show_files_and_no_other_path(markdown: str, html: str) -> None:
    assert render(markdown) == f'<p dir="auto">{html}</p>\n'


@pytest.mark.parametrize("cleaner", [_cleaner, _picture_cleaner])
@pytest.mark.parametrize(
    "address",
    ["https://e.example/x.png", "//e.example/x", "/api/v1/me", "data:image/png,x", f"{OWN}/x"],
)
def test_the_second_wall_lets_no_other_picture_through(cleaner: object, address: str) -> None:
    html = cleaner.clean(f'<p><img src="{address}" onerror="x"></p>')  # type: ignore[attr-defined]
    assert "src" not in html
    assert "onerror" not in html


def test_files_are_found_in_texts_once_and_not_without_end() -> None:
    ids = [new_id(0) for _ in range(MAX_FILES + 5)]
    text = " ".join(f"![x](/media/{id}) and {PATH}{id}" for id in ids)
    assert linked_files(text) == tuple(ids[:MAX_FILES])
    assert linked_files(f"/media/{ID.upper()} /media/{UUID(int=1)}") == ()
    assert linked_files("") == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "s3://"}, "bucket"),
        ({"url": "s3://bucket"}, "access_key_id"),
        ({"endpoint": "store:9000"}, "endpoint"),
        ({"endpoint": "http://store:9000"}, "allow_http"),
    ],
)
def test_a_store_is_named_completely_or_refused(fields: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Objects(**fields)  # type: ignore[arg-type]
