"""Every preset against a direct computation with the Hugging Face model, one text at a time."""

import hashlib
import json
import re
import shutil

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.decoder import DecoderConfig
from lsr.encoders.encoder import fingerprint
from lsr.encoders.presets import PRESETS as ALL_PRESETS
from lsr.errors import NotFoundError, UsageError
from lsr.trusted_code import NO_CODE, TrustedCode
from tests.lsr.encoders import published
from tests.lsr.encoders.preset_formulas import EXPECTED, splade

# Those of decoder-only models are in test_decoder_presets.py.
PRESETS = {n: p for n, p in ALL_PRESETS.items() if not isinstance(p.config, DecoderConfig)}
ALL_CODE = TrustedCode(all=True)
TEXTS = [
    "The wing flow over a boundary layer",
    "",
    "Running runners' wings, running: [CLS] naïve 中文 The the WING wing\u0301 unfathomably",
    "the wing of layers flow " * 150,
    "!?",
]


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
        full = f"{name}:{folders(name)}{options}"
        if full not in loaded:
            loaded[full] = load_encoder(full, ALL_CODE)
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


def test_a_card_states_paper_model_licence_length_and_handling():
    known = ("Apache-2.0", "CC-BY-NC-SA-4.0", "not stated")
    for name, preset in ALL_PRESETS.items():
        assert re.search(r"\d{4}", preset.paper), name
        assert preset.licence in known or preset.packaged, name
        assert preset.hub is None or re.fullmatch(r"[\w.-]+/[\w.-]+", preset.hub), name
        assert preset.max_length >= 128, name
        assert preset.handling.endswith("."), name
        assert json.loads(json.dumps(preset.card()))["name"] == name


def test_a_hub_id_brings_its_handling(load, folders, monkeypatch):
    for preset in (p for p in PRESETS.values() if p.hub):
        folder = folders(preset.name)
        monkeypatch.setattr("lsr.backbones.checkpoint._fetch", lambda name, code, at=folder: at)
        encoder = load_encoder(preset.hub.upper(), ALL_CODE)
        assert encoder.fingerprint == load(preset.name).fingerprint, preset.name
        assert encoder.name.startswith(f"{preset.name}:{preset.hub.upper()}"), preset.name


def test_a_presets_name_alone_means_its_hub_id(load, folders, monkeypatch):
    monkeypatch.setattr("lsr.backbones.checkpoint._fetch", lambda name, code: folders("splade-v3"))
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
        others = TrustedCode(names=frozenset([f"{folder}s", str(folder.parent), folder.name]))
        for trusted in (NO_CODE, others):
            with pytest.raises(UsageError, match=r"Python code of its own .*--trust-remote-code"):
                load_encoder(name, trusted)
        for trusted in (ALL_CODE, TrustedCode(names=frozenset([str(folder)]))):
            assert "trust" not in load_encoder(name, trusted).name
        for option in ("trust_remote_code=yes", "query.trust_remote_code=no"):
            with pytest.raises(UsageError, match="no name can give that consent"):
                load_encoder(f"{name},{option}", ALL_CODE)


def test_code_counts_for_the_fingerprint(load, folders, tmp_path):
    before = load("opensearch-doc-v3-gte").fingerprint
    changed = shutil.copytree(folders("opensearch-doc-v3-gte"), tmp_path / "changed")
    (changed / "modeling.py").write_text("# changed")
    assert load_encoder(f"opensearch-doc-v3-gte:{changed}", ALL_CODE).fingerprint != before


def test_the_fingerprint_with_code_is_that_of_earlier_releases(load, folders):
    """By hand, as releases computed it that kept the consent in the name."""
    folder = folders("opensearch-doc-v3-gte")
    encoder = load("opensearch-doc-v3-gte")
    code = hashlib.sha256((folder / "modeling.py").read_bytes()).hexdigest()
    assert encoder.document.identity["code"] == code
    parts = {**encoder.document.identity, "config": {**encoder.document.identity["config"]}}
    del parts["config"]["special"]
    parts["config"]["idf"] = encoder.query.identity["idf"]
    vocabulary = encoder.vocabulary.digest
    assert encoder.fingerprint == fingerprint("inference-free", vocabulary=vocabulary, **parts)


def test_python_files_count_for_nothing_where_transformers_needs_none(masked_lm, tmp_path):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    before = load_encoder(str(folder)).fingerprint
    (folder / "modeling.py").write_text("raise SystemError")
    for trusted in (NO_CODE, ALL_CODE):
        encoder = load_encoder(str(folder), trusted)
        assert encoder.fingerprint == before
        assert encoder.encode_documents(["wing"]).nnz


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
    monkeypatch.setattr("lsr.backbones.checkpoint._fetch", lambda name, code: made[name])
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
