"""Published models by name: where they are, and how each wants to be handled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from lsr.encoders.decoder import DecoderConfig
from lsr.encoders.masked_lm import MaskedLmConfig
from lsr.encoders.packaged import DEFAULT_ENCODER, WITHOUT_DENSE_TERMS
from lsr.encoders.term_lookup import BinaryConfig, TableConfig
from lsr.encoders.term_weighting import TermWeightingConfig
from lsr.encoders.two_sided import SIDES, TwoSided, spell_side
from lsr.settings import changed, spell

NON_COMMERCIAL = "CC-BY-NC-SA-4.0"
APACHE = "Apache-2.0"
UNSTATED = "not stated"
V2 = "Formal et al. 2021, arXiv:2109.10086"
PLUS_PLUS = "Formal et al. 2022, arXiv:2205.04733"
EFFICIENT = "Lassance and Clinchant 2022, arXiv:2207.03834"
V3 = "Lassance et al. 2024, arXiv:2403.06789"
INFERENCE_FREE = "Geng et al. 2024, arXiv:2411.04403"
L0 = "Shen et al. 2025, arXiv:2504.14839"
DEEP_IMPACT = TermWeightingConfig(
    max_length=512, pool="first", leave_out="punctuation", pieces="first"
)


@dataclass(frozen=True, slots=True)
class Preset:
    """One published model or family."""

    # By which it is called in an encoder's name.
    name: str
    # The settings that its paper or card asks for.
    config: TwoSided | DecoderConfig
    # Authors, year and identifier.
    paper: str
    # Its Hugging Face id; None where no checkpoint of it can be fetched.
    hub: str | None
    # Of the weights: an SPDX name, or where it stands.
    licence: str
    # What is special about it, in sentences for a table.
    handling: str
    # Hugging Face id of the query side, where it has a model of its own.
    query_hub: str | None = None
    # Whether it comes with this package.
    packaged: bool = False

    @property
    def max_length(self) -> int:
        """Tokens of a document that count."""
        config = self.config.document if isinstance(self.config, TwoSided) else self.config
        length: int = config.max_length
        return length

    def card(self) -> dict[str, Any]:
        """Everything a table shows of it, as JSON."""
        return {
            "name": self.name,
            "hub": self.hub,
            "query_hub": self.query_hub,
            "packaged": self.packaged,
            "licence": self.licence,
            "max_length": self.max_length,
            "paper": self.paper,
            "handling": self.handling,
        }

    def settings(self) -> dict[str, str]:
        """Kind and settings of each side, as ``pair:MODEL,document=KIND,...`` takes them."""
        if isinstance(self.config, TwoSided):
            return {side: spell_side(getattr(self.config, side)) for side in SIDES}
        settings = [f"{key}={spell(value)}" for key, value in changed(self.config).items()]
        return dict.fromkeys(SIDES, ",".join(["decoder", *settings]))


def _both(config: object) -> TwoSided:
    return TwoSided(config, config)


def _masked_lm(length: int = 256, logs: int = 1, **settings: Any) -> MaskedLmConfig:
    settings = {"pool": "max"} | settings
    return MaskedLmConfig(max_length=length, logs=logs, **settings)


def _free(length: int = 512, logs: int = 1) -> TwoSided:
    return TwoSided(_masked_lm(length, logs, special="drop"), TableConfig())


def _opensearch(name: str, pair: TwoSided, paper: str, handling: str) -> Preset:
    hub = f"opensearch-project/opensearch-neural-sparse-encoding-{name}"
    return Preset(f"opensearch-{name}", pair, paper, hub, APACHE, handling)


def _packaged() -> Iterable[Preset]:
    free = TwoSided(MaskedLmConfig(max_length=256, special="drop"), TableConfig(idf="both"))
    yield Preset(
        DEFAULT_ENCODER,
        free,
        INFERENCE_FREE,
        None,
        APACHE,
        "Ships with this package and needs neither a network nor torch; queries are weighed by a "
        "table, without a model; special tokens get no weight; documents have dense terms.",
        packaged=True,
    )
    yield Preset(
        WITHOUT_DENSE_TERMS,
        free,
        INFERENCE_FREE,
        None,
        APACHE,
        f"Ships with this package too: {DEFAULT_ENCODER} without dense terms, by which documents "
        "are encoded half as fast again, and less is found; queries are the same.",
        packaged=True,
    )


def _term_weighting() -> Iterable[Preset]:
    counts = BinaryConfig(counts=True)
    unicoil = TwoSided(
        TermWeightingConfig(max_length=512, special="drop-first"),
        TermWeightingConfig(max_length=128, pool="sum", special="drop-first"),
    )
    yield Preset(
        "deepct",
        TwoSided(TermWeightingConfig(max_length=512, pieces="first"), counts),
        "Dai and Callan 2020, arXiv:1910.10687",
        "macavaney/deepct",
        UNSTATED,
        "The first piece of a word carries its weight; queries count their terms; scored by inner "
        "product, not through BM25.",
    )
    yield Preset(
        "unicoil",
        unicoil,
        "Lin and Ma 2021, arXiv:2106.14807",
        "castorini/unicoil-msmarco-passage",
        UNSTATED,
        "Expects passages that are already expanded, as PASSAGE [SEP] TERMS, with docT5query; "
        "[CLS] gets no weight, [SEP] does; a query's repeated terms add up.",
    )
    yield Preset(
        "unicoil-noexp",
        unicoil,
        "Lin and Ma 2021, arXiv:2106.14807",
        "castorini/unicoil-noexp-msmarco-passage",
        UNSTATED,
        "As unicoil, on passages as they are.",
    )
    yield Preset(
        "deepimpact",
        TwoSided(DEEP_IMPACT, BinaryConfig()),
        "Mallia et al. 2021, arXiv:2104.12016",
        None,
        UNSTATED,
        "Expects expanded passages; a word's weight is that of the first piece of its first "
        "occurrence, and stands for every word that begins with this piece; no punctuation.",
    )
    yield Preset(
        "deeper-impact",
        TwoSided(DEEP_IMPACT, BinaryConfig()),
        "Basnet et al. 2024, arXiv:2405.17093",
        "soyuj/deeper-impact",
        APACHE,
        "As deepimpact, on passages expanded with a Llama 2.",
    )
    yield Preset(
        "tildev2",
        TwoSided(TermWeightingConfig(max_length=192, leave_out="tilde"), counts),
        "Zhuang and Zuccon 2021, arXiv:2108.08513",
        "ielab/TILDEv2-TILDE200-exp",
        UNSTATED,
        "Expects passages expanded with TILDE (200 terms); stop words and symbols get no weight; "
        "queries count their terms.",
    )


def _projections() -> Iterable[Preset]:
    yield Preset(
        "tilde",
        TwoSided(_masked_lm(pool="cls", special="drop"), BinaryConfig(counts=True)),
        "Zhuang and Zuccon 2021, doi:10.1145/3404835.3462922",
        None,
        UNSTATED,
        "In the unified framework's form, log(1 + relu) of the [CLS] logits; ielab/TILDE itself "
        "scores by log-likelihoods, which are not sparse.",
    )
    sparta = _masked_lm(500, special="drop", head="embeddings", top_k=2000)
    yield Preset(
        "sparta",
        TwoSided(sparta, BinaryConfig(counts=True)),
        "Zhao et al. 2021, arXiv:2009.13013",
        "BeIR/sparta-msmarco-distilbert-base-v1",
        UNSTATED,
        "Projects onto the input embeddings, without bias; 2,000 terms a document; queries count "
        "their terms.",
    )
    epic = TermWeightingConfig(activation="softplus", logs=1, pool="sum")
    yield Preset(
        "epic",
        TwoSided(_masked_lm(512, special="drop", positions="text", importance="epic"), epic),
        "MacAvaney et al. 2020, arXiv:2004.14245",
        None,
        UNSTATED,
        "Layers term_importance.linear, doc_quality.linear and, for queries, linear beside the "
        "masked language model; special tokens are not pooled.",
    )


def _splade() -> Iterable[Preset]:
    plain = "Special tokens keep their weights, as in naver/splade."
    convert = " Published without safetensors: convert it first."
    gated = convert + " The hub asks to agree to the licence."
    free = "Queries are the set of their terms, each of weight 1; no special tokens."
    yield Preset(
        "splade-v1",
        _both(_masked_lm(pool="sum")),
        "Formal et al. 2021, arXiv:2107.05720",
        None,
        NON_COMMERCIAL,
        "Logits are saturated before they are summed over positions.",
    )
    yield Preset(
        "splade-v2-max",
        _both(_masked_lm()),
        V2,
        "naver/splade_v2_max",
        NON_COMMERCIAL,
        plain + convert,
    )
    yield Preset(
        "splade-v2-distil", _both(_masked_lm()), V2, "naver/splade_v2_distil", NON_COMMERCIAL, plain
    )
    document = TwoSided(_masked_lm(special="drop"), BinaryConfig())
    yield Preset("splade-v2-doc", document, V2, None, NON_COMMERCIAL, free)
    for name in ("ensembledistil", "selfdistil"):
        hub = f"naver/splade-cocondenser-{name}"
        yield Preset(
            f"splade-pp-{name}", _both(_masked_lm()), PLUS_PLUS, hub, NON_COMMERCIAL, plain
        )
    for size in ("V", "VI-BT"):
        hub = f"naver/efficient-splade-{size}-large"
        small = "a model of its own" if size == "V" else "a BERT-tiny of its own"
        yield Preset(
            f"efficient-splade-{size.lower()}-large",
            _both(_masked_lm()),
            EFFICIENT,
            f"{hub}-doc",
            NON_COMMERCIAL,
            f"Queries go through {small}; with a local folder give query.checkpoint=FOLDER.",
            f"{hub}-query",
        )
    yield Preset(
        "splade-v3", _both(_masked_lm()), V3, "naver/splade-v3", NON_COMMERCIAL, plain + gated
    )
    yield Preset(
        "splade-v3-distilbert",
        _both(_masked_lm()),
        V3,
        "naver/splade-v3-distilbert",
        NON_COMMERCIAL,
        plain + gated,
    )
    yield Preset(
        "splade-v3-lexical",
        TwoSided(_masked_lm(special="drop"), _masked_lm(own_terms=True)),
        V3,
        "naver/splade-v3-lexical",
        NON_COMMERCIAL,
        "Queries keep only their own terms, weighed by the model; no special tokens." + gated,
    )
    yield Preset("splade-v3-doc", document, V3, "naver/splade-v3-doc", NON_COMMERCIAL, free + gated)


def _open_models() -> Iterable[Preset]:
    table = "Queries are weighed by idf.json, without a model; special tokens get no weight; "
    one = table + "one logarithm."
    two = table + "two logarithms."
    yield _opensearch("doc-v1", _free(), INFERENCE_FREE, one)
    yield _opensearch("doc-v2-distill", _free(), INFERENCE_FREE, one)
    yield _opensearch("doc-v2-mini", _free(), INFERENCE_FREE, one)
    yield _opensearch("doc-v3-distill", _free(logs=2), L0, two)
    code = two + " Runs code of its own: needs --trust-remote-code."
    yield _opensearch("doc-v3-gte", _free(8192, 2), L0, code)
    many = one + " Vocabulary of 105,879 terms; prune=0.1 halves the vectors at little loss."
    yield _opensearch("multilingual-v1", _free(), INFERENCE_FREE, many)
    both = "A model for both sides; special tokens get no weight."
    for name in ("v1", "v2-distill"):
        yield _opensearch(name, _both(_masked_lm(512, special="drop")), INFERENCE_FREE, both)
    yield Preset(
        "granite-30m-sparse",
        _both(_masked_lm(512)),
        "Granite Embedding Team 2025, arXiv:2502.20204",
        "ibm-granite/granite-embedding-30m-sparse",
        APACHE,
        "RoBERTa: a vocabulary of byte-level BPE, where a word's terms differ by case and leading "
        "space; <s> and </s> keep their weights.",
    )
    for version in ("v1", "v2"):
        yield Preset(
            f"splade-pp-en-{version}",
            _both(_masked_lm(512)),
            PLUS_PLUS,
            f"prithivida/Splade_PP_en_{version}",
            APACHE,
            "Special tokens keep their weights. Published without safetensors: convert it first.",
        )
    for size in ("tiny", "mini", "small"):
        hub = f"rasyosef/splade-{size}"
        yield Preset(
            f"splade-{size}",
            _both(_masked_lm()),
            V2,
            hub,
            UNSTATED,
            "Special tokens keep their weights.",
        )
    sparse_up = _masked_lm(
        512, shift=15.0, position_top_k=12, positions="no-prefix", fold="case-space"
    )
    yield Preset(
        "sparseup",
        TwoSided(replace(sparse_up, prefix="[D] "), replace(sparse_up, prefix="[Q] ")),
        "Linkup 2026, model card",
        "Linkup-Platform/linkup-sparseup-embed-v1",
        APACHE,
        "Logits less 15, the 12 largest of each position, spellings joined that differ by case or "
        "leading space, by the larger weight; prefixes [D] and [Q] are read but not pooled. Runs "
        "in transformers' own ModernBERT, not in the model's code.",
    )


def _decoders() -> Iterable[Preset]:
    laconic = DecoderConfig(
        top_k=512,
        bidirectional="yes",
        bos="no",
        eos="no",
        query_prefix="query: ",
        document_prefix="passage: ",
    )
    for size, tokenizer in [
        ("1b", "unsloth/Llama-3.2-1B"),
        ("3b", "unsloth/Llama-3.2-3B"),
        ("8b", "unsloth/Meta-Llama-3.1-8B"),
    ]:
        yield Preset(
            f"laconic-{size}",
            replace(laconic, tokenizer=tokenizer),
            "Xu et al. 2026, arXiv:2601.01684",
            f"utahnlp/laconic-{size}",
            UNSTATED,
            "Bidirectional Llama, no BOS, 512 terms, prefixes 'query: ' and 'passage: '. Published "
            "without a tokenizer; that of another Llama 3 copy is taken.",
        )
    yield Preset(
        "echo-mistral",
        DecoderConfig(echo="yes"),
        "Doshi et al. 2024, arXiv:2408.11119",
        None,
        UNSTATED,
        "Causal Mistral that reads each text twice and pools the second reading. No weights are "
        "published: give your adapter's folder.",
    )
    code = "On the challenges and opportunities of LSR for code, 2026"
    yield Preset(
        "splade-code-06b",
        DecoderConfig(max_length=1024, bidirectional="yes", top_k=512),
        code,
        "naver/splade-code-06B",
        NON_COMMERCIAL,
        "Bidirectional Qwen3; the cut at 512 terms is ours, for some texts get thousands.",
    )
    yield Preset(
        "splade-code-8b",
        DecoderConfig(
            max_length=1024, bidirectional="yes", top_k=512, lora="naver/splade-code-8B/lora"
        ),
        code,
        "Qwen/Qwen3-8B",
        NON_COMMERCIAL,
        "LoRA adapter naver/splade-code-8B over Qwen3-8B (Apache-2.0); needs the extra lora. The "
        "cut at 512 terms is ours.",
    )


# What there is, by name; ``lsr.encoders.preset_loader`` loads it.
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for family in (_packaged, _term_weighting, _projections, _splade, _open_models, _decoders)
    for preset in family()
}
