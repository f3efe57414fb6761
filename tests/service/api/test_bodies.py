"""Bodies are counted as they come, on every route, and take bounded memory."""

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi import HTTPException
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from lsr.errors import InputError
from service.api.app import create_app
from service.api.bodies import (
    LARGEST_JSON_BODY,
    MOST_JSON_VALUES,
    TOKEN,
    BodyBudget,
    BodyMeter,
    check_values,
)
from service.api.bulk_items import LARGEST_ITEM, LONGEST_TEXT, MOST_ITEMS, parse_items
from service.settings import ServerSettings
from tests.service.conftest import URL, environment

FRUIT = "/v1/indexes/fruit"
MIB = 1 << 20


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    made = Collection.create(tmp_path_factory.mktemp("bodies") / "fruit", encoder_fields("bm25"))
    app = create_app(ServerSettings(paths=[made.path]))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as opened:
        yield opened


def refused(answer, status, kind):
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind), answer.text
    return error["message"]


@pytest.mark.parametrize("path", [f"{FRUIT}/search", f"{FRUIT}/documents/delete"])
def test_a_chunked_body_is_counted_on_every_route_that_reads_one(client, path):
    sent = []

    def chunks():
        for _ in range(64):
            sent.append(MIB)
            yield b" " * MIB

    answer = client.post(path, content=chunks(), headers={"Content-Type": "application/json"})
    assert f"allowed are {LARGEST_JSON_BODY}" in refused(answer, 413, "too_large")
    assert answer.headers["Connection"] == "close"


def test_a_length_that_is_too_large_is_refused_unread(client):
    for length in (str(65 * MIB), "9" * 30):
        for method, path in [("POST", f"{FRUIT}/documents"), ("GET", "/livez"), ("PUT", "/x")]:
            answer = client.request(method, path, content=b"", headers={"Content-Length": length})
            refused(answer, 413, "too_large")


def test_the_bytes_of_all_requests_together_are_bounded():
    budget = BodyBudget(100)
    first, second, third = (BodyMeter(budget, 80) for _ in range(3))
    first.add(60)
    second.add(30)
    with pytest.raises(HTTPException) as busy:
        third.add(11)
    assert (busy.value.status_code, busy.value.headers["Retry-After"]) == (503, "1")
    with pytest.raises(HTTPException) as large:
        first.add(21)
    assert large.value.status_code == 413
    first.close()
    first.close()
    third.add(70)
    second.close()
    third.close()
    assert budget.left == 100


json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "[{,"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def count(value):
    """Arrays, objects and the commas in them, as the values of a body are counted."""
    if not isinstance(value, list | dict):
        return 0
    inner = value if isinstance(value, list) else value.values()
    return 1 + max(0, len(value) - 1) + sum(map(count, inner))


@settings(max_examples=100)
@given(json_values, st.booleans(), st.sampled_from([None, 2]))
def test_values_are_counted_whatever_is_in_strings(value, ascii_only, indent):
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    marks = [token[0] for token in TOKEN.finditer(body)]
    assert sum(mark in (b",", b"[", b"{") for mark in marks) == count(value)


def test_too_many_values_are_refused_and_strings_that_never_end_take_no_time():
    check_values(b"[" + b"0," * 50_000 + b"0]", 50_001, "the body")
    with pytest.raises(InputError, match="the body holds more than 50000 JSON values"):
        check_values(b"[" + b"0," * 50_000 + b"0]", 50_000, "the body")
    for hostile in (b'\\"' * MIB, b'"' + b"\\" * MIB, b'"' + b'\\"' * MIB, b'"\\' * MIB):
        check_values(hostile, 4 * MIB, "the body")
        with pytest.raises(InputError):
            parse_items(b"[" + hostile)


record = st.fixed_dictionaries(
    {"id": st.text(min_size=1, max_size=5), "text": st.text(max_size=9)},
    optional={"m": json_values},
)


@settings(max_examples=100)
@given(st.lists(record | json_values, min_size=1, max_size=5), st.booleans(), st.booleans())
def test_items_are_those_of_a_parser_of_all_at_once(records, as_array, mark):
    lines = [json.dumps(each, ensure_ascii=False) for each in records]
    if not as_array and lines[0].startswith("["):
        lines.insert(0, "0")
    text = json.dumps(records, indent=1) if as_array else "\r\n\n".join(lines)
    body = bytearray(("\ufeff" if mark else "").encode() + text.encode("utf-8", "surrogatepass"))
    expected = json.loads(text) if as_array else [json.loads(line) for line in lines]
    found = parse_items(body)
    assert len(found) == len(expected)
    for item, value in zip(found, expected, strict=True):
        assert isinstance(item, InputError) or item.text == (value.get("text") or "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[", "more or less than an array"),
        (b"[1,2", "more or less than an array"),
        (b"[1]]", "more or less than an array"),
        (b"[1] [2]", "more or less than an array"),
        (b"[1}", "more or less than an array"),
        (b"[1,]", "not valid JSON"),
        (b"[,]", "not valid JSON"),
        (b'[{"id": "a" "text": "b"}]', "not valid JSON"),
        (b'[{"id": "\xff", "text": "b"}]', "not UTF-8"),
        (b"[" + b"0," * MOST_ITEMS + b"0]", f"more than {MOST_ITEMS} items"),
        (b"0\n" * (MOST_ITEMS + 1), f"more than {MOST_ITEMS} items"),
        (b"[[" + b"[]," * 1_000_000 + b"[]]]", "more than 1000000 JSON values"),
        (b"[]", "holds no document"),
        (b" \n \n", "holds no document"),
        (b"", "holds no document"),
    ],
)
def test_bodies_that_hold_no_documents_are_refused_whole(body, reason):
    with pytest.raises(InputError, match=reason):
        parse_items(body)


