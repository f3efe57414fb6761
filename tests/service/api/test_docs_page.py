"""`/docs` works without the internet, under a policy that lets nothing else in."""

import re
import shutil
from importlib.util import find_spec

import pytest
from fastapi.testclient import TestClient

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from service.api.app import create_app
from service.settings import ServerSettings
from tests.service.conftest import URL
from tests.service.static.conftest import FLAGS

needs_files = pytest.mark.skipif(
    find_spec("fastapi_swagger") is None, reason="the package fastapi-swagger is not installed"
)


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("docs") / "fruit", encoder_fields("bm25"))
    return create_app(ServerSettings(paths=[made.path]))


@pytest.fixture(scope="module")
def client(app):
    with TestClient(app, base_url=URL) as opened:
        yield opened


@needs_files
def test_the_page_names_files_of_this_server_only(client):
    page = client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    named = re.findall(r'(?:src|href)="([^"]*)"', page.text)
    assert len(named) == 4
    for name in named:
        assert not re.match(r"[a-z]+:|//", name)
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert len(answer.content) > 100
        assert "'self'" in answer.headers["content-security-policy"]
    assert "unsafe-eval" not in page.headers["content-security-policy"]
    assert "https:" not in page.headers["content-security-policy"]
    assert client.get("/docs/other.js").status_code == 404
    assert client.get("/docs/..%2Fmain.py").status_code == 404


def test_a_package_that_is_missing_is_named(client, monkeypatch):
    monkeypatch.setattr("service.api.routes.docs.find_spec", lambda name: None)
    answer = client.get("/docs/swagger-ui.css")
    assert answer.status_code == 501
    assert "pip install fastapi-swagger" in answer.json()["error"]["message"]


@needs_files
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_the_page_shows_every_route_in_a_browser(client):
    playwright = pytest.importorskip("playwright.sync_api")
    said, asked = [], []

    def answer(route):
        asked.append(route.request.url)
        found = client.get(route.request.url.removeprefix(URL))
        route.fulfill(status=found.status_code, headers=dict(found.headers), body=found.content)

    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.route("**/*", answer)
        page.goto(f"{URL}/docs")
        page.wait_for_selector(".opblock", timeout=60_000)
        shown = page.locator(".opblock").count()
        browser.close()
    paths = client.get("/openapi.json").json()["paths"]
    assert shown == sum(map(len, paths.values()))
    assert all(url.startswith(URL) for url in asked)
    assert not [line for line in said if "Content Security Policy" in line]
