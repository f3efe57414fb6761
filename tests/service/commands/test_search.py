"""`lsr search`."""

import json
import re
import shutil

from tests.service.conftest import sentence


def test_search_takes_filters_and_effort(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    found = lsr("search", "fruit", "banana", "--filter", "url exists", "--json").stdout
    assert [hit["id"] for hit in json.loads(found)["hits"]] == ["a"]
    nothing = lsr("search", "fruit", "banana", "--filter", "url = 'x y'").stdout.decode()
    assert "no document found" in nothing
    for options in (["--approximate"], ["--effort", "0.2"], ["--time-budget", "20"]):
        shown = lsr("search", "fruit", "banana", *options).stdout.decode()
        assert re.search(r"· (exact|approximate, what was left out .*) \(sparse .+\)", shown)
    meta = json.loads(lsr("search", "fruit", "banana", "--effort", "1", "--json").stdout)["meta"]
    assert (meta["exact"], meta["bound_gap"]) == (True, 0)
    assert set(meta["plan"]) == {"sparse"}


def test_a_query_encoder_of_another_vocabulary_is_refused(lsr, tmp_path, corpus, masked_lm):
    other = shutil.copytree(masked_lm, tmp_path / "other")
    tokenizer = (other / "tokenizer.json").read_text().replace('"cherry"', '"sherry2"', 1)
    (other / "tokenizer.json").write_text(tokenizer)
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    result = lsr("search", "fruit", "cherry", "--query-encoder", "splade:./other")
    assert "give a query encoder with the same vocabulary" in sentence(result)
    assert result.returncode == 1


def test_search_rewrites_and_hands_passages_on(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    shown = lsr("search", "fruit", "bannaa", "--rewrite", "spelling")
    assert b"no document has 'bannaa'; searched was 'banana'" in shown.stdout
    found = lsr("search", "fruit", "banana", "--context-tokens", "200", "--json").stdout
    context = json.loads(found)["context"]
    assert [passage["id"] for passage in context["passages"]] == ["a", "b"]
    shown = lsr("search", "fruit", "banana", "--context-tokens", "200")
    assert shown.stdout.decode().rstrip("\n") == context["text"]
    refused = lsr("search", "fruit", "banana", "--rewrite", "magic")
    assert "allowed are spelling, queries, passage" in sentence(refused)


def test_search_feeds_back_and_says_what(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    shown = lsr("search", "fruit", "banana", "--feedback", "rm3,depth=1").stdout.decode()
    assert "fed back into sparse: a" in shown
    found = json.loads(lsr("search", "fruit", "banana", "--json").stdout)
    fed = json.loads(lsr("search", "fruit", "banana", "--feedback", "rocchio", "--json").stdout)
    assert fed["meta"]["feedback"] == {"sparse": [hit["id"] for hit in found["hits"]][:5]}
    assert len(fed["query_terms"]["sparse"]) > len(found["query_terms"]["sparse"])
    assert "feedback" not in found["meta"]
    wrong = lsr("search", "fruit", "banana", "--feedback", "rm4")
    assert "the feedback is 'rm4'; allowed are average, rocchio and rm3" in sentence(wrong)
    assert wrong.returncode == 2


def test_a_fusion_is_named_and_pages_go_on_by_cursor(lsr, corpus, masked_lm):
    lsr("index", corpus, "--into", "fruit", "--encoder", f"splade:{masked_lm}", "--bm25")
    given = ["fruit", "banana cherry", "--using", "sparse+bm25", "--fusion"]
    wanted = "linear,norm.bm25=max,sparse=0.5,depth=20"
    whole = json.loads(lsr("search", *given, wanted, "--json").stdout)
    weights, norm = {"sparse": 0.5}, {"bm25": "max"}
    expected = {"weights": weights, "norm": norm, "missing": "minimum"}
    assert whole["meta"]["fusion"] == {"linear": expected}
    assert whole["meta"]["depth"] == {"sparse": 20, "bm25": 20}
    first = json.loads(lsr("search", *given, wanted, "-n", "1", "--json").stdout)
    second = json.loads(
        lsr("search", *given, wanted, "-n", "1", "--cursor", first["cursor"], "--json").stdout
    )
    ids = [hit["id"] for page in (first, second) for hit in page["hits"]]
    assert ids == [hit["id"] for hit in whole["hits"]][:2]
    shown = lsr("search", *given, "rrf").stdout.decode()
    assert "· sparse+bm25 by rrf ·" in shown
    refused = lsr("search", *given, "rrf,lexical=5")
    assert "'lexical', which is no ranking of this search" in sentence(refused)
    assert "no fusion; write one of" in sentence(lsr("search", *given, "sum"))
    assert "not one that a search gave" in sentence(lsr("search", *given, "rrf", "--cursor", "x"))


def test_dimensions_are_extracted_and_searched(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    done = json.loads(lsr("dimensions", "fruit", "--extract", "dates,names", "--json").stdout)
    assert (done["documents"], done["extracted"]) == (3, 3)
    again = json.loads(lsr("dimensions", "fruit", "--extract", "dates,names", "--json").stdout)
    assert again["extracted"] == 0
    refused = lsr("dimensions", "fruit", "--extract", "colours")
    assert "allowed are dates, names, phrases, themes, chat" in sentence(refused)
    found = lsr("search", "fruit", "banana", "--dimensions", "auto,weight=0", "--json").stdout
    assert all("cells" in hit for hit in json.loads(found)["hits"])


def test_search_finds_what_is_like_a_document(lsr, corpus):
    lsr("index", corpus, "--into", "fruit", "--encoder", "bm25")
    found = json.loads(lsr("search", "fruit", "--like", "a", "--json").stdout)
    assert [hit["id"] for hit in found["hits"]] == ["b"]
    assert b"Cherries" in lsr("search", "fruit", "--like", "a", "--like", "c").stdout
    assert "no document 'x'" in sentence(lsr("search", "fruit", "--like", "x"))
    assert "a text or a vector beside" in sentence(lsr("search", "fruit", "fig", "--like", "a"))
