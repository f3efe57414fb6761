"""`lsr search` by metadata: facets, groups, sorts, totals, parts of documents; `lsr info`."""

import json

import pytest

from tests.service.conftest import sentence

PETS = [
    {"id": "owl", "text": "hunt at night", "home": "tree", "legs": 2, "seen": "2026-01-05"},
    {"id": "cat", "text": "hunt and sleep at night", "home": "barn", "legs": 4, "wild": False},
    {"id": "bat", "text": "night", "home": ["barn", "cave"], "legs": 2, "seen": "2026-02-01"},
    {"id": "dog", "text": "company", "home": "barn", "legs": "4"},
]


@pytest.fixture
def pets(lsr, tmp_path):
    (tmp_path / "pets.jsonl").write_text("\n".join(map(json.dumps, PETS)))
    lsr("index", "pets.jsonl", "--into", "pets", "--encoder", "bm25")

    def asked(*options):
        return json.loads(lsr("search", "pets", "hunt night", "--json", *options).stdout)

    return asked


def ids(answer):
    return [hit["id"] for hit in answer["hits"]]


def test_hits_are_sorted_grouped_counted_and_cut(lsr, pets):
    plain = pets()
    assert set(ids(plain)) == {"owl", "cat", "bat"}
    assert plain["total"] == {"value": 3, "relation": "eq"}
    assert not {"facets", "warnings"} & plain.keys()
    assert ids(pets("--sort", "legs:desc", "--sort", "_score:asc"))[0] == "cat"
    assert ids(pets("--sort", "seen:desc")) == ["bat", "owl", "cat"]
    grouped = pets("--group-by", "home", "--group-hits", "2", "--sort", "legs:desc")
    groups = [(hit["group"], hit["id"]) for hit in grouped["hits"]]
    assert groups == [("barn", "cat"), ("barn", "bat"), ("tree", "owl"), ("cave", "bat")]
    best = plain["hits"][0]
    assert ids(pets("--min-score", str(best["score"] - 1e-6))) == [best["id"]]
    facets = pets("--facet", "home", "--facet", "legs", "--facet-over", "matching")["facets"]
    assert [facet["documents"] for facet in facets] == [3, 3]
    assert facets[0]["values"][0] == {"value": "barn", "count": 2}
    assert facets[1]["values"] == [{"value": 2, "count": 2}, {"value": 4, "count": 1}]
    (facet,) = pets("--facet", "home", "--facet-limit", "1")["facets"]
    assert (facet["over"], facet["distinct"], facet["values"][0]["count"]) == ("filtered", 3, 3)
    assert pets("-n", "1", "--exact-total")["total"] == {"value": 3, "relation": "eq"}


def test_parts_of_documents_are_shown(lsr, pets):
    (hit, *_) = pets("--payload", "text,home")["hits"]
    assert set(hit["payload"]) == {"text", "metadata"}
    assert set(hit["payload"]["metadata"]) == {"home"}
    shown = lsr("search", "pets", "hunt", "--payload", "home", "--facet", "home", "--sort", "legs")
    assert b"     home tree\n" in shown.stdout
    line = "home: barn (3), cave (1), tree (1) · of 4 documents that pass the filter"
    assert line in shown.stdout.decode()
    assert b"2 of 4 documents, 2 match" in shown.stdout
    shown = lsr("search", "pets", "night", "--group-by", "seen").stdout.decode()
    assert "seen = 2026-01-05\n" in shown
    assert "without seen\n" in shown


def test_what_is_odd_is_said(lsr, pets):
    shown = lsr("search", "pets", "hunt", "--filter", "legs = '2'", "--sort", "lags")
    assert b"the sort names the key 'lags', which no document has; did you mean" in shown.stderr
    (warning,) = pets("--filter", "seen > 2026")["warnings"]
    assert warning.endswith("and it holds dates; give one as in '2026-01-31'")
    refused = lsr("search", "pets", "hunt", "--group-hits", "2")
    assert "--group-hits goes with --group-by" in refused.stderr.decode()
    assert refused.returncode == 2
    assert "allowed are 1 to 512" in sentence(lsr("search", "pets", "hunt", "--facet", ""))
    assert "no facet to count" in lsr("search", "pets", "a", "--facet-limit", "2").stderr.decode()


def test_info_lists_keys_and_kinds(lsr, pets):
    described = json.loads(lsr("info", "pets", "--json").stdout)["metadata"]
    assert {each["key"]: each["kinds"] for each in described} == {
        "home": {"string": 5},
        "legs": {"number": 3, "string": 1},
        "seen": {"date": 2},
        "wild": {"boolean": 1},
    }
    assert b"3 numbers, 1 string" in lsr("info", "pets").stdout
