"""Fetching Anserini's jar, from a package index on this machine."""

import base64
import hashlib
import io
import json
import tarfile
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from index.engines import anserini
from index.engines.anserini import anserini_jar, fetch_anserini, fetched_jar
from lsr.errors import InputError, UsageError

JAR_BYTES = b"PK of Lucene" * 500
JSON = "application/vnd.pypi.simple.v1+json"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def distribution(jar=JAR_BYTES, member=anserini.JAR):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {"setup.py": b"raise SystemExit", member: jar}.items():
            entry = tarfile.TarInfo(f"pyserini-2.4.0/pyserini/resources/jars/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@contextmanager
def index_of(pages, asked=None):
    """Serves pages, path to (content type, bytes); notes the Authorization of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if asked is not None:
                asked.append((self.path, self.headers.get("Authorization")))
            kind, content = pages.get(self.path, (None, b""))
            self.send_response(404 if kind is None else 200)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """A cache of its own, and a small distribution in the place of the published one."""
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    monkeypatch.setattr(anserini, "DISTRIBUTION_SHA256", sha256(distribution()))
    monkeypatch.setattr(anserini, "JAR_SHA256", sha256(JAR_BYTES))


def left_behind():
    return [path.name for path in fetched_jar().parent.iterdir()]


@pytest.mark.parametrize("link", ["../files/{}", "/files/{}#sha256=x", "http://{host}/files/{}"])
@pytest.mark.parametrize("kind", [JSON, "text/html; charset=utf-8"])
def test_takes_the_jar_out_of_the_source_distribution(kind, link):
    pages = {"/simple/files/" + anserini.DISTRIBUTION: ("application/gzip", distribution())}
    pages["/files/" + anserini.DISTRIBUTION] = pages["/simple/files/" + anserini.DISTRIBUTION]
    with index_of(pages) as host:
        address = link.format(anserini.DISTRIBUTION, host=host)
        page = (
            json.dumps({"files": [{"url": "../files/pyserini-0.1.tar.gz"}, {"url": address}]})
            if kind == JSON
            else f'<!doctype html><a>none</a><a href="{address}">pyserini</a>'
        )
        pages["/simple/pyserini/"] = (kind, page.encode())
        told = []
        path = fetch_anserini(f"http://{host}/simple/", lambda *seen: told.append(seen))
    assert path == fetched_jar() == anserini_jar()
    assert path.read_bytes() == JAR_BYTES
    assert told[-1] == (len(distribution()),) * 2
    assert left_behind() == [anserini.JAR]


def test_the_index_of_pip_is_the_default_and_its_password_is_never_shown(monkeypatch):
    asked, secret = [], "Basic " + base64.b64encode(b"me:s3cret@").decode()
    with index_of({"/simple/pyserini/": ("text/html", b"<a href='x.whl'>x</a>")}, asked) as host:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://me:s3cret%40@{host}/simple")
        with pytest.raises(InputError, match=r"lists no pyserini-2\.4\.0\.tar\.gz") as caught:
            fetch_anserini()
    assert asked == [("/simple/pyserini/", secret)]
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", [anserini.JAR, anserini.DISTRIBUTION])
def test_a_file_that_is_here_is_taken_and_stays(tmp_path, name):
    given = tmp_path / name
    given.write_bytes(JAR_BYTES if name == anserini.JAR else distribution())
    assert fetch_anserini(str(given)).read_bytes() == JAR_BYTES
    assert given.is_file()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (anserini.JAR, JAR_BYTES + b"!"),
        (anserini.JAR, b""),
        (anserini.DISTRIBUTION, distribution(JAR_BYTES + b"!")),
        (anserini.DISTRIBUTION, distribution()[:-9]),
        ("anything", b"no archive"),
    ],
)
def test_what_was_not_published_is_refused_and_the_cache_stays(tmp_path, name, content):
    good, given = tmp_path / "good.jar", tmp_path / name
    good.write_bytes(JAR_BYTES)
    fetch_anserini(str(good))
    given.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is not the published .* SHA-256"):
        fetch_anserini(str(given))
    assert fetched_jar().read_bytes() == JAR_BYTES
    assert left_behind() == [anserini.JAR]


def test_a_source_that_is_none_is_said():
    for source in ("nowhere", "ftp://host/simple", "file:///x"):
        with pytest.raises(UsageError, match="neither a file nor a package index"):
            fetch_anserini(source)
    with index_of({}) as host, pytest.raises(InputError, match=r"can't be fetched .*404"):
        fetch_anserini(f"http://{host}/simple")


def test_without_a_fetched_jar_pyserinis_own_is_used_and_said(caplog):
    pytest.importorskip("jnius_config", reason="needs pip install '.[lucene]'")
    anserini._warn_of.cache_clear()
    assert [anserini_jar() == anserini.pyserini_jar() for _ in range(2)] == [True, True]
    assert caplog.messages == [
        f"Lucene is that of the installed Pyserini ({anserini_jar().name}); "
        "lsr lucene --fetch brings a later one"
    ]
