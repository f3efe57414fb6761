"""One exported folder, three readers, the same vectors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.catalogue import load_encoder
from lsr.errors import InputError, UsageError
from lsr.train.export import Exported, export_encoder
from lsr.vocabulary import Vocabulary
from tests.lsr.encoders import published

# Of unlike lengths, the last ones beyond every max_length here, none blank.
TEXTS = [
    "the wing",
    "Wing flow over a boundary layer; the Wing!",
    "naïve café ☕ unknownish [SEP] the [MASK] <s> of",
    "flow over the wings of a boundary layer " * 30,
    "wings and layer, of the flow: Boundary a over " * 12,
]


def tied_bert(folder):
    published.bert_mlm(folder, vocab_size=30522)


def untied_bert_with_spare_rows(folder):
    published.bert_mlm(folder, tie_word_embeddings=False, vocab_size=30600)


def untied_roberta_with_spare_rows(folder):
    published.roberta_mlm(folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    config.tie_word_embeddings = False
    config.vocab_size += 9
    transformers.RobertaForMaskedLM(config).save_pretrained(folder)


def modernbert_with_spare_rows(folder):
    published.modernbert_mlm(folder)
    model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
    model.resize_token_embeddings(384)
    model.save_pretrained(folder)


BUILDERS = {
    "bert": tied_bert,
    "bert-untied-spare": untied_bert_with_spare_rows,
    "distilbert": published.distilbert_mlm,
    "roberta-untied-spare": untied_roberta_with_spare_rows,
    "roberta": published.roberta_mlm,
    "modernbert-spare": modernbert_with_spare_rows,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """By name: (model, vocabulary); made when it is first asked for."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("trained") / name
            BUILDERS[name](folder)
            model = transformers.AutoModelForMaskedLM.from_pretrained(folder)
            vocabulary = Checkpoint.resolve(str(folder)).vocabulary
            with torch.no_grad():
                bias = model.get_output_embeddings().bias
                bias.normal_(0.5, 1)  # special tokens become active too
                bias[vocabulary.size :] = 50  # what lies behind the vocabulary, everywhere
            made[name] = model.train(), vocabulary
        return made[name]

    return get


def random_table(vocabulary):
    table = np.random.default_rng(5).normal(1, 1, vocabulary.size).astype(np.float32)
    return np.where(np.abs(table) < 0.2, 0, table)


def saturated(model, vocabulary, text, settings, logs):
    """float64 (V,): the formula, with torch, for one text."""
    tokenizer = Tokenizer.from_str(vocabulary.tokenizer.to_str())
    tokenizer.enable_truncation(settings.max_length)
    ids = torch.tensor([tokenizer.encode(text).ids])
    was_training = model.training
    with torch.inference_mode():
        logits = model.eval()(input_ids=ids).logits[0, :, : vocabulary.size].float()
    model.train(was_training)
    weights = logits.max(dim=0).values.relu().double()
    for _ in range(logs):
        weights = weights.log1p()
    return weights.numpy()


def looked_up(table, vocabulary, text):
    weights = np.zeros(vocabulary.size)
    for term in vocabulary.tokenizer.encode(text, add_special_tokens=False).ids:
        weights[term] = max(table[term], 0)
    weights[list(vocabulary.special)] = 0
    return weights


def capped(weights, top_k):
    kept = np.argsort(-weights, kind="stable")[: top_k or None]
    return np.where(np.isin(np.arange(len(weights)), kept), weights, 0)


def expected(model, vocabulary, settings, table):
    """(documents, queries), each float64 (texts, V)."""
    documents, queries = (
        np.stack([saturated(model, vocabulary, text, settings, logs) for text in TEXTS])
        for logs in (settings.logs, settings.query_logs or settings.logs)
    )
    if table is not None:
        documents[:, list(vocabulary.special)] = 0
        queries = np.stack([looked_up(table, vocabulary, text) for text in TEXTS])
    return tuple(np.stack([capped(row, settings.top_k) for row in rows])
                 for rows in (documents, queries))  # fmt: skip


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


CASES = [
    ("bert", Exported("model", 1, 24, 0), "float32"),
    ("bert", Exported("table", 2, 16, 40), "float32"),
    ("bert-untied-spare", Exported("table", 1, 64, 0), "float32"),
    ("bert", Exported("model", 4, 24, 0), "float32"),
    ("bert", Exported("model", 1, 24, 0, query_logs=3), "float32"),
    ("bert", Exported("table", 3, 24, 9), "float32"),
    ("distilbert", Exported("model", 2, 32, 7), "float32"),
    ("roberta", Exported("table", 1, 5000, 12), "float32"),
    ("roberta", Exported("model", 2, 12, 0), "float32"),
    ("roberta-untied-spare", Exported("model", 1, 12, 5), "float16"),
    ("modernbert-spare", Exported("model", 1, 20, 9), "float32"),
    ("modernbert-spare", Exported("table", 2, 20, 0), "float16"),
]


