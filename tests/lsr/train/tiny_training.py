"""A masked language model over a few words, and pairs of texts in them, to train on in seconds."""

import json
import shutil

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from lsr.encoders.dense_terms import FOLDER, MODEL, TABLE, TermVectors
from lsr.train.pairs import TrainingCorpus

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [f"{start}{end}" for start in "bdfgklmnprst" for end in ("a", "e", "i", "o", "u")]
TERMS = len(SPECIAL) + len(WORDS)


def tiny_checkpoint(folder, seed=1, bias=1.0, **changed):
    """A BERT of random weights over ``WORDS``; most terms are active at first."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(
        models.WordLevel({token: n for n, token in enumerate(SPECIAL + WORDS)}, "[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    sizes = {
        "vocab_size": TERMS,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
        "initializer_range": 0.3,
    }
    model = transformers.BertForMaskedLM(transformers.BertConfig(**sizes | changed))
    with torch.no_grad():
        model.get_output_embeddings().bias.normal_(bias, 0.5)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def with_table(folder, seed=3):
    """An idf.json in the folder; returns its weights by token."""
    weights = np.random.default_rng(seed).uniform(0.1, 4, len(WORDS)).round(3).tolist()
    table = dict(zip(WORDS, weights, strict=True))
    (folder / "idf.json").write_text(json.dumps(table))
    return table


def with_dense_terms(folder, dense_model):
    """Dense terms in the folder, 7 of a document at the weight 3; the model has 16 dimensions."""
    shutil.copytree(dense_model, folder / FOLDER / MODEL)
    vectors = np.random.default_rng(5).normal(size=(TERMS, 16)).astype(np.float32)
    vectors[: len(SPECIAL)] = 0
    TermVectors(vectors, np.zeros(TERMS, np.float32)).write(folder / FOLDER / TABLE)
    declared = {"lsr": {"dense_terms": 3.0, "dense_terms_top": 7}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(declared))


def tiny_pairs(count, seed=0, length=8):
    """(query, document): a query is two or three of its document's words."""
    generator = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        words = generator.choice(WORDS, int(generator.integers(3, length)))
        asked = generator.choice(words, int(generator.integers(2, 4)))
        pairs.append((" ".join(asked), " ".join(words)))
    return pairs


def tiny_corpus(count, seed=0):
    """Each query with its own document."""
    queries, documents = zip(*tiny_pairs(count, seed), strict=True)
    rows = {}
    positives = [rows.setdefault(document, len(rows)) for document in documents]
    return TrainingCorpus(list(queries), list(rows), np.array(positives, dtype=np.int64))


def write_pairs(path, pairs):
    lines = [json.dumps({"query": query, "positive": document}) for query, document in pairs]
    path.write_text("\n".join(lines) + "\n")
    return path
