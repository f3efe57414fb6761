"""Every preset against a direct computation with the Hugging Face model, one text at a time."""

import json
import re
import shutil
from functools import lru_cache

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from lsr.decoder import DecoderConfig
from lsr.encoder import DEFAULT_ENCODER, load_encoder
from lsr.errors import NotFoundError, UsageError
from lsr.presets import PRESETS as ALL_PRESETS
from tests.lsr import published

# Those of decoder-only models are in test_decoder_presets.py.
PRESETS = {n: p for n, p in ALL_PRESETS.items() if not isinstance(p.config, DecoderConfig)}
TEXTS = [
    "The wing flow over a boundary layer",
    "",
    "Running runners' wings, running: [CLS] naïve 中文 The the WING wing\u0301 unfathomably",
    "the wing of layers flow " * 150,
    "!?",
]


@lru_cache(maxsize=64)
def tokenizer_of(folder):
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))


@lru_cache(maxsize=64)
def mlm_of(folder):
    if (folder / "modeling.py").exists():  # the code there is BERT under another name
        config = transformers.BertConfig(**published.BERT)
        model = transformers.BertForMaskedLM(config)
        model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
        model.tie_weights()
        return model.eval()
    return transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()


@lru_cache(maxsize=64)
def special_of(folder):
    added = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    return [token["id"] for token in added if token["special"]]


def ids_of(folder, text, length, special=True):
    tokenizer = tokenizer_of(folder)
    return tokenizer(text, truncation=True, max_length=length, add_special_tokens=special)[
        "input_ids"
    ]


def logits_of(folder, text, length):
    ids = torch.tensor([ids_of(folder, text, length)])
    with torch.inference_mode():
        return mlm_of(folder)(ids, attention_mask=torch.ones_like(ids)).logits[0]


def splade(length=256, logs=1, zero_special=False):
    def vector(folder, text):
        values = logits_of(folder, text, length).amax(dim=0).relu()
        for _ in range(logs):
            values = torch.log1p(values)
        if zero_special:
            values[special_of(folder)] = 0
        return values.numpy()

    return vector


def summed(folder, text):
    return torch.log1p(logits_of(folder, text, 256).relu()).sum(dim=0).numpy()


def first_position(folder, text):
    values = torch.log1p(logits_of(folder, text, 256)[0].relu())
    values[special_of(folder)] = 0
    return values.numpy()


def own_terms(folder, text):
    values = splade()(folder, text)
    kept = np.zeros_like(values)
    for term in ids_of(folder, text, 10**6, special=False):
        if term not in special_of(folder):
            kept[term] = values[term]
    return kept


def query_folder(vector):
    return lambda folder, text: vector(folder / "query_0_MLMTransformer", text)


def occurring(counts=False):
    def vector(folder, text):
        found = np.zeros(len(tokenizer_of(folder)), dtype=np.float32)
        for term in ids_of(folder, text, 10**6, special=False):
            if term not in special_of(folder):
                found[term] = found[term] + 1 if counts else 1
        return found

    return vector


def idf(folder, text):
    tokens = tokenizer_of(folder).convert_ids_to_tokens(np.flatnonzero(occurring()(folder, text)))
    found = np.zeros(len(tokenizer_of(folder)), dtype=np.float32)
    for token in tokens:
        weight = published.IDF.get(token, 0)
        found[tokenizer_of(folder).convert_tokens_to_ids(token)] = max(weight, 0)
    return found


def token_numbers(folder, ids, bert, head):
    """The head's number for each position of a text."""
    tensors = load_file(folder / "model.safetensors")
    config = transformers.BertConfig(**published.BERT)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(
        {name[len(bert):]: t for name, t in tensors.items() if name.startswith(bert)}, strict=True
    )  # fmt: skip
    with torch.inference_mode():
        states = model(torch.tensor([ids])).last_hidden_state[0]
        numbers = states @ tensors[f"{head}.weight"][0] + tensors[f"{head}.bias"][0]
    return numbers


def weighted(length, bert, head, activation=torch.relu, pool="max", skip=lambda token: False):
    """A number a token, of a term's several the largest, the sum, or the first."""

    def vector(folder, text):
        ids = ids_of(folder, text, length)
        weights = activation(token_numbers(folder, ids, bert, head)).tolist()
        found = np.zeros(len(tokenizer_of(folder)), dtype=np.float32)
        seen = set()
        for term, weight in zip(ids, weights, strict=True):
            if skip(tokenizer_of(folder).convert_ids_to_tokens(term)):
                continue
            if pool == "sum":
                found[term] += weight
            elif pool == "max" or term not in seen:
                found[term] = max(found[term], weight)
            seen.add(term)
        return found

    return vector


