"""Runs and judgements to and from ranx, pyterrier, and trec_eval in the form of pytrec_eval."""

import gzip
import random

import pytest

from eval.measures import measure
from eval.run import read_run, write_run
from lsr.corpus.qrels import read_qrels, write_qrels
from lsr.errors import InputError

NAMES = ["nDCG@10", "AP", "RR", "R@5", "P@10"]


@pytest.fixture(params=range(4))
def judged(request):
    """Rankings with ties, and graded judgements, of which some queries have none found."""
    chance = random.Random(request.param)
    documents = [f"d{n}" for n in range(40)]
    run, qrels = {}, {}
    for n in range(12):
        found = chance.sample(documents, chance.randint(1, 30))
        scores = sorted((chance.choice([0.5, 1.0, 1.25, 7e6]) for _ in found), reverse=True)
        run[f"q{n}"] = list(zip(found, scores, strict=True))
        judgements = chance.sample(documents, 12)
        qrels[f"q{n}"] = {name: chance.choice([0, 0, 1, 2, 3]) for name in judgements}
        qrels[f"q{n}"][judgements[0]] = 1
    return run, qrels


@pytest.fixture
def files(judged, tmp_path):
    run, qrels = judged
    write_run(tmp_path / "ours.run", run)
    write_qrels(tmp_path / "ours.qrels", qrels)
    return tmp_path


def ids(run):
    return {query: [name for name, _ in ranking] for query, ranking in run.items()}


def test_pytrec_eval_computes_our_measures_from_our_files(judged, files):
    pytrec_eval = pytest.importorskip("pytrec_eval")
    with (files / "ours.run").open() as run, (files / "ours.qrels").open() as qrels:
        theirs, judgements = pytrec_eval.parse_run(run), pytrec_eval.parse_qrel(qrels)
    assert judgements == judged[1]
    keys = {"nDCG@10": "ndcg_cut_10", "AP": "map", "RR": "recip_rank", "R@5": "recall_5"}
    keys["P@10"] = "P_10"
    found = pytrec_eval.RelevanceEvaluator(judgements, set(keys.values())).evaluate(theirs)
    ours = measure(judged[1], judged[0], NAMES)
    for name, key in keys.items():
        mean = sum(values[key] for values in found.values()) / len(found)
        assert ours[name] == pytest.approx(mean, abs=1e-6)


@pytest.mark.slow
def test_ranx_reads_ours_and_we_read_what_it_saves(judged, files):
    ranx = pytest.importorskip("ranx", reason="needs pip install ranx")
    theirs = ranx.Run.from_file(str(files / "ours.run"), kind="trec")
    qrels = ranx.Qrels.from_file(str(files / "ours.qrels"), kind="trec")
    ours = measure(judged[1], judged[0], NAMES)
    keys = {
        "nDCG@10": "ndcg@10",
        "AP": "map",
        "RR": "mrr",
        "R@5": "recall@5",
        "P@10": "precision@10",
    }
    found = ranx.evaluate(qrels, theirs, list(keys.values()))
    for name, key in keys.items():
        assert found[key] == pytest.approx(ours[name], abs=1e-6)
    theirs.save(str(files / "theirs.trec"), kind="trec")
    qrels.save(str(files / "theirs.qrels"), kind="trec")
    assert ids(read_run(files / "theirs.trec")) == ids(judged[0])
    assert read_qrels(files / "theirs.qrels") == judged[1]


def test_pyterrier_reads_ours_and_we_read_what_it_writes(judged, files):
    pt = pytest.importorskip("pyterrier", reason="needs pip install pyterrier")
    results = pt.io.read_results(str(files / "ours.run"))
    qrels = pt.io.read_qrels(str(files / "ours.qrels"))
    assert {(row.qid, row.docno): row.label for row in qrels.itertuples()} == {
        (query, name): grade
        for query, grades in judged[1].items()
        for name, grade in grades.items()
    }
    pt.io.write_results(results, str(files / "theirs.res.gz"))
    with gzip.open(files / "theirs.res.gz", "rt") as stream:
        assert len(stream.readline().split()) == 6
    assert ids(read_run(files / "theirs.res.gz")) == ids(judged[0])


def test_a_folder_with_a_run_is_read_as_the_run(judged, files):
    for name in ("run.txt", "run.txt.gz"):
        folder = files / name.replace(".", "-")
        folder.mkdir()
        text = (files / "ours.run").read_bytes()
        (folder / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        assert read_run(folder) == read_run(files / "ours.run")
    with pytest.raises(InputError, match=r"holds no run\.txt or run\.txt\.gz"):
        read_run(files)
