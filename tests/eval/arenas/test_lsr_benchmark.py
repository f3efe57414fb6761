"""lsr-benchmark: its embeddings, our run folders, and its own evaluator over them."""

import gzip
import json

import ir_measures
import numpy as np
import pytest
import yaml

from eval.arenas.lsr_benchmark import Entry, read_embedding, write_run_folder
from eval.measures import measure
from eval.run import read_run
from lsr.corpus.qrels import read_qrels
from lsr.errors import InputError, NotFoundError, UsageError

N, Q, TERMS = 50, 6, 20


@pytest.fixture
def embedding(tmp_path):
    """A folder as lsr-benchmark has it, with its matrices."""
    random, made = np.random.default_rng(11), {}
    folder = tmp_path / "splade-mini"
    for kind, count in (("doc", N), ("query", Q)):
        rows = np.float16(random.random((count, TERMS)) * (random.random((count, TERMS)) < 0.4))
        (folder / kind).mkdir(parents=True)
        np.savez_compressed(
            folder / kind / f"{kind}-embeddings.npz",
            data=rows[rows > 0].astype(np.float32),
            indices=np.nonzero(rows)[1].astype(np.int32),
            indptr=np.cumsum([0, *(rows > 0).sum(axis=1)]),
        )
        ids = [f"{kind[0]}{place}" for place in range(count)]
        (folder / kind / f"{kind}-ids.txt").write_text("\n".join(ids) + "\n")
        made[kind] = rows.astype(float)
    return folder, made


@pytest.fixture
def dataset(tmp_path):
    """A local data set as lsr-benchmark has it."""
    folder = tmp_path / "pets"
    folder.mkdir()
    random = np.random.default_rng(12)
    with gzip.open(folder / "corpus.jsonl.gz", "wt") as corpus:
        for n in range(N):
            segments = [{"start": 0, "end": 1, "text": "x"}]
            line = {"doc_id": f"d{n}", "default_text": "x", "segments": segments}
            corpus.write(json.dumps(line) + "\n")
    queries = [json.dumps({"qid": f"q{n}", "query": "x"}) for n in range(Q)]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    judged = [
        f"q{q} 0 d{d} {random.integers(0, 4)}" for q in range(Q) for d in random.permutation(N)[:20]
    ]
    (folder / "qrels.txt").write_text("\n".join(judged) + "\n")
    return folder


def test_a_run_folder_has_the_exhaustive_ranking_and_its_metadata(embedding, dataset, tmp_path):
    folder, made = embedding
    out = tmp_path / "runs" / "lsr"
    seconds = write_run_folder(Entry(str(dataset), folder, k=7, team="us"), out)
    assert set(seconds) == {"index", "retrieval"}
    scores = made["query"] @ made["doc"].T
    run = read_run(out)
    assert list(run) == [f"q{n}" for n in range(Q)]
    for row, ranking in enumerate(run.values()):
        best = np.argsort(-scores[row], kind="stable")[:7]
        assert [name for name, _ in ranking] == [f"d{place}" for place in best]
    for name in ("index-metadata.yml", "retrieval-metadata.yml"):
        about = yaml.safe_load((out / name).read_text())
        assert about["data"]["test collection"]["name"] == str(dataset)
        assert about["data"]["embedding model"]["name"] == "splade-mini"
        assert about["actor"]["team"] == "us"
        assert about["tag"] == "lsr-native"
        assert about["resources"]["runtime"]["wallclock"].endswith(" ms")
    with pytest.raises(UsageError, match="holds a run already"):
        write_run_folder(Entry(str(dataset), folder), out)


def test_its_own_evaluator_computes_our_measures(embedding, dataset, tmp_path):
    pytest.importorskip("lsr_benchmark", reason="needs pip install lsr-benchmark")
    from lsr_benchmark._commands import _evaluate

    folder, _ = embedding
    out = tmp_path / "runs" / "lsr"
    write_run_folder(Entry(str(dataset), folder, k=N), out)
    names = ["nDCG@10", "P@10", "RR", "R@10", "AP"]
    asked = [(name, "ir_measure", ir_measures.parse_measure(name)) for name in names]
    tirex = vars(_evaluate)["__parse_tirex_measure"]
    asked += [(name, "tirex", tirex(name)) for name in ("runtime_wallclock", "energy_total")]
    found = _evaluate.evaluate_approach(str(out), asked)
    expected = measure(read_qrels(dataset / "qrels.txt"), read_run(out), names)
    for name in names:
        assert found[name] == pytest.approx(expected[name], abs=1e-9)
    assert found["retrieval.runtime_wallclock"].endswith(" ms")
    assert found["index.energy_total"] >= 0
    assert found["embedding/model"] == "splade-mini"


def test_its_runner_takes_what_we_wrote(embedding, dataset, tmp_path):
    """The checks and the patch of ``run_retrieval_engine``, but for the container."""
    pytest.importorskip("lsr_benchmark", reason="needs pip install lsr-benchmark")
    from tira.check_format import FormatMsgType, check_format
    from tira.io_utils import patch_ir_metadata

    folder, _ = embedding
    out = tmp_path / "out"
    write_run_folder(Entry("/tira-data/input", folder), out)
    assert check_format(out, ["run.txt"], {})[0] == FormatMsgType.OK
    before, after = ({"data": {"test collection": {"name": n}}} for n in ("/tira-data/input", "x"))
    patch_ir_metadata(out, before, after)
    for name in ("index-metadata.yml", "retrieval-metadata.yml"):
        about = yaml.safe_load((out / name).read_text())
        assert about["tag"] == "lsr-native"
        assert about["data"]["test collection"]["name"] == "x"


def damage_npz(path, **changes):
    with np.load(path) as loaded:
        arrays = dict(loaded) | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("damage", "error", "what"),
    [
        (lambda f: (f / "query/query-ids.txt").unlink(), NotFoundError, "no file"),
        (lambda f: (f / "query/query-ids.txt").write_text("a\nb\n"), InputError, "2 ids and 6"),
        (lambda f: (f / "query/query-ids.txt").write_bytes(b"\xff"), InputError, "not UTF-8"),
        (lambda f: (f / "query/query-embeddings.npz").write_bytes(b"PK"), InputError, "no file of"),
        (
            lambda f: damage_npz(f / "query/query-embeddings.npz", data=None),
            InputError,
            "no file of compressed",
        ),
        (
            lambda f: damage_npz(f / "query/query-embeddings.npz", data=np.array([{}], object)),
            InputError,
            "no file of compressed",
        ),
        (
            lambda f: damage_npz(f / "query/query-embeddings.npz", indptr=np.arange(3)),
            InputError,
            "does not rise",
        ),
    ],
)
def test_damaged_embeddings_are_refused(embedding, damage, error, what):
    folder, _ = embedding
    damage(folder)
    with pytest.raises(error, match=what):
        read_embedding(folder, "query")


def test_an_id_that_no_run_can_hold_leaves_no_folder(embedding, dataset, tmp_path):
    folder, _ = embedding
    ids = [f"d {n}" for n in range(N)]
    (folder / "doc/doc-ids.txt").write_text("\n".join(ids) + "\n")
    with pytest.raises(InputError, match="white space"):
        write_run_folder(Entry(str(dataset), folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()
