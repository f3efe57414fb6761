"""What each preset does to a text, computed directly with the Hugging Face model."""

import json
import re
from functools import lru_cache

import numpy as np
import torch
import transformers
from safetensors.torch import load_file

from lsr.encoders.packaged import PACKAGED
from tests.lsr.encoders import published


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
    **dict.fromkeys(PACKAGED, (published.with_idf(BERT), splade(256, zero_special=True), idf)),
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
