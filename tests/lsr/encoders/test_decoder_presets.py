"""Presets of decoder-only models against transformers' model, one text at a time."""

import numpy as np
import pytest

from lsr.encoders.catalogue import load_encoder
from lsr.encoders.decoder import DecoderConfig
from lsr.encoders.presets import PRESETS
from tests.lsr.encoders.decoders import TEXTS, Plain, byte_level, save, sentence_piece

NAMES = [name for name, preset in PRESETS.items() if isinstance(preset.config, DecoderConfig)]
LACONIC = {"bidirectional": True, "top_k": 512}
PREFIXES = ("passage: ", "query: ")
# The tiny models have 64 positions: 32 for a text that is read twice.
# Preset: architecture, what the plain model is asked for, prefixes of documents and queries.
EXPECTED = {
    "laconic-1b": ("Llama", LACONIC, PREFIXES),
    "laconic-3b": ("Llama", LACONIC, PREFIXES),
    "laconic-8b": ("Llama", LACONIC, PREFIXES),
    "echo-mistral": ("Mistral", {"echo": True, "bos": 1, "eos": 2, "max_length": 32}, ("", "")),
    "splade-code-06b": ("Qwen3", {"bidirectional": True, "top_k": 512}, ("", "")),
    "splade-code-8b": ("Qwen3", {"bidirectional": True, "top_k": 512}, ("", "")),
}
TOKENIZERS = {
    "Llama": byte_level,
    "Mistral": sentence_piece,
    "Qwen3": lambda: byte_level(template=False),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("decoders")
    return {name: save(root / name, name, make()) for name, make in TOKENIZERS.items()}


@pytest.mark.parametrize("name", NAMES)
def test_a_presets_vectors_are_those_of_the_plain_model(name, folders):
    architecture, options, prefixes = EXPECTED[name]
    folder = folders[architecture]
    # The folder has a tokenizer and no adapter, unlike some published models.
    encoder = load_encoder(f'{name}:{folder},tokenizer="",lora=""')
    plain = Plain(folder)
    for prefix, found in zip(
        prefixes, (encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)), strict=True
    ):
        wanted = plain(TEXTS, prefix=prefix, **options)
        assert wanted[0].any()
        np.testing.assert_allclose(found.to_scipy().toarray(), wanted, rtol=1e-4, atol=1e-4)
    again = load_encoder(encoder.name)
    assert (again.name, again.fingerprint) == (encoder.name, encoder.fingerprint)


@pytest.mark.parametrize(
    ("name", "override"),
    [
        ("laconic-1b", "bos=yes"),
        ("laconic-1b", "bidirectional=no"),
        ("laconic-1b", 'document_prefix=""'),
        ("echo-mistral", "echo=no"),
        ("splade-code-06b", "bidirectional=no"),
    ],
)
def test_the_texts_feel_each_handling(name, override, folders):
    base = f'{name}:{folders[EXPECTED[name][0]]},tokenizer="",lora=""'
    before, after = (load_encoder(base + extra) for extra in ("", f",{override}"))
    one, other = (encoder.encode_documents(TEXTS).to_scipy() for encoder in (before, after))
    assert abs(one - other).max() > 1e-3
    assert before.fingerprint != after.fingerprint
