"""Any word is found by itself, and what is not found is said."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from lsr.encoding.coverage import MOST_PIECES_AT_ALL, coverage, script_of
from lsr.vocabulary import Vocabulary
from service.cli import cli

TEXTS = {
    "thai": "สุนัขวิ่งเล่นในสวนสาธารณะทุกวัน",
    "khmer": "ឆ្មាដេកនៅក្រោមព្រះអាទិត្យ",
    "amharic": "ድመቶች ፀሐይ ላይ ይተኛሉ",
    "tamil": "பூனைகள் வெயிலில் தூங்குகின்றன",
    "japanese": "猫は日なたで眠ります",
    "chinese": "狗每天在公园里奔跑",
    "russian": "кошки спят на солнце",
    "german": "Rückerstattung der Versandkosten",
    "dna": "the sequence " + "ATGC" * 30,
    "hash": "commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "emoji": "party 🎉 time",
    "lang": "We use C++ and .NET here",
    "mail": "write to jane.doe@example.com",
    "cifs": "CIFS file sharing",
}
QUERIES = {
    "thai": "สวนสาธารณะ",
    "khmer": "ព្រះអាទិត្យ",
    "amharic": "ድመቶች ፀሐይ ላይ ይተኛሉ",
    "tamil": "பூனைகள்",
    "japanese": "日なた",
    "chinese": "公园",
    "russian": "кошки",
    "german": "Rückerstattung",
    "dna": "ATGC" * 30,
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "emoji": "🎉",
    "lang": "C++",
    "mail": "jane.doe@example.com",
}


@pytest.fixture(scope="module", params=["lsr-tiny-v1", "bm25"])
def collection(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    lines = [json.dumps({"id": name, "text": text}) for name, text in TEXTS.items()]
    (folder / "docs.jsonl").write_text("\n".join(lines) + "\n")
    made = run("index", folder / "docs.jsonl", "--into", folder / "c", "--encoder", request.param)
    return folder / "c", made


def run(*arguments):
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize("name", QUERIES)
def test_every_text_is_found_by_its_own_words(collection, name):
    answer = json.loads(run("search", collection[0], QUERIES[name], "--json").stdout)
    assert answer["hits"][0]["id"] == name


def test_nonsense_finds_nothing_and_says_so(collection):
    answer = json.loads(run("search", collection[0], "zzqqxx", "--json").stdout)
    assert answer["hits"] == []
    assert answer["meta"]["unknown_words"] == ["zzqqxx"]
    assert "no document has the word zzqqxx" in run("search", collection[0], "zzqqxx").stdout
    several = run("search", collection[0], "zzqqxx qqqz the party").stdout
    assert "no document has any of the words zzqqxx, qqqz" in several


def test_a_word_in_pieces_does_not_match_by_fragments(collection):
    answer = json.loads(run("search", collection[0], "citric", "--json").stdout)
    assert answer["hits"] == []


def test_terms_are_shown_and_taken_as_whole_words(collection):
    answer = json.loads(run("search", collection[0], "Versandkosten", "--json").stdout)
    (terms,) = answer["hits"][0]["terms"].values()
    word = next(term["token"] for term in terms if "versandkosten" in term["token"])
    found = json.loads(
        run("search", collection[0], "--tokens", json.dumps({word: 1}), "--json").stdout
    )
    assert [hit["id"] for hit in found["hits"]] == ["german"]


def test_texts_that_an_encoder_was_not_made_for_are_told(tmp_path):
    lines = [json.dumps({"id": str(n), "text": TEXTS["thai"]}) for n in range(3)]
    (tmp_path / "docs.jsonl").write_text("\n".join(lines) + "\n")
    made = run("index", tmp_path / "docs.jsonl", "--into", tmp_path / "c")
    assert "no term for 100 % of the words, most of them in Thai letters" in made.output
    assert "bm25,analyzer=" in made.output


SCRIPTS = {
    "Thai": TEXTS["thai"],
    "Han": "猫白天在窗台上睡觉，晚上在花园里抓老鼠。",
    "Ethiopic": "ድመቶች ፀሐይ ላይ ይተኛሉ",
    "Latin": "ATGC" * 30,
    "": "🦉🐭 🌙",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_script_that_is_told_is_that_of_the_words_without_a_term(script):
    """Though most of the letters are of another."""
    bert = Vocabulary.bert_uncased()
    texts = ["The cat sat on the mat and looked at the directory tree."]
    found = coverage(bert, [*texts, SCRIPTS[script]])
    assert (found.script, found.unknown_script) == ("Latin", script)
    few = coverage(bert, [*texts * 20, SCRIPTS[script]])
    assert (few.poor, few.unknown_script, few.unknown > 0) == (False, script, True)
    assert coverage(bert, texts).unknown_script == ""


MADE_FOR = {
    "english": "The owls hunt mice at night, and nobody in the village sees them before dawn.",
    "science": "Induction of myelodysplasia by myeloid-derived suppressor cells in the elderly.",
    "code": "def rows(self, field):\n    return [self.row(n) for n in self.live(field) if n > 3]",
    "parts": "BX-4471-K9 hex bolt M8x40, RTX4090-24G/OC graphics card, cable USB-C 2m, SKU 99817",
}
NOT_MADE_FOR = {
    "german": "Rückerstattungen werden innerhalb von dreißig Tagen nach Eingang der Ware gezahlt.",
    "french": "Les remboursements sont effectués dans les trente jours suivant la réception.",
    "spanish": "Los reembolsos se realizan dentro de los treinta días siguientes a la recepción.",
    "turkish": "Kediler gündüzleri pencere kenarında uyur ve geceleri bahçede fare avlar.",
    "russian": "Кошка спит днём на подоконнике и ночью охотится на мышей в саду.",
}


def test_what_an_english_vocabulary_is_made_for():
    bert = Vocabulary.bert_uncased()
    assert {name: coverage(bert, [text]).poor for name, text in MADE_FOR.items()} == dict.fromkeys(
        MADE_FOR, False
    )
    for name, text in NOT_MADE_FOR.items():
        found = coverage(bert, [text] * 3)
        assert found.poor, name
        # A vocabulary of many languages cuts more.
        assert replace(found, most_pieces=MOST_PIECES_AT_ALL).poor == (found.pieces > 2.5)


def test_coverage():
    bert = Vocabulary.bert_uncased()
    assert not coverage(bert, ["The cat sat on the mat and looked at the directory tree."]).poor
    assert coverage(bert, [TEXTS["thai"]]).poor
    assert coverage(bert, [TEXTS["russian"]]).poor
    assert [script_of(letter) for letter in "aéส狗к"] == [
        "Latin",
        "Latin",
        "Thai",
        "Han",
        "Cyrillic",
    ]
    assert coverage(bert, []).script == ""
