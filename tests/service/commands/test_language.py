"""``--language``: whose analyser makes words, told by the documents where it is ``auto``."""

import json

import pytest
from click.testing import CliRunner

from lsr.errors import UsageError
from service.cli import cli

GERMAN = [
    "Die Katzen schlafen in der Sonne und sind nicht im Haus, wenn es warm ist.",
    "Der Hund läuft im Park, und die Kinder spielen mit ihm, wenn sie von der Schule kommen.",
    "Die Kosten der Rückerstattung werden von uns nicht übernommen.",
]


def run(*arguments, given=None):
    result = CliRunner().invoke(cli, [str(each) for each in arguments], input=given)
    assert result.exit_code == 0, result.output
    return result


def refusal(*arguments):
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert isinstance(result.exception, UsageError)
    return str(result.exception)


@pytest.fixture
def corpus(tmp_path):
    lines = [json.dumps({"id": str(n), "text": text}) for n, text in enumerate(GERMAN)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "docs.jsonl"


def found(collection, query):
    answer = json.loads(run("search", collection, query, "--json").stdout)
    return [hit["id"] for hit in answer["hits"]]


@pytest.mark.parametrize("language", ["auto", "german"])
@pytest.mark.parametrize("encoder", ["bm25", "lsr-tiny-v1"])
def test_words_are_stemmed_in_the_language(corpus, tmp_path, encoder, language):
    into = tmp_path / "c"
    made = run("index", corpus, "--into", into, "--encoder", encoder, "--language", language)
    assert ("3 of 3 texts that were looked at are german" in made.output) == (language == "auto")
    assert f"{encoder},analyzer=german" in run("info", into).output
    assert found(into, "rückerstattungen")[0] == "2"


def test_standard_input_is_looked_at_and_read(corpus, tmp_path):
    text, into = corpus.read_text(), tmp_path / "c"
    made = run("index", "-", "--into", into, "--encoder=bm25", "--language=auto", given=text)
    assert "3 documents encoded" in made.output
    assert found(into, "Katze") == ["0"]


def test_a_folder_is_looked_at_all_over(tmp_path):
    for place in range(150):
        name = f"{'de' if place < 40 else 'zz'}-{place:03}.txt"
        (tmp_path / name).write_text(GERMAN[0] if place < 40 else "Kediler güneşte uyur.")
    made = run("index", tmp_path, "--into", tmp_path / "c", "--encoder=bm25", "--language=auto")
    assert "no one language in 75 texts" in made.output
    assert "150 documents encoded" in made.output


def test_a_collection_keeps_what_it_has(corpus, tmp_path):
    into = tmp_path / "c"
    run("index", corpus, "--into", into, "--encoder", "bm25", "--language", "german")
    for asked in (["--language=auto"], ["--language=german"], ["--encoder=bm25,analyzer=german"]):
        assert "3 unchanged" in run("index", corpus, "--into", into, *asked).output
    refused = refusal("index", corpus, "--into", into, "--language", "french")
    assert "makes words by the analyzer german" in refused
    assert "bm25,analyzer=german" in run("info", into).output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--encoder=bm25", "--language=klingon"], "language is 'klingon'; allowed are auto, cjk"),
        (["--encoder=bm25,analyzer=french", "--language=german"], "give one of them"),
        (["--encoder=bm25,analyzer=wordpiece", "--language=german"], "has no words"),
        (["--encoder=lsr-tiny-v1,words=no", "--language=german"], "has no words"),
    ],
)
def test_a_language_without_effect_is_refused(corpus, tmp_path, arguments, complaint):
    assert complaint in refusal("index", corpus, "--into", tmp_path / "c", *arguments)
    assert not (tmp_path / "c").exists()


def test_an_evaluation_uses_what_indexing_does(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text(corpus.read_text().replace('"id"', '"_id"'))
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "rückerstattungen"}\n')
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t2\t1\n")
    for language, score in (("auto", 1.0), ("german", 1.0), ("english", 0.0)):
        told = run("eval", folder, "--encoder=bm25", "--language", language, "--json")
        (row,) = json.loads(told.stdout)["results"]
        assert row["measures"]["nDCG@10"] == score
