"""The language of a corpus, on texts of many."""

import pytest

from lsr.analysis.analyzer import ANALYZERS
from lsr.encoding.language import language_of, language_of_corpus

TEXTS = {
    "english": "The owls hunt mice at night, and they are not seen by the people in the village.",
    "german": "Die Kosten der Rückerstattung werden von uns nicht übernommen, wenn es fehlt.",
    "french": "Les chats dorment au soleil et ne sont pas dans la maison quand il fait beau.",
    "spanish": "Los gatos duermen al sol y no están en la casa cuando hace buen tiempo para ellos.",
    "portuguese": "Os gatos dormem ao sol e não estão em casa quando o tempo é bom para eles.",
    "italian": "I gatti dormono al sole e non sono nella casa quando il tempo è bello per loro.",
    "dutch": "De katten slapen in de zon en zijn niet in het huis wanneer het mooi weer is.",
    "swedish": "Katterna sover i solen och är inte i huset när det är vackert väder för dem.",
    "finnish": "Kissat nukkuvat auringossa, ja ne eivät ole talossa, kun on kesä tai se on lämmin.",
    "russian": "Кошки спят на солнце, и их нет в доме, когда для них хорошая погода.",
    "arabic": "القطط تنام في الشمس ولا تبقى في البيت عندما يكون الجو جميلا من كل مكان إلى كل مكان",
    "hindi": "बिल्लियाँ धूप में सोती हैं और घर में नहीं होती हैं जब मौसम अच्छा होता है।",
    "greek": "Οι γάτες κοιμούνται στον ήλιο και δεν είναι στο σπίτι.",
    "armenian": "Կատուները քնում են արևի տակ։",
    "tamil": "பூனைகள் வெயிலில் தூங்குகின்றன",
    "cjk": "猫は日なたで眠ります。天気がいいとき、家にはいません。",
}
UNSPACED = ["狗每天在公园里奔跑", "สุนัขวิ่งเล่นในสวน", "ឆ្មាដេកនៅក្រោមព្រះអាទិត្យ", "고양이는 햇볕에서 잔다"]
# Of languages that have no analyser, or no list; and of none.
OTHERS = [
    "Kočky spí na slunci a nejsou v domě, když je pěkné počasí, protože mají rády teplo.",
    "Koty śpią na słońcu i nie ma ich w domu, kiedy jest ładna pogoda, bo lubią ciepło.",
    "Коти сплять на сонці, і їх немає в хаті, коли гарна погода, бо вони люблять тепло.",
    "Kediler güneşte uyur ve hava güzel olduğunda evde değildir.",
    "گربه‌ها در آفتاب می‌خوابند و وقتی هوا خوب است در خانه نیستند.",
    "for (int i = 0; i < n; ++i) total += rows[i].size();",
    "AB-1234-X 2.3.1",
    "1234 5678",
    "🎉",
    "",
]


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_its_language(name):
    assert name in ANALYZERS
    assert language_of(TEXTS[name]) == name


@pytest.mark.parametrize("text", UNSPACED)
def test_scripts_without_spaces_come_as_bigrams(text):
    assert language_of(text) == "cjk"


@pytest.mark.parametrize("text", OTHERS)
def test_no_language_is_made_up(text):
    assert language_of(text) == ""


def test_a_corpus_has_the_language_of_most_of_its_texts():
    many = [TEXTS["german"]] * 8 + [TEXTS["english"]] * 2
    found = language_of_corpus(many)
    assert (found.analyzer, found.texts, found.checked) == ("german", 8, 10)
    assert "8 of 10 texts" in found.sentence


@pytest.mark.parametrize("texts", [list(TEXTS.values()), OTHERS, [TEXTS["german"], *OTHERS], []])
def test_a_corpus_of_no_one_language_is_stemmed_by_script(texts):
    found = language_of_corpus(texts)
    assert found.analyzer == "auto"
    assert "no one language" in found.sentence