@pytest.fixture(
    scope="module",
    params=CASES,
    ids=lambda case: (
        f"{case[0]}-{case[1].queries}-{case[1].logs}-{case[1].query_logs}-{case[1].top_k}-{case[2]}"
    ),
)
def case(request, trained, tmp_path_factory):
    """An exported folder, and the vectors that every reader should give."""
    name, settings, dtype = request.param
    model, vocabulary = trained(name)
    table = random_table(vocabulary) if settings.queries == "table" else None
    folder = tmp_path_factory.mktemp("exported") / "encoder"
    export_encoder(folder, model, vocabulary, settings, table)
    if dtype == "float16":
        weights = load_file(folder / "model.safetensors")
        halves = {key: tensor.half() for key, tensor in weights.items()}
        save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    longest = 512 if name == "roberta" else settings.max_length
    settings = replace(settings, max_length=min(settings.max_length, longest))
    if dtype == "float16":
        rounded = transformers.AutoModelForMaskedLM.from_config(model.config)
        rounded.load_state_dict({key: t.half().float() for key, t in model.state_dict().items()})
        model = rounded
    return folder, settings, vocabulary, expected(model, vocabulary, settings, table)


def test_the_vectors_test_something(case):
    _, settings, vocabulary, (documents, queries) = case
    assert (documents > 0).sum(axis=1).min() > (4 if settings.top_k else 50)
    assert (queries > 0).any(axis=1).all()
    if settings.top_k:
        assert (documents > 0).sum(axis=1).max() == settings.top_k
    if settings.queries == "model" and not settings.top_k:
        assert (documents[:, list(vocabulary.special)] > 0).any()


def test_lsr_reads_it(case):
    folder, settings, _, (documents, queries) = case
    encoder = load_encoder(str(folder))
    assert encoder.name.startswith("splade:" if settings.queries == "model" else "inference-free:")
    close(encoder.encode_documents(TEXTS).to_scipy().toarray(), documents)
    close(encoder.encode_queries(TEXTS).to_scipy().toarray(), queries)


def test_sentence_transformers_reads_it(case, caplog):
    sparse = pytest.importorskip("sentence_transformers").SparseEncoder
    folder, settings, _, (documents, queries) = case
    if not settings.is_known_elsewhere:
        # It may not compute something else in silence.
        with pytest.raises(ValueError, match="log1p_"):
            sparse(str(folder), device="cpu", local_files_only=True)
        return
    encoder = sparse(str(folder), device="cpu", local_files_only=True)
    assert encoder.similarity_fn_name == "dot"
    close(encoder.encode_document(TEXTS).to_dense().numpy(), documents)
    close(encoder.encode_query(TEXTS).to_dense().numpy(), queries)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_transformers_reads_it(case):
    folder, settings, vocabulary, (documents, _) = case
    model, info = transformers.AutoModelForMaskedLM.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info.values())
    assert model.dtype == torch.float32
    assert model.get_output_embeddings().weight.shape[0] == vocabulary.size
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        logits = model.eval()(**batch).logits.masked_fill(
            ~batch["attention_mask"][..., None].bool(), 0
        )
    weights = logits.max(dim=1).values.relu().double()
    for _ in range(settings.logs):
        weights = weights.log1p()
    close([capped(row, settings.top_k) for row in weights.numpy()], documents)


def test_idf_json_lists_every_token_as_the_table_weighs_it(case):
    folder, settings, vocabulary, _ = case
    assert (folder / "idf.json").exists() == (settings.queries == "table")
    if settings.queries == "model":
        return
    listed = json.loads((folder / "idf.json").read_text(encoding="utf-8"))
    table = np.maximum(random_table(vocabulary), 0)
    table[list(vocabulary.special)] = 0
    assert listed.keys() == vocabulary.tokenizer.get_vocab().keys()
    for token, weight in listed.items():
        assert np.float32(weight) == table[vocabulary.term(token)]


def test_nothing_written_names_a_place_on_this_machine(case):
    folder, *_ = case
    for path in folder.rglob("*.json"):
        assert str(folder.parent.parent) not in path.read_text(encoding="utf-8")
        assert "_name_or_path" not in path.read_text(encoding="utf-8")


