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
