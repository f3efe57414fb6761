"""The encoder of a collection, as what a training begins with and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from index.collection.collection import Collection
from lsr.backbones.checkpoint import Checkpoint
from lsr.corpus.chunks import CHUNK
from lsr.corpus.documents import Document
from lsr.encoders.catalogue import EncoderName, load_encoder
from lsr.encoders.open_vocabulary import split_options
from lsr.encoders.packaged import packaged_checkpoint
from lsr.encoders.presets import PRESETS
from lsr.errors import UsageError
from lsr.settings import spell
from lsr.trusted_code import NO_CODE, TrustedCode

# Documents whose non-zeros are counted.
COUNTED = 500
INFERENCE_FREE, SPLADE = "inference-free", "splade"


@dataclass(frozen=True)
class Adaptable:
    """A masked language model by which the first sparse field of a collection is encoded.

    ``name`` is the encoder's, ``checkpoint`` has its weights, and ``options`` are what the name
    says besides; ``dense`` names the encoder of the dense field, where there is one.
    """

    name: str
    family: str
    checkpoint: Checkpoint
    options: Mapping[str, str]
    dense: str | None

    @classmethod
    def of(cls, collection: Collection, trusted: TrustedCode = NO_CODE) -> Adaptable:
        """That of a collection.

        Raises:
            UsageError: its first sparse field has another kind of encoder, or there is no document.
        """
        if not len(collection):
            raise UsageError(f"{collection.path} has no document to learn from; index some first")
        first = next((field for field in collection.fields if field.kind == "sparse"), None)
        name = "none" if first is None else first.encoder
        parsed = EncoderName.parse(name)
        dense = next((field.encoder for field in collection.fields if field.kind == "dense"), None)
        preset = PRESETS.get(parsed.family or "")
        if preset is not None and preset.packaged and not parsed.model:
            checkpoint = packaged_checkpoint(str(parsed.family))
            # What goes without saying for a model that ships with lsr.
            options = {"idf": "both", "words": "yes"} | dict(parsed.options)
            return cls(name, INFERENCE_FREE, checkpoint, options, dense)
        if parsed.family not in (INFERENCE_FREE, SPLADE):
            raise UsageError(
                f"the encoder of {collection.path} is {name}; what can be adapted is the one that "
                "ships with lsr, and inference-free:MODEL and splade:MODEL"
            )
        checkpoint = Checkpoint.resolve(parsed.model, trusted)
        return cls(name, str(parsed.family), checkpoint, parsed.options, dense)

    @property
    def base(self) -> str:
        """The folder that training begins with."""
        return str(self.checkpoint.folder)

    @property
    def closed(self) -> str:
        """The name of the encoder without words beside its vocabulary."""
        return self.closed_over(self.checkpoint.folder)

    @property
    def plain(self) -> str:
        """The same with queries weighed as in training, by the table of the model alone."""
        options = split_options(self.options)[0]
        return _named(
            self.family,
            self.checkpoint.folder,
            {key: value for key, value in options.items() if key != "idf"},
        )

    def trained_part(self, tokens: int) -> str:
        """The same without dense terms, of which so many tokens of a text count."""
        without = {"max_length": str(tokens), "document.dense_terms": "0"}
        options = split_options(self.options)[0] | without
        return _named(self.family, self.checkpoint.folder, options)

    def closed_over(self, folder: Path) -> str:
        """The same over the weights of another folder."""
        return _named(self.family, folder, split_options(self.options)[0])

    def over(self, folder: Path) -> str:
        """The name of the encoder with all its settings over the weights of another folder."""
        return _named(self.family, folder, self.options)


def mean_non_zeros(encoder: str, collection: Collection, seed: int) -> float:
    """Terms that an encoder gives a document of the collection on average, by some of them."""
    texts = [each.contents for each in islice(drawn_documents(collection, seed), COUNTED)]
    return float(np.mean(np.diff(load_encoder(encoder).encode_documents(texts).indptr)))


def drawn_documents(collection: Collection, seed: int) -> Iterator[Document]:
    """All documents in an order as good as random, which ids and the seed decide."""
    ids = sorted(collection.ids())
    order = np.random.default_rng(seed).permutation(len(ids)).tolist()
    store = collection.store
    for start in range(0, len(order), CHUNK):
        part = [ids[place] for place in order[start : start + CHUNK]]
        with store.reading():
            found = store.sound_documents(list(store.sequences(part).values()))
        by_id = {document.id: document for document in found.values()}
        yield from (by_id[identifier] for identifier in part if identifier in by_id)


def _named(family: str, folder: Path, options: Mapping[str, str]) -> str:
    settings = "".join(f",{key}={spell(value)}" for key, value in options.items())
    return f"{family}:{folder}{settings}"
