"""The public face: exact names, loaded when they are used, each what the command line runs."""

import inspect
import json
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

import lsr
from index.search.config import SearchConfig
from index.search.pipeline import search
from index.search.query import SearchQuery
from service.cli import cli

NAMES = {
    "AsyncClient", "Client", "Collection", "Document", "LsrError", "Reranking", "SearchConfig",
    "SearchQuery", "SearchResult", "create", "evaluate", "index", "load_dense_encoder",
    "load_encoder", "open", "search", "train_encoder", "tune",
}  # fmt: skip
PETS = [
    lsr.Document("cat", "Cats sleep most of the day and hunt at night.", metadata={"legs": 4}),
    lsr.Document("dog", "Dogs bark, fetch sticks, and like company.", "Dogs", {"legs": 4}),
    lsr.Document("owl", "Owls hunt mice at night without a sound.", metadata={"legs": 2}),
]


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pets") / "pets"
    report = lsr.index(PETS, into=folder, encoder="bm25")
    assert (report.created, report.rejected) == (3, 0)
    return lsr.open(folder)


def hits(result):
    return [(hit.id, hit.score) for hit in result.hits]


def test_all_names_exactly_what_there_is():
    assert set(lsr.__all__) == NAMES
    assert lsr.__all__ == sorted(lsr.__all__)
    defined = {
        name
        for name, value in vars(lsr).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == "lsr"
    }
    assert defined <= NAMES
    assert set(dir(lsr)) >= NAMES
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        lsr.serach  # noqa: B018


def test_every_name_is_documented():
    for name in NAMES:
        assert inspect.getdoc(getattr(lsr, name)), name


def test_importing_it_loads_none_of_what_its_names_need():
    program = (
        "import sys, lsr\n"
        "packages = 'lsr', 'index', 'eval', 'service'\n"
        "ours = [m for m in sys.modules if m.split('.')[0] in packages]\n"
        "print(ours, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "['lsr'] False\n", done.stderr


def test_search_is_the_query_path_with_its_settings_as_keywords(pets):
    config = SearchConfig(limit=2, explain=True, offset=0)
    assert hits(lsr.search(pets, "hunt at night", limit=2, explain=True)) == hits(
        search(pets, SearchQuery("hunt at night"), config)
    )
    assert [hit.id for hit in lsr.search(pets, "hunt", filter="legs < 4").hits] == ["owl"]
    tokens = lsr.SearchQuery(tokens={"mice": 1.0})
    assert [hit.id for hit in lsr.search(pets, tokens).hits] == ["owl"]
    with pytest.raises(TypeError, match="depht"):
        lsr.search(pets, "hunt", depht=3)
    with pytest.raises(lsr.LsrError, match="limit is 0; allowed is 1"):
        lsr.search(pets, "hunt", limit=0)


def test_documents_mappings_and_files_are_indexed_alike(pets, tmp_path):
    records = [
        {"_id": pet.id, "title": pet.title, "text": pet.text, **pet.metadata} for pet in PETS
    ]
    lines = tmp_path / "pets.jsonl"
    lines.write_text("".join(json.dumps(record) + "\n" for record in records))
    for corpus in (records, lines, str(lines)):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        lsr.index(corpus, into=folder, encoder="bm25")
        assert lsr.open(folder).digest() == pets.digest()
        again = lsr.index(corpus, into=str(folder))
        assert (again.created, again.unchanged) == (0, 3)


def test_what_is_no_document_is_left_out_and_said(tmp_path, caplog):
    corpus = [PETS[0], {"text": "no id"}, "text", lsr.Document("", "empty id"), PETS[0]]
    report = lsr.index(corpus, into=tmp_path / "pets", encoder="bm25")
    assert (report.created, report.rejected) == (1, 4)
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(": ")[0] for line in said] == [
        f"document:{number}" for number in (2, 3, 4, 5)
    ]
    assert "has no id" in said[0]
    assert "not a string" in said[1]
    assert "given before, at document:1" in said[3]


def test_what_a_training_or_an_evaluation_leaves_out_is_said(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "a", "positive": "b", "negative": "c"}\nno\n')
    config = tmp_path / "training.toml"
    config.write_text(
        f'output = {json.dumps(str(tmp_path / "out"))}\n[model]\nbase = "./none"\n[optimizer]\n'
        f"steps = 1\n[[sources]]\npath = {json.dumps(str(pairs))}\n"
        '[[losses]]\nname = "info-nce"\n[evaluation]\nevery = 0\n'
    )
    with pytest.raises(lsr.LsrError, match=r"'\./none' does not exist"):
        lsr.train_encoder(config)
    said = [record.getMessage() for record in caplog.records]
    assert [
        f"{pairs}:2: " in said[0],
        "negatives that 1 pairs came with are not used" in said[1],
    ] == [True, True]
    caplog.clear()
    folder = tmp_path / "night"
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\towl\t1\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "mice"}\n')
    (folder / "corpus.jsonl").write_text('{"_id": "owl", "text": "mice"}\n{"text": "no id"}\n')
    lsr.evaluate(folder, "bm25")
    assert ["corpus.jsonl:2: " in record.getMessage() for record in caplog.records] == [True]