def is_special(token):
    return bool(re.fullmatch(r"\[(PAD|UNK|CLS|SEP|MASK)\]", token))


def tilde_skips(token):
    stop = ("the", "of", "over", "a", "s", "and", "##s")
    return token in stop or not re.match(r"^(##.+|[A-Za-z0-9_-]*)$", token)


def impact_skips(token):
    punctuation = all(not letter.isalnum() for letter in token)
    return is_special(token) or token.startswith("##") or punctuation


def unicoil(length, pool):
    return weighted(length, "coil_encoder.bert.", "coil_encoder.tok_proj", pool=pool,
                    skip=lambda token: token == "[CLS]")  # fmt: skip


def deepct(folder, text):
    ids = ids_of(folder, text, 512)
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        numbers = model(torch.tensor([ids])).logits[0, :, 0].tolist()
    found = np.zeros(len(tokenizer_of(folder)), dtype=np.float32)
    for term, number in zip(ids, numbers, strict=True):
        token = tokenizer_of(folder).convert_ids_to_tokens(term)
        if not is_special(token) and not token.startswith("##"):
            found[term] = max(found[term], number)
    return found


def sparta(folder, text):
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        states = model(torch.tensor([ids_of(folder, text, 500)])).last_hidden_state[0]
    scores = torch.log(torch.relu((model.embeddings.word_embeddings.weight @ states.T).amax(1)) + 1)
    scores[special_of(folder)] = 0
    values, terms = scores.detach().topk(2000)
    return torch.zeros_like(scores).scatter(0, terms, values).detach().numpy()


def epic(folder, text):
    tensors = load_file(folder / "model.safetensors")
    model = transformers.BertForMaskedLM(transformers.BertConfig(**published.BERT)).eval()
    model.load_state_dict({k[6:]: t for k, t in tensors.items() if k.startswith("model.")})
    ids = ids_of(folder, text, 512)
    with torch.inference_mode():
        output = model(torch.tensor([ids]), output_hidden_states=True)
    hidden, logits = output.hidden_states[-1][0], output.logits[0]

    def head(name, states):
        return states @ tensors[f"{name}.linear.weight"].T + tensors[f"{name}.linear.bias"]

    importance = torch.log1p(torch.nn.functional.softplus(head("term_importance", hidden)))
    text_tokens = torch.tensor([[term not in special_of(folder)] for term in ids])
    pooled = torch.log1p((logits * importance * text_tokens).relu()).amax(dim=0)
    weights = pooled * torch.sigmoid(head("doc_quality", hidden[0]))
    weights[special_of(folder)] = 0
    return weights.numpy()


def softplus_log(numbers):
    return torch.log1p(torch.nn.functional.softplus(numbers))


def sparse_up(prefix):
    def vector(folder, text):
        logits = logits_of(folder, prefix + text, 512)
        kept = [0, *range(2, len(logits))]  # [CLS], the prefix, the text, [SEP]
        best, terms = logits[kept].topk(12, dim=1)
        values = torch.log1p((best - 15).relu())
        pooled = torch.zeros(logits.shape[1])
        for position in range(len(kept)):
            for value, term in zip(values[position], terms[position].tolist(), strict=True):
                pooled[term] = max(pooled[term], value)
        tokens = tokenizer_of(folder).convert_ids_to_tokens(range(len(pooled)))
        folded, owner = torch.zeros_like(pooled), {}
        for term, token in enumerate(tokens):
            key = term if term in special_of(folder) else token.replace("Ġ", "").lower() or token
            to = owner.setdefault(key, term)
            folded[to] = max(folded[to], pooled[term])
        return folded.numpy()

    return vector


