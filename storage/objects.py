"""The object store: an S3 bucket, or a folder where there is none. Bytes by key, nothing else.

    upload/<media id>                what a member sent, until it is processed
    original/<hh>/<sha256>           what members get, without metadata
    thumbnail/<hh>/<sha256>-<size>   smaller copies
    export/<task id>.zip             all that is a member's, for a week

Nothing here is public: members get presigned addresses, or bytes through a gateway.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import LocalStore, S3Store

from config.errors import AppError
from config.media import Objects as ObjectSettings
from config.settings import Settings
from storage.presigning import Bucket, presign

_TRIES: Final[Any] = {"max_retries": 2, "retry_timeout": timedelta(seconds=5)}
_CLIENT: Final = {"connect_timeout": "5s", "timeout": "60s"}
_UNREACHABLE_SECONDS: Final = 5.0
UPLOADS: Final = "upload/"
ORIGINALS: Final = "original/"
EXPORTS: Final = "export/"
# A slow disk must not hold the loop of a gateway; a thread for every packet would cost more.
_WRITE_BYTES: Final = 256 * 1024


def upload_key(media_id: UUID) -> str:
    return f"{UPLOADS}{media_id}"


def original_key(hash: bytes) -> str:
    name = hash.hex()
    return f"{ORIGINALS}{name[:2]}/{name}"


def thumbnail_key(hash: bytes, size: int) -> str:
    name = hash.hex()
    return f"thumbnail/{name[:2]}/{name}-{size}"


def export_key(task_id: UUID) -> str:
    return f"{EXPORTS}{task_id}.zip"


class Objects:
    """Methods raise AppError `unavailable` when the store can't be reached or is full, `internal`
    when it refuses us or the bucket is not there: waiting does not help then."""

    def __init__(
        self, store: Any, *, folder: Path | None, bucket: Bucket | None, prefix: str = ""
    ) -> None:
        self._store = store
        self.bucket = bucket
        """Has presigned addresses; None: objects are files of `folder`."""
        self.prefix = prefix
        """Of all keys in the bucket."""
        self.folder = folder

    @classmethod
    def open(cls, settings: ObjectSettings) -> Self:
        """`settings.url` must be set. Makes the folder; of a bucket nothing is asked yet."""
        url = urlsplit(settings.url)
        if url.scheme == "file":
            folder = Path(unquote(url.path))
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return cls(LocalStore(folder), folder=folder, bucket=None)
        endpoint = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
        prefix = url.path.strip("/")
        client: Any = {**_CLIENT, "allow_http": settings.allow_http}
        store = S3Store(
            url.netloc,
            prefix=prefix or None,
            config={
                "endpoint": _endpoint_of_store(settings, endpoint, url.netloc),
                "region": settings.region,
                "access_key_id": settings.access_key_id,
                "secret_access_key": settings.secret_access_key,
                "virtual_hosted_style_request": not settings.path_style,
            },
            client_options=client,
            retry_config=_TRIES,
        )
        bucket = Bucket(
            (settings.public_endpoint or endpoint).rstrip("/"),
            url.netloc,
            settings.region,
            settings.access_key_id,
            settings.secret_access_key,
            settings.path_style,
        )
        return cls(store, folder=None, bucket=bucket, prefix=f"{prefix}/" if prefix else "")

    # ------------------------------------------------------------ addresses

    def presigned(
        self,
        method: str,
        key: str,
        seconds: int,
        *,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> str:
        """An address that needs no further right. Only of a bucket."""
        assert self.bucket is not None, "a folder has no addresses"
        return presign(
            self.bucket,
            method,
            f"{self.prefix}{key}",
            seconds,
            datetime.now(UTC),
            headers=headers,
            query=query,
        )

    def file(self, key: str) -> Path:
        """Only of a folder. `key` must be one of ours."""
        assert self.folder is not None, "a bucket has no files"
        return self.folder / key

    # ------------------------------------------------------------ bytes

    async def put(self, key: str, data: bytes, content_type: str) -> None:
        attributes: Any = {"Content-Type": content_type} if self.folder is None else None
        with _translated():
            await obstore.put_async(
                self._store, key, data, attributes=attributes, use_multipart=False
            )

    async def put_file(self, key: str, file: BinaryIO, content_type: str) -> None:
        """From where the file stands to its end, a part at a time."""
        attributes: Any = {"Content-Type": content_type} if self.folder is None else None
        with _translated():
            await obstore.put_async(self._store, key, file, attributes=attributes)

    async def size(self, key: str) -> int | None:
        """None: there is no such object."""
        with _translated():
            try:
                return (await obstore.head_async(self._store, key))["size"]
            except FileNotFoundError:
                return None

    async def read(self, key: str) -> bytes | None:
        """All of it; None: there is no such object."""
        with _translated():
            try:
                return bytes(await (await obstore.get_async(self._store, key)).bytes_async())
            except FileNotFoundError:
                return None

    async def download(self, key: str, path: Path) -> None:
        """Into a new file. Raises FileNotFoundError."""
        with _translated(missing_object=True):
            result = await obstore.get_async(self._store, key)
            with path.open("xb") as file:
                async for chunk in result.stream():
                    await asyncio.to_thread(file.write, chunk)

    async def delete(self, keys: Sequence[str]) -> None:
        """What is not there is deleted already."""
        with _translated():
            for key in keys:
                try:
                    await obstore.delete_async(self._store, key)
                except FileNotFoundError:
                    continue

    async def older_than(self, prefix: str, age: timedelta) -> AsyncIterator[str]:
        """Keys below `prefix` that were written longer than `age` ago."""
        before = datetime.now(UTC) - age
        with _translated():
            async for page in obstore.list(self._store, prefix=prefix):
                for found in page:
                    if found["last_modified"] < before:
                        yield found["path"]

    async def receive(self, key: str, chunks: AsyncIterable[bytes], size: int) -> None:
        """Writes exactly `size` bytes into a folder's file, which appears whole or not at all.

        Raises AppError `invalid` for less and `too_large` for more; nothing is left behind then.
        """
        path = self.file(key)
        part = path.with_name(f"{path.name}.{os.urandom(8).hex()}")
        with _translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                await _write(part, chunks, size)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise


async def _write(path: Path, chunks: AsyncIterable[bytes], size: int) -> None:
    received = 0
    waiting = bytearray()
    with path.open("xb") as file:
        async for chunk in chunks:
            received += len(chunk)
            if received > size:
                raise AppError("too_large", f"{size} bytes were announced, more came.")
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await asyncio.to_thread(file.write, bytes(waiting))
                waiting.clear()
        await asyncio.to_thread(file.write, bytes(waiting))
    if received < size:
        raise AppError("invalid", f"{size} bytes were announced, {received} came.")


def _endpoint_of_store(settings: ObjectSettings, endpoint: str, bucket: str) -> str:
    """obstore wants the bucket in the endpoint where it is part of the host name."""
    endpoint = endpoint.rstrip("/")
    if settings.path_style:
        return endpoint
    scheme, _, host = endpoint.partition("://")
    return f"{scheme}://{bucket}.{host}"


def objects_of(settings: Settings) -> Objects:
    """The store of this server; one for all of a process, since it keeps connections."""
    store = settings.objects
    if not store.url:
        folder = Path(settings.data_dir).resolve() / "objects"
        store = msgspec.structs.replace(store, url=folder.as_uri())
    return _opened(store)


_opened: Final = functools.lru_cache(maxsize=4)(Objects.open)


_REFUSALS: Final = (PermissionDeniedError, UnauthenticatedError)
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
# A folder's error is a text with the number in it.
_OS_ERROR: Final = re.compile(r"os error (\d+)")


@contextmanager
def _translated(*, missing_object: bool = False) -> Iterator[None]:
    """`missing_object`: FileNotFoundError is about an object, and passes through. Else the bucket
    or folder itself is not there."""
    try:
        yield
    except FileNotFoundError as error:
        if missing_object:
            raise
        raise _misconfigured("is not there") from error
    except OSError as error:
        raise _failed(error.errno) from error
    except _REFUSALS as error:
        raise _misconfigured("refuses this server") from error
    except NotFoundError as error:
        raise _misconfigured("is not there") from error
    except BaseError as error:
        number = _OS_ERROR.search(str(error))
        raise _failed(int(number[1]) if number else None) from error


def _failed(number: int | None) -> AppError:
    if number in _NO_RIGHT:
        return _misconfigured("refuses this server")
    what = "is full" if number in _NO_SPACE else "can't be reached"
    return AppError(
        "unavailable",
        f"The store of files {what}: try again later.",
        retry_after_seconds=_UNREACHABLE_SECONDS,
    )


def _misconfigured(what: str) -> AppError:
    return AppError("internal", f"The store of files {what}: its operator has to look at it.")