@pytest.mark.parametrize("as_array", [True, False])
def test_a_document_of_too_much_is_refused_alone(client, as_array):
    records = [
        {"id": "n1", "text": "x"},
        {"id": "n2", "text": "x" * (LONGEST_TEXT + 1)},
        {"id": "n3", "text": "x", "y": "z" * LARGEST_ITEM},
        {"id": "n4", "text": "x", "y": [0] * 200_000},
        {"id": "n5", "text": "x" * 10, "title": "y"},
    ]
    content = json.dumps(records) if as_array else "\n".join(map(json.dumps, records))
    answer = client.post(f"{FRUIT}/documents", content=content).json()
    assert [item["status"] in (200, 201) for item in answer["items"]] == [1, 0, 0, 0, 1]
    reasons = [item["error"]["message"] for item in answer["items"] if "error" in item]
    assert "1000001 characters of title and text; allowed are 1000000" in reasons[0]
    assert "bytes of JSON; allowed are 8388608" in reasons[1]
    assert "more than 100000 JSON values" in reasons[2]


@pytest.mark.parametrize(
    "body",
    [
        {f"k{number}": 1 for number in range(100_000)},
        {"query": {"tokens": {f"k{number}": [] for number in range(90_000)}}},
        {"query": {"sparse": {"indices": ["x"] * 90_000, "values": []}}},
        {"query": {"text": "a"}, "using": "y" * 100_000},
        {"query": {"text": "a"}, "filter": {"must": [[]] * 90_000}},
        {"query": {"text": "a"}, "filter": {"must": [[]] * MOST_JSON_VALUES}},
        {"query": {"text": "a"}, "z" * 100_000: 1},
    ],
)
def test_errors_do_not_grow_with_the_body(client, body):
    answer = client.post(f"{FRUIT}/search", json=body)
    assert answer.status_code in (400, 422)
    assert len(answer.content) < 2000


def test_errors_of_items_do_not_either(client):
    answer = client.post(f"{FRUIT}/documents", json=[{"id": 10**4000, "text": "x"}] * 3)
    assert len(answer.content) < 3 * 600


# What a request may take beside a multiple of its body, as docs/rest.md says.
BESIDE, TIMES = 128 * MIB, 8


def peak(process):
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", status(process))[1])


def resident(process):
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", status(process))[1])


def status(process):
    return Path(f"/proc/{process.pid}/status").read_text()


def documents(count, text):
    return b"\n".join(
        json.dumps({"id": str(number), "text": text}, ensure_ascii=False).encode()
        for number in range(count)
    )


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="measured as Linux counts")
def test_memory_is_at_most_a_multiple_of_the_body(tmp_path):
    Collection.create(tmp_path / "fruit", encoder_fields("bm25")).close()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "service.cli", "serve", "fruit", "--port", "0"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stdout)
        address = next(match for match in found if match).group()
        transport = httpx.HTTPTransport(retries=8)
        with httpx.Client(base_url=address, transport=transport, timeout=300) as client:
            client.get("/readyz")
            for path, body in [
                ("documents", b"[" + b"0," * (2 * MIB) + b"0]"),
                ("documents", b"[" + b"0," * 49_000 + b"0]"),
                ("documents", b'[{"id": "a", "text": "b", "m": [' + b'{"":{}},' * 40_000 + b"0]}]"),
                ("documents", documents(1, "word " * (12 * MIB // 5))),
                ("documents", documents(1, "\U0001f600" + "x" * 999_999)),
                ("search", b'{"query": {"text": "a"}, "z": [' + b'{"":{}},' * 290_000 + b"0]}"),
                ("search", (b" " * MIB for _ in range(100))),
            ]:
                Path(f"/proc/{process.pid}/clear_refs").write_text("5")
                before = resident(process)
                size = len(body) if isinstance(body, bytes) else LARGEST_JSON_BODY
                headers = {"Content-Type": "application/json"}
                answer = client.post(f"{FRUIT}/{path}", content=body, headers=headers)
                assert answer.status_code in (200, 413, 422)
                assert peak(process) - before <= TIMES * size + BESIDE
                assert len(answer.content) <= 8 * MIB
    finally:
        process.kill()
        process.wait()
