"""The tools by the protocol's own client, over both of its transports."""

import asyncio
import sys

import httpx
import pytest

import lsr
from lsr import index
from service.mcp.tools import LONGEST_PART, LONGEST_SNIPPET
from tests.service.conftest import environment
from tests.service.pets import PETS
from tests.service.serving import serving

mcp = pytest.importorskip("mcp")


@pytest.fixture(params=["http", "stdio"])
def server(request, folder, address):
    if request.param == "http":
        return f"{address}/mcp"
    arguments = ["-m", "service.cli", "mcp", str(folder)]
    return mcp.StdioServerParameters(
        command=sys.executable, args=arguments, env=environment(folder.parent)
    )


def talk(server, speak):
    async def run():
        async with mcp.Client(server, read_timeout_seconds=120) as session:
            return await speak(session)

    return asyncio.run(run())


def answered(result):
    assert not result.is_error, result.content
    return result.structured_content


def refused(result):
    assert result.is_error
    return result.content[0].text


def test_a_model_finds_and_reads_documents(server, folder):
    async def speak(session):
        tools = (await session.list_tools()).tools
        assert {tool.name for tool in tools} == {"list_indexes", "search", "get"}
        for tool in tools:
            assert tool.annotations.read_only_hint is True
            assert tool.title
            assert tool.description
            assert tool.output_schema
        listed = answered(await session.call_tool("list_indexes", {}))
        found = answered(
            await session.call_tool(
                "search", {"index": "pets", "query": "who hunts at night?", "limit": 2}
            )
        )
        filtered = answered(
            await session.call_tool(
                "search", {"index": "pets", "query": "hunt", "filter": "legs = 2"}
            )
        )
        long = answered(
            await session.call_tool("search", {"index": "pets", "query": "bats head down"})
        )
        read = answered(await session.call_tool("get", {"index": "pets", "id": "owl"}))
        return listed, found, filtered, long, read

    listed, found, filtered, long, read = talk(server, speak)
    assert listed["indexes"][0]["name"] == "pets"
    assert listed["indexes"][0]["documents"] == len(PETS)
    assert {"home", "legs"} <= set(listed["indexes"][0]["metadata_keys"])
    expected = lsr.search(lsr.open(folder / "pets"), "who hunts at night?", limit=2)
    assert [(hit["id"], hit["score"]) for hit in found["hits"]] == [
        (hit.id, hit.score) for hit in expected.hits
    ]
    assert found["total"] == expected.total.value
    assert [hit["id"] for hit in filtered["hits"]] == ["owl"]
    best, bat = long["hits"][0], PETS[3]
    assert (best["id"], best["more"]) == ("bat", True)
    assert len(best["text"]) <= LONGEST_SNIPPET
    assert bat.text[best["start"] :].startswith(best["text"])
    assert (read["title"], read["text"], read["metadata"]) == (
        PETS[2].title,
        PETS[2].text,
        PETS[2].metadata,
    )


def test_mistakes_are_told_in_the_words_of_a_model(server, folder):
    async def speak(session):
        calls = [
            ("search", {"index": "birds", "query": "owl"}),
            ("search", {"query": "owl"}),
            ("search", {"index": "pets", "query": " "}),
            ("search", {"index": "pets", "query": "owl", "limit": 1000}),
            ("search", {"index": "pets", "query": "owl", "filter": "legs ="}),
            ("get", {"index": "pets", "id": "bee"}),
            ("get", {"index": "pets", "id": "owl", "start": 999}),
            ("search", {"index": "pets"}),
            ("search", {"index": "../pets", "query": "owl"}),
        ]
        return [refused(await session.call_tool(name, given)) for name, given in calls]

    said = talk(server, speak)
    expected = [
        "there is no index 'birds'; there are: pets, written",
        "no index is named; give one of: pets, written",
        "the query is empty",
        "limit is 1000; allowed is 1 to 20",
        "filter",
        "has no document 'bee'",
        "start is 999; the text has",
        "query",
        "there is no index '../pets'",
    ]
    for sentence, part in zip(said, expected, strict=True):
        assert part in sentence
        assert str(folder) not in sentence


