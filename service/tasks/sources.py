"""What may be imported: files of some folders of the server, and addresses with some beginnings."""

from __future__ import annotations

import os
import posixpath
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import SplitResult, unquote, urlsplit

from lsr.errors import InputError, NotFoundError, UsageError
from service.settings import ServerSettings

SECONDS = 30.0
"""Of silence, after which a download has failed."""
PIECE = 1 << 20
LONGEST_SHOWN = 200
PORTS = {"http": 80, "https": 443}


def is_url(source: str) -> bool:
    """Whether a source is an address, and no file."""
    return "://" in source


def allowed_path(source: str, settings: ServerSettings) -> Path:
    """The file or folder of that name, absolute or in one of the folders that are allowed.

    Links are followed, and have to lead into an allowed folder too.

    Raises:
        UsageError: no folder is allowed, or the source is in none of them.
        NotFoundError: there is no such file.
    """
    shown = source[:LONGEST_SHOWN]
    if not settings.import_folders:
        raise UsageError(
            "this server imports no files; its owner allows folders by the setting import_folders"
        )
    if "\0" in source or not source:
        raise UsageError(f"{shown!r} can't be the name of a file")
    folders = [folder.resolve() for folder in settings.import_folders]
    try:
        paths = [(folder / source).resolve() for folder in folders]
        inside = [path for path in paths if any(map(path.is_relative_to, folders))]
        there = [path for path in inside if path.exists()]
    # Too long, or a circle of links.
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{shown!r} can't be the name of a file") from error
    if not inside:
        raise UsageError(
            f"{shown!r} is in none of the folders that this server imports from; give the path of "
            "a file inside one of them"
        )
    if there:
        return there[0]
    raise NotFoundError(f"there is no file or folder {shown!r} to import")


def check_size(path: Path, largest: int) -> None:
    """Raise InputError where a file, or all those in a folder, have more bytes than allowed."""
    size = path.stat().st_size
    if path.is_dir():
        size = 0
        for folder, _, names in os.walk(path):
            for name in names:
                size += (Path(folder) / name).lstat().st_size
                if size > largest:
                    break
    if size > largest:
        raise InputError(
            f"{path.name!r} has more than the {largest} bytes that this server imports at once; "
            "split it, or have the setting largest_import raised"
        )


def check_url(source: str, settings: ServerSettings) -> None:
    """Raise UsageError unless an address begins as one of those that are allowed."""
    found = _parts(source)
    allowed = [_parts(each) for each in settings.import_urls]
    if found is None or not any(each is not None and _begins(found, each) for each in allowed):
        known = ", ".join(settings.import_urls) or "none"
        raise UsageError(
            f"this server does not import from {source[:LONGEST_SHOWN]!r}; addresses that it "
            f"imports from begin with: {known} (the setting import_urls)"
        )


def download(
    source: str, folder: Path, settings: ServerSettings, on_bytes: Callable[[int], None]
) -> Path:
    """The file of an address, in a folder.

    Raises:
        InputError: it can't be had, or is too large.
        UsageError: it, or what it redirects to, is not allowed.
    """
    check_url(source, settings)
    name = posixpath.basename(unquote(urlsplit(source).path)).lstrip(".").replace("\0", "")
    target = folder / (name[-LONGEST_SHOWN:] or "download.jsonl")
    # Neither proxies of the environment nor other schemes.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        _Redirects(settings),
    ):
        opener.add_handler(handler)
    largest, done = settings.largest_import, 0
    request = urllib.request.Request(source, headers={"User-Agent": "lsr"})  # noqa: S310
    try:
        with opener.open(request, timeout=SECONDS) as answer, target.open("wb") as stream:
            while piece := answer.read(PIECE):
                done += len(piece)
                if done > largest:
                    raise InputError(
                        f"{source[:LONGEST_SHOWN]!r} has more than the {largest} bytes that this "
                        "server imports at once"
                    )
                stream.write(piece)
                on_bytes(done)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise InputError(f"{source[:LONGEST_SHOWN]!r} can't be fetched: {error}") from error
    return target


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where that is allowed too."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        check_url(newurl, self._settings)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _parts(address: str) -> SplitResult | None:
    """The parts of an address, its path without dots; None where it is none that is taken."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    path = unquote(parts.path) or "/"
    plain = address.isascii() and address.isprintable() and "\\" not in address
    if not plain or parts.scheme not in PORTS or not parts.hostname or "@" in parts.netloc:
        return None
    if any(part in (".", "..") for part in path.split("/")) or "\\" in path or "%" in path:
        return None
    place = f"{parts.hostname}:{port or PORTS[parts.scheme]}"
    return parts._replace(netloc=place, path=path)


def _begins(found: SplitResult, allowed: SplitResult) -> bool:
    """Whether one address is the other, or below it."""
    below = allowed.path if allowed.path.endswith("/") else f"{allowed.path}/"
    return found[:2] == allowed[:2] and (found.path == allowed.path or found.path.startswith(below))
