"""Terms against those of Lucene's analysers, and what is a term besides."""

import random
from importlib.util import find_spec
from itertools import islice

import pytest
from hypothesis import given

from eval.datasets import named_corpus
from lsr.analysis.analyzer import Analyzer, analyzer
from lsr.errors import UsageError
from tests.lsr.analysis.lucene import lucene_terms
from tests.strategies import texts

needs_lucene = pytest.mark.skipif(
    find_spec("pyserini") is None, reason="needs pip install '.[lucene]'"
)
SENTENCES = {
    "german": "Die Häuser der Städte wurden aufgebaut, Rückerstattungen grüßen",
    "french": "Les chevaux étaient parlées continuellement dans les maisons",
    "russian": "Собаки бегали по улицам красивых городов",
    "spanish": "corriendo las canciones habladas de las naciones",
    "italian": "correndo le canzoni parlate delle nazioni",
    "portuguese": "correndo as canções faladas das nações",
    "swedish": "hundarna springer på gatorna i städerna",
    "finnish": "koirat juoksevat kaupunkien kaduilla taloissamme",
    "turkish": "kitaplarımızdan evlerinizde okuyorum",
    "hungarian": "a kutyák házaimban futnak",
    "arabic": "والكتابات المدرسية للطلاب",
    "romanian": "câinii alergau pe străzile orașelor",
    "danish": "hundene løber på gaderne i byerne",
    "norwegian": "hundene løper på gatene i byene",
}


def stemmed(name, text):
    """Our terms without stop words and compounds, which SENTENCES have none of."""
    stop = analyzer(name).stop_words
    return [term for term in analyzer(name).terms(text) if term not in stop]


@needs_lucene
@pytest.mark.parametrize("language", SENTENCES)
def test_snowball_stems_are_those_of_lucene(language):
    stop = analyzer(language).stop_words
    text = " ".join(word for word in SENTENCES[language].split() if word.lower() not in stop)
    ours, theirs = stemmed(language, text), lucene_terms(language, text)
    assert [term for term, other in zip(ours, theirs, strict=True) if term != other] == []


@needs_lucene
@pytest.mark.assets
def test_english_terms_are_those_of_anserini(assets):
    """But for words whose stem is a stop word, and abbreviations, which are not stemmed."""
    documents = islice(contents(assets / "data/cranfield"), 150)
    stop, wrong, seen = analyzer("english").stop_words, set(), 0
    for text in documents:
        ours = [term for term in analyzer("english").terms(text) if term not in stop]
        theirs = lucene_terms("english", text)
        seen += len(theirs)
        differing = {(a, b) for a, b in zip(theirs, ours, strict=False) if a != b}
        wrong |= {(a, b) for a, b in differing if a not in stop and "." not in b}
    assert seen > 10_000
    assert wrong == set()


def contents(folder):
    for item in named_corpus(str(folder)):
        yield item.document.contents


@given(texts)
def test_places_of_terms_are_in_the_text(text):
    english = analyzer("english")
    found = list(english.occurrences(text))
    assert sorted(term for term, _, _ in found) == sorted(english.terms(text))
    assert all(0 <= start < end <= len(text) for _, start, end in found)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("C++ and C#, g++ or F#; .NET!", {"c++", "c#", "g++", "f#", ".net", "net", "c"}),
        ("part AB-1234-X.", {"ab-1234-x", "ab", "1234", "x"}),
        ("v2.3.1-rc1", {"v2.3.1-rc1", "v2.3.1", "v2", "3", "1", "rc1"}),
        ("COVID-19", {"covid-19", "covid", "19"}),
        ("mail Jane.Doe@Example.com!", {"jane.doe@example.com", "example.com", "example", "jane"}),
        ("(https://www.Example.org/a/b?c=1).", {"example.org/a/b?c=1", "example", "org", "a", "b"}),
        ("snake_case_name", {"snake_case_name", "snake", "case", "name"}),
        ("10.1.0.5", {"10.1.0.5", "10"}),
        ("state-of-the-art wi-fi", {"state", "art", "wi", "fi"}),
        ("3.14 1,000", {"3.14", "1,000"}),
        ("hunting dogs' owner's", {"hunt", "dog", "owner"}),
        ("ﬁnd ２３ ＡＢＣ", {"find", "23", "abc"}),
        ("technology technological possibly possible", {"technolog", "possibl"}),
    ],
)
def test_wholes_and_parts(text, wanted):
    found = set(analyzer("english").terms(text))
    assert wanted <= found
    assert not any("-" in term for term in found - wanted)


def test_innings_are_no_stop_word():
    assert analyzer("english").terms("innings in") == ["innings", "in"]


@pytest.mark.parametrize(
    ("name", "text", "term"),
    [
        ("french", "l'homme", "homm"),
        ("italian", "dell’arte", "arte"),
        ("turkish", "ISI", "ıs"),
        ("auto", "бегали", "бега"),
        ("auto", "hunting", "hunt"),
        ("standard", "hunting", "hunting"),
        ("cjk", "hunting", "hunting"),
    ],
)
def test_languages(name, text, term):
    assert analyzer(name).terms(text) == [term]


def test_no_such_analyzer():
    with pytest.raises(UsageError, match="no analyzer 'klingon'; allowed are auto, cjk"):
        Analyzer("klingon")


def test_long_texts_without_spaces_take_no_longer_than_others():
    """Any pattern that tries again from each place would take minutes here."""
    draw = random.Random(0)
    for signs in ("-", "/", ".", "@", "+", "_", "a-", "a.", "a@", "1_", "."):
        text = signs * 50_000
        assert analyzer("english").terms(text) is not None
    text = "".join(draw.choice("ab01./:@-_+#") for _ in range(200_000))
    assert analyzer("english").terms(text)
