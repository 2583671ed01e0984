"""Rules that a bucket follows by itself: originals move to a colder class, abandoned uploads end.

Only our own rules are written, whatever else the operator has set for the bucket stays. obstore has
no call for it, so these two requests are made here. They are signed for one host: a redirect is an
error, and no other server's answer is taken for the bucket's rules.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Final
from xml.etree import ElementTree

from config.errors import AppError
from config.no_redirects import open_here
from storage.objects import ORIGINALS, UPLOADS, Objects
from storage.presigning import Bucket, presign

_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
XML: Final = f"{{{_NAMESPACE}}}"
_OURS: Final = "serai-"
_SECONDS: Final = 30
_MAX_BYTES: Final = 1 << 20
# The job that looks for them comes first; this is for the time when nothing of ours runs.
_UPLOADS_KEPT_DAYS: Final = 3


async def apply(objects: Objects, cold_after_days: int, cold_class: str) -> bool:
    """Whether the bucket's rules had to be changed; an empty `cold_class` leaves originals where
    they are. Raises AppError `unavailable`, and `invalid` where the store takes no such rule."""
    assert objects.bucket is not None
    return await asyncio.to_thread(
        _apply, objects.bucket, objects.prefix, cold_after_days, cold_class
    )


def _apply(bucket: Bucket, prefix: str, cold_after_days: int, cold_class: str) -> bool:
    ElementTree.register_namespace("", _NAMESPACE)
    before = read(bucket)
    rules = [rule for rule in before if not _id(rule).startswith(_OURS)]
    if cold_class:
        rules.append(
            _rule("cold-originals", prefix + ORIGINALS, "Transition", cold_after_days, cold_class)
        )
    rules.append(_rule("uploads", prefix + UPLOADS, "Expiration", _UPLOADS_KEPT_DAYS, ""))
    if sorted(map(_shape, rules)) == sorted(map(_shape, before)):
        return False
    write(bucket, rules)
    return True


def _rule(
    name: str, prefix: str, action: str, days: int, storage_class: str
) -> ElementTree.Element:
    rule = ElementTree.Element(f"{XML}Rule")
    ElementTree.SubElement(rule, f"{XML}ID").text = _OURS + name
    chosen = ElementTree.SubElement(rule, f"{XML}Filter")
    ElementTree.SubElement(chosen, f"{XML}Prefix").text = prefix
    ElementTree.SubElement(rule, f"{XML}Status").text = "Enabled"
    act = ElementTree.SubElement(rule, XML + action)
    ElementTree.SubElement(act, f"{XML}Days").text = str(days)
    if storage_class:
        ElementTree.SubElement(act, f"{XML}StorageClass").text = storage_class
    return rule


def read(bucket: Bucket) -> list[ElementTree.Element]:
    try:
        answer = _send(bucket, "GET", None)
    except urllib.error.HTTPError as error:
        if error.code == 404:  # there are no rules
            return []
        raise _refused(error) from error
    return list(ElementTree.fromstring(answer))


def write(bucket: Bucket, rules: Sequence[ElementTree.Element]) -> None:
    """Instead of all that are there."""
    document = ElementTree.Element(f"{XML}LifecycleConfiguration")
    document.extend(rules)
    try:
        _send(bucket, "PUT", ElementTree.tostring(document))
    except urllib.error.HTTPError as error:
        raise _refused(error) from error


def _send(bucket: Bucket, method: str, body: bytes | None) -> bytes:
    headers = {}
    if body is not None:
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        headers["Content-MD5"] = base64.b64encode(digest).decode()
    now = datetime.now(UTC)
    url = presign(bucket, method, "", _SECONDS, now, headers=headers, query={"lifecycle": ""})
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with open_here(request, timeout=_SECONDS) as response:
            answer: bytes = response.read(_MAX_BYTES)
    except urllib.error.HTTPError:
        raise
    except (OSError, HTTPException) as error:
        raise AppError("unavailable", "The store of files can't be reached.") from error
    return answer


def _refused(error: urllib.error.HTTPError) -> AppError:
    with error:
        said = error.read(500).decode(errors="replace")
    code = "unavailable" if error.code >= 500 and error.code != 501 else "invalid"
    return AppError(code, f"The bucket takes no rules: {error.code} {said}")


def _id(rule: ElementTree.Element) -> str:
    return rule.findtext(f"{XML}ID") or rule.findtext("ID") or ""


def _shape(element: ElementTree.Element) -> tuple[str, str, tuple[object, ...]]:
    """Equal for rules that say the same, in whatever order."""
    name = element.tag.rpartition("}")[2]
    return name, (element.text or "").strip(), tuple(sorted(map(_shape, element), key=repr))