def test_a_long_text_is_read_part_by_part(address, written):
    text = "".join(f"line {n}\n" for n in range(6000))
    written.upsert([lsr.Document("long", text, metadata={"short": 1, "long": "x" * 5000})])

    async def speak(session):
        parts, start = [], 0
        while start is not None:
            given = {"index": "written", "id": "long", "start": start}
            part = answered(await session.call_tool("get", given))
            assert len(part["text"]) <= LONGEST_PART
            assert part["metadata"] == {"short": 1}
            parts.append(part["text"])
            start = part.get("next_start")
        return parts

    parts = talk(f"{address}/mcp", speak)
    assert len(parts) > 2
    assert "".join(parts) == text


def test_one_index_needs_no_name_and_a_handshake_of_before_is_understood(folder):
    arguments = ["-m", "service.cli", "mcp", str(folder / "pets")]
    parameters = mcp.StdioServerParameters(
        command=sys.executable, args=arguments, env=environment(folder.parent)
    )

    async def run():
        async with mcp.Client(parameters, mode="legacy") as session:
            return answered(await session.call_tool("search", {"query": "mice"}))

    assert asyncio.run(run())["hits"][0]["id"] == "owl"


def test_what_is_no_message_is_refused_and_the_server_goes_on(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        for method in ("GET", "DELETE", "PUT"):
            answer = client.request(method, "/mcp")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert client.post("/mcp", content=b"{").status_code in (400, 406, 415)
        large = b'{"jsonrpc": "2.0", "id": 1, "method": "' + b"x" * (2 << 20) + b'"}'
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        assert client.post("/mcp", content=large, headers=headers).status_code == 413
        assert client.post("/mcp", headers={"Host": "evil.example"}).status_code == 421
        assert client.post("/mcp", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get("/readyz").status_code == 200


def test_a_key_of_the_scope_mcp_sees_the_indexes_that_it_reaches(tmp_path, lsr):
    for name in ("docs-a", "private"):
        index(PETS, into=tmp_path / "all" / name, encoder="bm25")
    tokens = [
        lsr("key", "create", "all", "--name", "n", "--scope", scope, "--index", pattern)
        .stdout.decode()
        .strip()
        for scope, pattern in (("mcp", "docs-*"), ("search", "*"))
    ]

    async def speak(token, address):
        from mcp.client.streamable_http import streamable_http_client
        from mcp.shared._httpx_utils import create_mcp_http_client

        headers = {"Authorization": f"Bearer {token}"}
        async with create_mcp_http_client(headers=headers) as http:
            transport = streamable_http_client(f"{address}/mcp", http_client=http)
            async with mcp.Client(transport, read_timeout_seconds=60) as session:
                listed = answered(await session.call_tool("list_indexes", {}))
                found = answered(await session.call_tool("search", {"query": "mice"}))
                given = {"query": "mice", "index": "private"}
                return listed, found, refused(await session.call_tool("search", given))

    with serving(tmp_path, "all") as (http, served):
        listed, found, said = asyncio.run(speak(tokens[0], served.address()))
        for header in ({}, {"Authorization": "Bearer lsr_wrong"}):
            assert http.post("/mcp", json={}, headers=header).status_code == 401
        header = {"Authorization": f"Bearer {tokens[1]}"}
        refusal = http.post("/mcp", json={}, headers=header)
        assert (refusal.status_code, refusal.json()["error"]["type"]) == (403, "forbidden")
    assert [each["name"] for each in listed["indexes"]] == ["docs-a"]
    assert (found["index"], found["hits"][0]["id"]) == ("docs-a", "owl")
    assert said.endswith("there is no index 'private'; there are: docs-a")


def test_a_server_without_the_package_says_what_to_install(folder, monkeypatch):
    from fastapi.testclient import TestClient

    from service.api.app import create_app
    from service.settings import ServerSettings

    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    monkeypatch.delitem(sys.modules, "service.mcp.server", raising=False)
    settings = ServerSettings(paths=[folder / "pets"])
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        answer = client.post("/mcp", json={})
    assert answer.status_code == 501
    assert "[mcp]" in answer.json()["error"]["message"]


def test_paths_that_are_none_are_one_sentence(lsr_process):
    result = lsr_process("mcp", "nowhere")
    assert result.returncode == 2
    assert b"there is no collection and no folder at" in result.stderr