def test_a_collection_is_created_once(tmp_path):
    made = lsr.create(tmp_path / "made", encoder="bm25,k1=1.2", bm25=False)
    assert [field.encoder for field in made.fields] == ["bm25,k1=1.2"]
    assert len(made) == 0
    with pytest.raises(lsr.LsrError, match="holds a collection already"):
        lsr.create(tmp_path / "made")
    with pytest.raises(lsr.LsrError, match="there is no collection at"):
        lsr.open(tmp_path / "missing")


def test_a_test_collection_is_scored(tmp_path, monkeypatch):
    monkeypatch.setenv("LSR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "night"
    (folder / "qrels").mkdir(parents=True)
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq\towl\t1\n")
    (folder / "queries.jsonl").write_text('{"_id": "q", "text": "who hunts mice?"}\n')
    (folder / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": pet.id, "text": pet.text}) + "\n" for pet in PETS)
    )
    (row,) = lsr.evaluate(folder, encoder="bm25", measures=["RR@10"], depth=10)
    assert row.measures == {"RR@10": 1.0}


def test_encoders_are_found_by_name(dense_model):
    assert lsr.load_encoder("bm25").name == "bm25"
    assert lsr.load_dense_encoder(str(dense_model)).dimension == 16


def test_a_source_is_read_and_kept_in_step_as_the_command_line_does(tmp_path):
    """Each option of `lsr index` under the same name, with the same outcome."""
    shop = tmp_path / "shop"
    (shop / "old").mkdir(parents=True)
    header = "sku,label,name,about\n"
    (shop / "goods.csv").write_text(header + "s1,Saw,Cuts,wood\nh1,Hammer,Drives,nails\n")
    (shop / "rows.tsv").write_text("sku\tlabel\tname\tabout\nt1\tTape\tMeasures\tlengths\n")
    (shop / "old" / "gone.csv").write_text(header + "x1,Axe,Splits,logs\n")
    (shop / "page.html").write_text("<p>Open at night.")
    bare = tmp_path / "bare.tsv"
    bare.write_text("Saw\tcuts wood\ts1\n")
    for number, (source, options) in enumerate(
        [
            (shop, {"id_field": "sku", "title_field": "label", "text_field": "name,about"}),
            (shop, {"id_field": "sku", "text_field": ["about"], "include": "*.csv"}),
            (shop, {"id_field": "sku", "text_field": "about", "exclude": ["old/", "*.html"]}),
            (bare, {"columns": ["title", "text", "id"]}),
        ]
    ):
        mine, theirs = tmp_path / f"mine{number}", tmp_path / f"theirs{number}"
        first = lsr.index([{"id": "stale", "text": "old stock"}], into=mine, encoder="bm25")
        assert first.created == 1
        shutil.copytree(mine, theirs)
        report = lsr.index(source, into=mine, sync=True, **options)
        arguments = ["index", str(source), "--into", str(theirs), "--sync", "--json"]
        for name, value in options.items():
            listed = [value] if isinstance(value, str) else value
            many = [",".join(listed)] if name in ("text_field", "columns") else listed
            for each in many:
                arguments += [f"--{name.replace('_', '-')}", each]
        done = CliRunner().invoke(cli, arguments)
        said = json.loads(done.stdout)
        assert (report.created, report.deleted) == (said["created"], said["deleted"])
        assert report.deleted == 1
        assert report.passed_over.as_json()["passed_over"] == said["passed_over"]
        assert lsr.open(mine).digest() == lsr.open(theirs).digest()
        assert "stale" not in lsr.open(mine).ids()


def test_records_are_read_under_the_names_that_are_given(tmp_path):
    records = [{"sku": 7, "about": "cuts wood", "id": "no"}, lsr.Document("d", "drives nails")]
    lsr.index(records, into=tmp_path / "c", encoder="bm25", id_field="sku", text_field="about")
    found = lsr.open(tmp_path / "c")
    assert found.ids() == ["7", "d"]
    assert found.get("7").metadata == {"id": "no"}
    for wrong in ({"columns": "id,text"}, {"include": "*.md"}, {"exclude": ["*.md"]}):
        with pytest.raises(lsr.LsrError, match="are about files, and the corpus is documents"):
            lsr.index(records, into=tmp_path / "none", encoder="bm25", **wrong)
    assert not (tmp_path / "none").exists()


def test_a_collection_in_which_nothing_could_be_written_is_taken_away(tmp_path):
    report = lsr.index([{"text": "no id"}], into=tmp_path / "c", encoder="bm25")
    assert report.rejected == 1
    assert not (tmp_path / "c").exists()
    lsr.index(PETS, into=tmp_path / "c", encoder="bm25")
    report = lsr.index([{"text": "no id"}], into=tmp_path / "c", sync=True)
    assert (report.deleted, len(lsr.open(tmp_path / "c"))) == (0, 3)
    assert "could not be read and have no id" in report.not_deleted


def test_tuning_takes_mappings_and_files(pets, tmp_path):
    queries = {"q1": "hunts at night", "q2": "likes company"}
    judged = {"q1": {"owl": 1}, "q2": {"dog": 1}}
    given = lsr.tune(pets, queries, judged, folds=2, write=False)
    (tmp_path / "q.tsv").write_text("".join(f"{name}\t{text}\n" for name, text in queries.items()))
    (tmp_path / "qrels").write_text("q1 0 owl 1\nq2 0 dog 1\n")
    assert lsr.tune(pets, tmp_path / "q.tsv", tmp_path / "qrels", folds=2, write=False) == given
    assert (given.queries, given.written, given.using) == (2, False, "sparse")
