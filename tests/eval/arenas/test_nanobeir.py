"""NanoBEIR's keys and numbers beside those of sentence-transformers' own evaluator."""

import random

import pytest

from eval.arenas.nanobeir import nano_name, nanobeir_report
from eval.datasets import Dataset
from lsr.corpus.documents import Document, Query
from lsr.corpus.items import given_items
from lsr.encoders.catalogue import load_encoder
from lsr.errors import UsageError

WORDS = [
    "apple",
    "banana",
    "cherry",
    "lemon",
    "number",
    "pie",
    "plum",
    "wing",
    "owl",
    "mouse",
    "night",
    "flower",
    "bee",
]


def made(name, seed, documents, queries):
    """A data set of random words; some queries have no relevant document, one document no text."""
    chance = random.Random(seed)

    def text(most):
        return " ".join(chance.choices(WORDS, k=chance.randint(1, most)))

    corpus = [Document(f"d{n}", text(12), text(2)) for n in range(documents)]
    corpus.append(Document("none", ""))
    asked = [Query(f"q{n}", text(4)) for n in range(queries)]
    qrels = {
        query.id: {
            f"d{n}": chance.choice([-1, 0, 1, 2]) for n in chance.sample(range(documents), 8)
        }
        for query in asked
    }
    qrels["q0"] = dict.fromkeys(qrels["q0"], 0)
    return Dataset(name, lambda: list(given_items(corpus)), asked, qrels)


@pytest.fixture
def datasets():
    return [made("scifact", 1, 140, 9), made("beir/nfcorpus/test", 2, 110, 7)]


def theirs(model, datasets):
    evaluation = pytest.importorskip("sentence_transformers.sparse_encoder.evaluation")

    class Given(evaluation.SparseNanoBEIREvaluator):
        """Their evaluator, with data of ours in place of what it downloads."""

        def _load_dataset(self, dataset_name, **settings):
            dataset = next(each for each in datasets if dataset_name in each.name)
            settings.pop("truncate_dim", None)
            items = [item.document for item in dataset.corpus()]
            return evaluation.SparseInformationRetrievalEvaluator(
                queries={query.id: query.text for query in dataset.queries},
                corpus={document.id: document.contents for document in items if document.contents},
                relevant_docs={
                    query: {name for name, grade in grades.items() if grade > 0}
                    for query, grades in dataset.qrels.items()
                },
                name=self._get_human_readable_name(dataset_name),
                max_active_dims=self.max_active_dims,
                **settings,
            )

    return Given(["scifact", "nfcorpus"], write_csv=False, batch_size=1)(model)


def test_the_same_keys_and_numbers_as_their_evaluator(masked_lm, datasets):
    peer = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sparse_encoder.modules import MLMTransformer, SpladePooling

    model = peer.SparseEncoder(modules=[MLMTransformer(str(masked_lm)), SpladePooling()])
    expected = theirs(model, datasets)
    found = nanobeir_report(load_encoder(f"splade:{masked_lm}"), datasets)
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key] == pytest.approx(float(value), rel=2e-3, abs=2e-3), key


def test_words_of_an_open_vocabulary_are_terms(datasets):
    found = nanobeir_report(load_encoder("bm25"), datasets)
    assert found["NanoSciFact_corpus_active_dims"] < 13
    assert 0 < found["NanoSciFact_corpus_sparsity_ratio"] < 1
    for key in ("avg_flops", "dot_map@100", "query_active_dims"):
        each = [found[f"{name}_{key}"] for name in ("NanoSciFact", "NanoNFCorpus")]
        assert min(each) - 1e-9 <= found[f"NanoBEIR_mean_{key}"] <= max(each) + 1e-9


def test_data_sets_have_the_names_of_the_evaluator(datasets):
    names = {
        "scifact": "NanoSciFact",
        "NanoFiQA2018": "NanoFiQA2018",
        "beir/webis-touche2020/v2": "NanoTouche2020",
        "beir/dbpedia-entity/test": "NanoDBPedia",
        "pets": "Nanopets",
    }
    assert {name: nano_name(name) for name in names} == names
    with pytest.raises(UsageError, match="there is no data set"):
        nanobeir_report(load_encoder("bm25"), [])
    with pytest.raises(UsageError, match="two data sets go by the name NanoSciFact"):
        nanobeir_report(load_encoder("bm25"), [datasets[0], datasets[0]])
    unjudged = {query.id: {} for query in datasets[0].queries}
    empty = Dataset("x", datasets[0].corpus, datasets[0].queries, unjudged)
    with pytest.raises(UsageError, match="no query of 'x'"):
        nanobeir_report(load_encoder("bm25"), [empty])
