"""Presigned URLs of S3 (Signature Version 4 in the query), which R2, GCS and others check alike.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html. Our own, because
obstore signs method and path alone: here the length and type of an upload are signed as well, so
that nobody sends a gigabyte to the address of a picture, and the headers of a download. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

import msgspec

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


class Bucket(msgspec.Struct, frozen=True):
    """`endpoint` is `scheme://host[:port]`."""

    endpoint: str
    name: str
    region: str
    access_key_id: str
    secret_access_key: str
    path_style: bool = True

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"


def presign(
    bucket: Bucket,
    method: str,
    key: str,
    seconds: int,
    now: datetime,
    *,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
) -> str:
    """Good for `seconds` (7 days at most) after `now` (UTC). Whoever uses it must send `headers` as
    they are here; `query` are further parameters of the request, such as
    `response-content-type`. An empty `key` is the bucket itself."""
    endpoint = urlsplit(bucket.endpoint)
    host, path = endpoint.netloc, f"/{key}"
    if bucket.path_style:
        path = f"/{bucket.name}{path}" if key else f"/{bucket.name}"
    else:
        host = f"{bucket.name}.{host}"
    path = quote(path, safe="/-_.~")
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{bucket.region}/s3/aws4_request"
    signed = {"host": host} | {
        name.lower(): value.strip() for name, value in (headers or {}).items()
    }
    names = ";".join(sorted(signed))
    parameters = {
        **(query or {}),
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{bucket.access_key_id}/{scope}",
        "X-Amz-Date": stamp,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": names,
    }
    sorted_query = "&".join(
        sorted(f"{_quoted(name)}={_quoted(value)}" for name, value in parameters.items())
    )
    request = "\n".join(
        (
            method,
            path,
            sorted_query,
            *(f"{name}:{signed[name]}" for name in sorted(signed)),
            "",
            names,
            "UNSIGNED-PAYLOAD",
        )
    )
    to_sign = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key_bytes = f"AWS4{bucket.secret_access_key}".encode()
    for part in (stamp[:8], bucket.region, "s3", "aws4_request"):
        key_bytes = hmac.digest(key_bytes, part.encode(), "sha256")
    signature = hmac.digest(key_bytes, to_sign.encode(), "sha256").hex()
    return f"{endpoint.scheme}://{host}{path}?{sorted_query}&X-Amz-Signature={signature}"


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