@pytest.fixture
def small(trained):
    return trained("roberta")


def test_the_trained_model_and_the_random_numbers_stay_as_they_are(trained, tmp_path):
    model, vocabulary = trained("modernbert-spare")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.get_input_embeddings().weight.grad = torch.ones_like(model.get_input_embeddings().weight)
    random = torch.get_rng_state()
    table = random_table(vocabulary)
    export_encoder(tmp_path / "e", model, vocabulary, Exported("table"), table)
    assert torch.equal(torch.get_rng_state(), random)
    assert model.training
    assert model.get_input_embeddings().weight.grad.sum() > 0
    for key, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[key])


def test_an_earlier_export_is_replaced_and_nothing_else_is(small, tmp_path):
    folder = tmp_path / "encoder"
    table = random_table(small[1])
    export_encoder(folder, *small, Exported("table"), table)
    export_encoder(folder, *small, Exported(), None)
    assert (folder / "1_SpladePooling").is_dir()
    assert not (folder / "idf.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="something other than an exported encoder"):
        export_encoder(other, *small, Exported(), None)
    assert (other / "thesis.tex").read_text() == "years of work"
    with pytest.raises(UsageError, match="does not exist"):
        export_encoder(tmp_path / "no" / "encoder", *small, Exported(), None)


def test_a_failed_export_leaves_the_earlier_one(small, tmp_path, monkeypatch):
    folder = tmp_path / "encoder"
    export_encoder(folder, *small, Exported(), None)
    (folder / "README.md").write_text("first")

    def full(*_args, **_settings):
        raise OSError("no space left on the device")

    monkeypatch.setattr("lsr.train.export._write_pooling", full)
    with pytest.raises(OSError, match="no space"):
        export_encoder(folder, *small, Exported(), None)
    assert (folder / "README.md").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    published.roberta_mlm(tmp_path / "m")
    model = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "m")
    with torch.no_grad():
        model.get_output_embeddings().bias[3] = value
    vocabulary = Checkpoint.resolve(str(tmp_path / "m")).vocabulary
    with pytest.raises(InputError, match="not all finite; train"):
        export_encoder(tmp_path / "e", model, vocabulary, Exported(), None)
    assert not (tmp_path / "e").exists()


@pytest.mark.parametrize("broken", ["short", "nan", "two-dimensional"])
def test_a_table_that_does_not_fit_is_refused(small, tmp_path, broken):
    table = random_table(small[1])
    if broken == "nan":
        table[7] = np.nan
    table = {"short": table[:-1], "two-dimensional": table[None]}.get(broken, table)
    with pytest.raises(InputError, match="table of query weights"):
        export_encoder(tmp_path / "e", *small, Exported("table"), table)


def test_table_and_settings_go_together(small, tmp_path):
    with pytest.raises(UsageError, match="no table"):
        export_encoder(tmp_path / "e", *small, Exported("table"), None)
    with pytest.raises(UsageError, match="a table were given"):
        export_encoder(tmp_path / "e", *small, Exported(), random_table(small[1]))


@pytest.mark.parametrize(
    "settings", [{"queries": "idf"}, {"logs": 0}, {"logs": 5}, {"max_length": 2}, {"top_k": -1}]
)
def test_settings_are_checked(settings):
    with pytest.raises(UsageError):
        Exported(**settings)


def test_a_tokenizer_that_does_not_fit_is_refused(small, tmp_path):
    model, _ = small
    words = Vocabulary.from_tokens([f"w{number}" for number in range(1000)])
    with pytest.raises(InputError, match=r"projects onto \d+ terms, fewer than the 1000"):
        export_encoder(tmp_path / "e", model, words, Exported(), None)
    plain = Vocabulary.from_tokens([f"w{number}" for number in range(290)])
    with pytest.raises(InputError, match="no special token"):
        export_encoder(tmp_path / "e", model, plain, Exported(), None)
    holes = Tokenizer(models.WordLevel({"a": 0, "b": 320, "[UNK]": 1}, unk_token="[UNK]"))
    holes.pre_tokenizer = pre_tokenizers.Whitespace()
    holes.add_special_tokens(["[UNK]"])
    table = np.ones(321, np.float32)
    with pytest.raises(InputError, match="names 3 of its 321 term ids"):
        export_encoder(
            tmp_path / "e", model, Vocabulary.from_tokenizer(holes), Exported("table"), table
        )
    assert list(tmp_path.iterdir()) == []