BERT = published.bert_mlm
DISTIL = published.distilbert_mlm
SYMMETRIC = (splade(), splade())
FREE = (splade(512, zero_special=True), idf)
FREE_TWO_LOGS = (splade(512, logs=2, zero_special=True), idf)
DOCUMENT_ONLY = (splade(zero_special=True), occurring())
UNICOIL = (
    published.bert_with_head("coil_encoder.bert.", "coil_encoder.tok_proj"),
    unicoil(512, "max"),
    unicoil(128, "sum"),
)
IMPACT = (
    published.bert_with_head("bert.", "impact_score_encoder.0"),
    weighted(512, "bert.", "impact_score_encoder.0", pool="first", skip=impact_skips),
    occurring(),
)
EFFICIENT = (published.efficient, splade(), query_folder(splade()))
BOTH_SIDES = (splade(512, zero_special=True),) * 2
# Preset: a checkpoint of its layout, what documents become, what queries become.
EXPECTED = {
    DEFAULT_ENCODER: (published.with_idf(BERT), splade(256, zero_special=True), idf),
    "deepct": (published.deepct, deepct, occurring(counts=True)),
    "unicoil": UNICOIL,
    "unicoil-noexp": UNICOIL,
    "deepimpact": IMPACT,
    "deeper-impact": IMPACT,
    "tildev2": (
        published.bert_with_head("bert.", "tok_proj"),
        weighted(192, "bert.", "tok_proj", skip=tilde_skips),
        occurring(counts=True),
    ),
    "tilde": (BERT, first_position, occurring(counts=True)),
    "sparta": (published.sparta, sparta, occurring(counts=True)),
    "epic": (
        published.epic,
        epic,
        weighted(256, "model.bert.", "linear", softplus_log, "sum", is_special),
    ),
    "splade-v1": (BERT, summed, summed),
    "splade-v2-max": (DISTIL, *SYMMETRIC),
    "splade-v2-distil": (DISTIL, *SYMMETRIC),
    "splade-v2-doc": (DISTIL, *DOCUMENT_ONLY),
    "splade-pp-ensembledistil": (BERT, *SYMMETRIC),
    "splade-pp-selfdistil": (BERT, *SYMMETRIC),
    "efficient-splade-v-large": EFFICIENT,
    "efficient-splade-vi-bt-large": EFFICIENT,
    "splade-v3": (BERT, *SYMMETRIC),
    "splade-v3-distilbert": (DISTIL, *SYMMETRIC),
    "splade-v3-lexical": (BERT, splade(zero_special=True), own_terms),
    "splade-v3-doc": (BERT, *DOCUMENT_ONLY),
    "opensearch-doc-v1": (published.with_idf(BERT), *FREE),
    "opensearch-doc-v2-distill": (published.with_idf(DISTIL), *FREE),
    "opensearch-doc-v2-mini": (published.with_idf(BERT), *FREE),
    "opensearch-doc-v3-distill": (published.with_idf(DISTIL), *FREE_TWO_LOGS),
    "opensearch-doc-v3-gte": (
        published.with_code,
        splade(published.POSITIONS, logs=2, zero_special=True),
        idf,
    ),
    "opensearch-multilingual-v1": (published.with_idf(BERT), *FREE),
    "opensearch-v1": (BERT, *BOTH_SIDES),
    "opensearch-v2-distill": (DISTIL, *BOTH_SIDES),
    "granite-30m-sparse": (published.roberta_mlm, splade(512), splade(512)),
    "splade-pp-en-v1": (BERT, splade(512), splade(512)),
    "splade-pp-en-v2": (BERT, splade(512), splade(512)),
    "splade-tiny": (BERT, *SYMMETRIC),
    "splade-mini": (BERT, *SYMMETRIC),
    "splade-small": (BERT, *SYMMETRIC),
    "sparseup": (published.modernbert_mlm, sparse_up("[D] "), sparse_up("[Q] ")),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The tiny checkpoint of a preset; presets of one layout share it."""
    root, made = tmp_path_factory.mktemp("published"), {}

    def folder(name):
        build = EXPECTED[name][0]
        if build not in made:
            made[build] = build(root / str(len(made)))
        return made[build]

    return folder


@pytest.fixture(scope="module")
def load(folders, tmp_path_factory):
    """A preset's encoder over its tiny checkpoint."""
    loaded = {}
    modules = tmp_path_factory.mktemp("modules")

    def encoder(name, options=""):
        consent = ",trust_remote_code=yes" if name == "opensearch-doc-v3-gte" else ""
        full = f"{name}:{folders(name)}{consent}{options}"
        if full not in loaded:
            loaded[full] = load_encoder(full)
        return loaded[full]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
        patch.syspath_prepend(modules)
        yield encoder


def expected_vectors(vector, folder, texts):
    rows = [vector(folder, text) if text.strip() else None for text in texts]
    size = next(len(row) for row in rows if row is not None)
    return np.stack([np.zeros(size, np.float32) if row is None else row for row in rows])


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_vectors_are_those_of_the_plain_model(name, load, folders):
    _, document, query = EXPECTED[name]
    encoder = load(name)
    for vector, found in (
        (document, encoder.encode_documents(TEXTS)),
        (query, encoder.encode_queries(TEXTS)),
    ):
        wanted = expected_vectors(vector, folders(name), TEXTS)
        assert wanted[0].any()
        np.testing.assert_allclose(found.to_scipy().toarray(), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["unicoil", "epic", "splade-v3-lexical", "sparseup"])
def test_a_presets_encoder_loads_again_by_its_name(name, load):
    encoder = load(name)
    again = load_encoder(encoder.name)
    assert (again.name, again.fingerprint) == (encoder.name, encoder.fingerprint)


@pytest.mark.parametrize("name", ALL_PRESETS)
def test_a_card_states_paper_model_licence_length_and_handling(name):
    preset = ALL_PRESETS[name]
    assert re.search(r"\d{4}", preset.paper)
    known = ("Apache-2.0", "CC-BY-NC-SA-4.0", "not stated")
    assert preset.licence in known or preset.packaged
    assert preset.hub is None or re.fullmatch(r"[\w.-]+/[\w.-]+", preset.hub)
    assert preset.max_length >= 128
    assert preset.handling.endswith(".")
    assert json.loads(json.dumps(preset.card()))["name"] == name


@pytest.mark.parametrize("preset", [p for p in PRESETS.values() if p.hub], ids=lambda p: p.name)
def test_a_hub_id_brings_its_handling(preset, load, folders, monkeypatch):
    monkeypatch.setattr("lsr.checkpoint._fetch", lambda name, code: folders(preset.name))
    options = ",trust_remote_code=yes" if preset.name == "opensearch-doc-v3-gte" else ""
    encoder = load_encoder(preset.hub.upper() + options)
    assert encoder.fingerprint == load(preset.name).fingerprint
    assert encoder.name.startswith(f"{preset.name}:{preset.hub.upper()}")


def test_a_presets_name_alone_means_its_hub_id(load, folders, monkeypatch):
    monkeypatch.setattr("lsr.checkpoint._fetch", lambda name, code: folders("splade-v3"))
    encoder = load_encoder("splade-v3")
    assert encoder.name == "splade-v3:naver/splade-v3"
    assert encoder.fingerprint == load("splade-v3").fingerprint


def test_a_preset_that_is_nothing_special_has_the_plain_familys_fingerprint(load, folders):
    plain = load_encoder(f"splade:{folders('splade-v3')},max_length=256")
    assert load("splade-v3").fingerprint == plain.fingerprint
    table = load_encoder(f"inference-free:{folders('opensearch-doc-v1')},max_length=512")
    assert load("opensearch-doc-v1").fingerprint == table.fingerprint


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("deepct", "pieces=all"),
        ("deepct", "counts=no"),
        ("unicoil", "document.special=drop"),
        ("unicoil", "query.pool=max"),
        ("unicoil", "document.max_length=511"),
        ("unicoil", "query.max_length=129"),
        ("deepimpact", "pool=max"),
        ("deepimpact", "pieces=all"),
        ("deepimpact", "leave_out=none"),
        ("tildev2", "leave_out=punctuation"),
        ("tildev2", "max_length=193"),
        ("tilde", "pool=max"),
        ("sparta", "top_k=0"),
        ("sparta", "special=keep"),
        ("epic", "document.positions=all"),
        ("epic", "query.logs=0"),
        ("epic", "activation=relu"),
        ("splade-v1", "pool=max"),
        ("splade-v3", "special=drop"),
        ("splade-v3", "max_length=257"),
        ("splade-v3-lexical", "query.own_terms=no"),
        ("opensearch-doc-v2-mini", "missing=1"),
        ("opensearch-doc-v3-distill", "logs=1"),
        ("opensearch-v1", "special=keep"),
        ("granite-30m-sparse", "special=drop"),
        ("sparseup", "shift=14"),
        ("sparseup", "position_top_k=11"),
        ("sparseup", "fold=none"),
        ("sparseup", "positions=all"),
        ("sparseup", "document.prefix="),
    ],
)
def test_the_texts_here_feel_each_handling(name, override, load):
    override = override if not override.endswith("=") else f'{override}""'
    preset, other = load(name), load(name, f",{override}")
    same = [
        np.array_equal(before.to_scipy().toarray(), after.to_scipy().toarray())
        for before, after in (
            (preset.encode_documents(TEXTS), other.encode_documents(TEXTS)),
            (preset.encode_queries(TEXTS), other.encode_queries(TEXTS)),
        )
    ]
    assert not all(same)
    assert other.fingerprint != preset.fingerprint


