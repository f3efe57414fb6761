"""The model card of a trained encoder, as the Hugging Face hub shows it."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsr.train.export import Exported

ROOT = r"(?:(?:file://)?(?:~[\w.-]*)?/(?!/)|[A-Za-z]:(?:\\{1,2}|/(?!/)))"
QUOTED_PATH = re.compile(
    rf"""(?P<before>(?P<quote>["'`])(?:[\w-]{{2,}}:)?){ROOT}[^"'`\n]+(?=(?P=quote))"""
)
# A URL is matched so that nothing in it is taken for a path; a closing tag's slash follows a "<".
PATH = re.compile(
    r"""(?P<url>\b(?!file:)\w{2,}://[^\s"'`]+)|"""
    rf"""(?P<before>^|[\s"'`=:(\[{{,;|>]){ROOT}[^\s"'`:,;|)\]}}<>]+""",
    re.MULTILINE,
)

# The hub's name of a licence that it has no name for.
OTHER = "other"
READ_WITH_LSR = """\
```python
import lsr

encoder = lsr.load_encoder({encoder})
documents = encoder.encode_documents(["Cats sleep most of the day and hunt at night."])
queries = encoder.encode_queries(["animals that hunt at night"])
scores = queries.to_scipy() @ documents.to_scipy().T
```"""
READ_WITH_SENTENCE_TRANSFORMERS = """\
```python
from sentence_transformers import SparseEncoder

encoder = SparseEncoder("{name}")
documents = encoder.encode_document(["Cats sleep most of the day and hunt at night."])
queries = encoder.encode_query(["animals that hunt at night"])
scores = encoder.similarity(queries, documents)
```"""


@dataclass(frozen=True, slots=True)
class Source:
    """Data that the encoder was trained on: ``pairs`` of a query and a document."""

    name: str
    pairs: int
    licence: str


@dataclass(frozen=True, slots=True)
class Result:
    """``value`` of a ``measure``, spelt as in papers (``nDCG@10``), on a ``dataset``'s test set."""

    dataset: str
    measure: str
    value: float


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Everything the card says; licences are SPDX names, such as ``Apache-2.0``."""

    # By which ``load_encoder`` loads the model, and the card calls it.
    name: str
    # How it weighs texts.
    settings: Exported
    # Of the model, and of the one that training began with.
    licence: str
    base_model: str
    base_licence: str
    # What it was trained on.
    sources: Sequence[Source]
    # The training's TOML, word for word.
    config: str
    # What makes the model again.
    command: str
    results: Sequence[Result] = ()
    # ISO 639 codes of the texts.
    languages: Sequence[str] = ("en",)
    # Mean number of non-zeros of a vector by side; empty: not measured.
    nnz: Mapping[str, float] = field(default_factory=dict)
    # Mean number of terms that a query and a document share; None: not measured.
    flops: float | None = None
    # Time of training, on ``hardware``; None: not measured.
    seconds: float | None = None
    hardware: str = ""
    # Version of each package by its name.
    versions: Mapping[str, str] = field(default_factory=dict)
    # By which ``load_encoder`` loads an adapter on a decoder-only language model, in place of
    # ``name``; empty: it is none.
    adapter: str = ""

    def write(self, folder: Path) -> None:
        """Put the card beside the encoder in a folder, as its README.md."""
        (folder / "README.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """The text of README.md; paths are cut to the names of their files and folders."""
        parts = [self._heading(), self._usage(), self._numbers(), self._training()]
        return f"---\n{self._metadata()}\n---\n\n" + "\n\n".join(map(without_paths, parts)) + "\n"

    def _metadata(self) -> str:
        from huggingface_hub import EvalResult, ModelCardData

        name = without_paths(self.name)
        results = [
            EvalResult(
                task_type="information-retrieval",
                task_name="Information Retrieval",
                dataset_type=re.sub(r"[^a-z0-9]+", "-", without_paths(result.dataset).lower()),
                dataset_name=without_paths(result.dataset),
                metric_type=result.measure.lower().replace("@", "_at_"),
                metric_name=result.measure,
                metric_value=result.value,
            )
            for result in self.results
            if math.isfinite(result.value)
        ]
        library = "peft" if self.adapter else "sentence-transformers"
        tags = [library, "sparse-encoder", "sparse", "splade"]
        tags += ["learned-sparse-retrieval"] + ["inference-free"] * self._inference_free
        data = ModelCardData(
            language=list(self.languages),
            license=self.licence.lower(),
            library_name=library,
            pipeline_tag="feature-extraction",
            tags=tags,
            base_model=without_paths(self.base_model),
            model_name=name if results else None,
            eval_results=results or None,
        )
        return str(data.to_yaml()).rstrip()

    @property
    def _inference_free(self) -> bool:
        return self.settings.queries == "table"

    def _heading(self) -> str:
        settings = self.settings
        cap = f" The {settings.top_k:,} largest weights of a vector stay." if settings.top_k else ""
        beside = ""
        if settings.literal:
            beside = (
                f" Terms of a document itself weigh {settings.literal:g} tf / (tf + k) more, k as "
                "in BM25."
            )
        if kept := settings.dense_terms:
            beside += (
                f" The {kept.declared.top:,} dense terms of its base join them, in quadrature, "
                f"with the weight {kept.declared.weight:g}."
            )
        return (
            f"# {self.name}\n\n"
            "A learned sparse retrieval encoder: texts become term weights over the model's "
            f"vocabulary, and scores are inner products. {self._sides()}{beside}{cap}\n\n"
            f"It was trained from {self.base_model} (licence: {self.base_licence})"
            + (
                "; the licences of its base and of its data hold for it."
                if self.licence == OTHER
                else f" and is licensed under {self.licence}."
            )
        )

    def _sides(self) -> str:
        """What texts go through, and how a term weighs."""
        settings = self.settings
        count = f"{settings.max_length:,} tokens of a text count"
        if not settings.is_plain:
            document, query = settings.kinds.values()
            of_documents = _component(document, settings.logs)
            of_queries = _component(query, settings.query_logs or settings.logs)
            apart = ", each side has a model of its own" if settings.towers == "separate" else ""
            return f"Documents {of_documents}. Queries {of_queries}; {count}{apart}."
        model = (
            "decoder-only language model with a low-rank adapter"
            if self.adapter
            else "masked language model"
        )
        queries = (
            "Queries are weighed by a table of their tokens, without a model; documents go through "
            f"a {model}"
            if self._inference_free
            else f"Queries and documents go through a {model}"
        )
        each = " each" if settings.towers == "separate" else ""
        logs, of_queries = _activation(settings.logs), ""
        if settings.query_logs not in (0, settings.logs):
            of_queries = f", of queries {_activation(settings.query_logs)}"
        return (
            f"{queries}{each}, {count}, and a term weighs {logs} of its largest logit z"
            f"{of_queries}."
        )

    def _usage(self) -> str:
        encoder = self.adapter or self.name
        usage = (
            "## Usage\n\nWith lsr, in Python or as `lsr index FILES --encoder "
            f"{shlex.quote(encoder)}`:\n\n"
            + READ_WITH_LSR.format(encoder=json.dumps(encoder, ensure_ascii=False))
        )
        if self.adapter:
            return usage
        if not self.settings.is_known_elsewhere:
            lacking = "activation" if self.settings.is_plain else "components"
            return f"{usage}\n\nsentence-transformers has no such {lacking}, and refuses it."
        peer = READ_WITH_SENTENCE_TRANSFORMERS.format(name=self.name)
        left_out = ["what a document's own terms weigh more"] if self.settings.literal else []
        left_out += ["dense terms"] if self.settings.dense_terms else []
        without = f", which leaves out {' and '.join(left_out)}" if left_out else ""
        return f"{usage}\n\nWith sentence-transformers{without}:\n\n{peer}"

    def _numbers(self) -> str:
        rows = [(result.dataset, result.measure, f"{result.value:.4f}") for result in self.results]
        parts = ["## Numbers"]
        if rows:
            parts.append(markdown_table(("dataset", "measure", "value"), rows))
        sparsity = [f"{value:,.1f} non-zeros a {side}" for side, value in self.nnz.items()]
        if self.flops is not None:
            sparsity.append(f"{self.flops:,.2f} terms shared by a query and a document (FLOPS)")
        if sparsity:
            parts.append("On average " + ", ".join(sparsity) + ".")
        return "\n\n".join(parts if len(parts) > 1 else [*parts, "Not evaluated."])

    def _training(self) -> str:
        sources = [(source.name, f"{source.pairs:,}", source.licence) for source in self.sources]
        time = "" if self.seconds is None else f" It took {_duration(self.seconds)}"
        time += f" on {self.hardware}." if time and self.hardware else "." if time else ""
        versions = [f"{package} {version}" for package, version in self.versions.items()]
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", self.config)), default=0))
        parts = [
            "## Training",
            markdown_table(("data", "pairs", "licence"), sources),
            f"Made by `{self.command}`.{time}",
            f"Versions: {', '.join(versions)}." if versions else "",
            f"{fence}toml\n{self.config.rstrip()}\n{fence}",
        ]
        return "\n\n".join(part for part in parts if part)


def _component(kind: str, logs: int) -> str:
    """What is done with the texts of a side."""
    weight = _activation(logs)
    return {
        "mlm": f"go through a masked language model, {weight} of a term's largest logit z",
        "cls-mlm": f"go through a masked language model, {weight} of a term's logit z at [CLS]",
        "own-terms": f"go through a masked language model, {weight} of the largest logit z of each "
        "term that the text has",
        "embeddings": f"go through a language model, {weight} of the largest product z of a term's "
        "input embedding and a hidden state",
        "mlp": "go through a language model and a linear layer, which weighs each term of the text",
        "table": "are weighed by a table of their terms, without a model",
    }[kind]


def _activation(logs: int) -> str:
    """The formula of the weight of a logit z."""
    return "log(1 + " * logs + "relu(z)" + ")" * logs


def without_paths(text: str) -> str:
    """The text with each absolute path cut to its last part; URLs stay.

    A card is published, and where a file lay on the machine that trained is nobody's business.
    """
    for pattern in (QUOTED_PATH, PATH):
        text = pattern.sub(_last_part, text)
    return text


def _last_part(found: re.Match[str]) -> str:
    before = found["before"]
    if before is None:
        return found[0]
    parts = re.split(r"[\\/]+", found[0][len(before) :])
    return before + next((part for part in reversed(parts) if part), "")


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, its cells on one line each."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _duration(seconds: float) -> str:
    minutes, hours = round(seconds / 60), seconds / 3600
    if minutes >= 90:
        return f"{hours:.1f} hours"
    return f"{minutes} minutes" if minutes > 1 else "about a minute"