def test_options_go_over_a_presets_settings(load, folders):
    short = load("splade-v3", ",max_length=16,document.top_k=5")
    assert short.encode_documents(TEXTS).document_frequency().sum() == 20
    assert short.name.endswith(",max_length=16,document.top_k=5")
    wanted = expected_vectors(splade(16), folders("splade-v3"), TEXTS)
    found = short.encode_queries(TEXTS).to_scipy().toarray()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_code_runs_only_with_consent(folders):
    folder = folders("opensearch-doc-v3-gte")
    for name in (f"opensearch-doc-v3-gte:{folder}", str(folder)):
        with pytest.raises(UsageError, match=r"runs Python code of its own .*trust_remote_code=y"):
            load_encoder(name)
    with pytest.raises(UsageError, match="give yes or no"):
        load_encoder(f"{folder},trust_remote_code=please")


def test_code_counts_for_the_fingerprint(load, folders, tmp_path):
    before = load("opensearch-doc-v3-gte").fingerprint
    changed = shutil.copytree(folders("opensearch-doc-v3-gte"), tmp_path / "changed")
    (changed / "modeling.py").write_text("# changed")
    name = f"opensearch-doc-v3-gte:{changed},trust_remote_code=yes"
    assert load_encoder(name).fingerprint != before


def test_queries_with_a_model_of_their_own_need_it(tmp_path):
    document = published.distilbert_mlm(tmp_path / "document")
    query = published.bert_mlm(tmp_path / "query", seed=5, hidden_size=8)
    with pytest.raises(UsageError, match=r"add ,query\.checkpoint=FOLDER"):
        load_encoder(f"efficient-splade-vi-bt-large:{document}")
    name = f"efficient-splade-vi-bt-large:{document},query.checkpoint={query}"
    encoder = load_encoder(name)
    assert encoder.name == name
    for vector, folder, found in (
        (splade(), document, encoder.encode_documents(TEXTS)),
        (splade(), query, encoder.encode_queries(TEXTS)),
    ):
        wanted = expected_vectors(vector, folder, TEXTS)
        np.testing.assert_allclose(found.to_scipy().toarray(), wanted, rtol=1e-4, atol=1e-4)


def test_the_hubs_query_model_is_fetched_where_the_folder_has_none(tmp_path, monkeypatch):
    made = {
        "naver/efficient-splade-V-large-doc": published.distilbert_mlm(tmp_path / "document"),
        "naver/efficient-splade-V-large-query": published.distilbert_mlm(tmp_path / "query", 5),
    }
    monkeypatch.setattr("lsr.checkpoint._fetch", lambda name, code: made[name])
    encoder = load_encoder("efficient-splade-v-large")
    assert encoder.name.endswith(",query.checkpoint=naver/efficient-splade-V-large-query")
    assert load_encoder(encoder.name).fingerprint == encoder.fingerprint
    assert encoder.document.identity != encoder.query.identity


@pytest.mark.parametrize(
    "name", [p.name for p in ALL_PRESETS.values() if p.hub is None and not p.packaged]
)
def test_what_can_not_be_fetched_asks_for_a_folder(name):
    with pytest.raises(UsageError, match=f"no checkpoint of '{name}' can be fetched; write {name}"):
        load_encoder(name)


def test_a_presets_missing_folder_is_named():
    with pytest.raises(NotFoundError, match=r"'\./nothing' does not exist"):
        load_encoder("splade-v3:./nothing")


@pytest.mark.parametrize("name", ["splade-v3", "unicoil", "opensearch-doc-v2-mini"])
def test_a_published_pickle_is_refused_when_it_is_named(name, folders, tmp_path):
    folder = shutil.copytree(folders(name), tmp_path / "model")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(NotFoundError, match=r"no \.safetensors weights, and pickled weights are"):
        load_encoder(f"{name}:{folder}")
