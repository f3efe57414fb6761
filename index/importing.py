"""Collections of vectors that were encoded elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from index.collection.field import (
    SPARSE,
    Field,
    check_fields,
    fields_beside,
    sparse_field,
)
from index.collection.writable import Writable
from index.indexing import IndexReport, Update, document_encoders, write_chunks
from index.opening import Place, create_collection, is_there, open_collection
from lsr.corpus.chunks import CHUNK, Chunk, distinct_chunks
from lsr.corpus.documents import Document
from lsr.corpus.id_table import IdTable
from lsr.corpus.items import Item
from lsr.corpus.passages import Passage
from lsr.corpus.readers.corpus import Corpus
from lsr.encoders.catalogue import load_encoder
from lsr.encoders.encoder import SparseEncoder
from lsr.encoders.imported import IMPORTED, ImportedEncoder
from lsr.encoding.progress import SILENT, Progress
from lsr.errors import EncoderMismatchError, InputError
from lsr.sparse import LARGEST_WEIGHT, SparseBatch, SparseVector
from lsr.trusted_code import NO_CODE, TrustedCode
from lsr.vectors.shard_set import ShardSet
from lsr.vectors.source import LARGEST_VOCABULARY, VectorItem, VectorSource
from lsr.vocabulary import GrowingVocabulary, Vocabulary


@dataclass(slots=True)
class ImportReport:
    """What a user should know of an import beside its counts.

    ``cut`` weights were above 65,504, the largest that a collection holds; ``without_text``
    vectors have no document in the corpus that was to bring their texts; ``zero`` weights of CIFF
    were 0 and are left out; ``new_tokens`` were added to the vocabulary of imported vectors.
    """

    index: IndexReport
    cut: int = 0
    without_text: int = 0
    zero: int = 0
    new_tokens: int = 0


def open_for_import(
    into: Place,
    source: VectorSource,
    encoder: str | None = None,
    dense: str | None = None,
    bm25: bool = False,
    trusted: TrustedCode = NO_CODE,
) -> Writable:
    """The collection there, or a new one for the vectors of a file.

    Args:
        into: its directory or address.
        source: the file; without an encoder, a new collection has the vocabulary of its tokens.
        encoder: encodes queries; its vocabulary is the one the vectors are over. Without one,
            those of shards are encoded by what encoded the shards.
        dense: a dense encoder whose vectors are added.
        bm25: whether a BM25 field is added.
        trusted: the models whose Python code may run.

    Raises:
        EncoderMismatchError: the collection there has other encoders than are asked for, or the
            file's vectors are over another vocabulary.
    """
    shards = source if isinstance(source, ShardSet) and encoder is None else None
    if is_there(into):
        collection = open_collection(into, trusted)
        first = collection.fields.encoder(collection.fields.named(SPARSE))
        if shards is not None:
            _check_encoder(shards, first, str(into))
        if encoder is not None or dense or bm25:
            asked = first if encoder is None else load_encoder(encoder, trusted)
            wanted = fields_beside(asked, dense, bm25)
            check_fields(into, collection.fields, wanted, exactly=encoder is not None)
        check_vocabulary(source, first)
        return collection
    if encoder is None and shards is None:
        vocabulary = Vocabulary.from_tokens(source.tokens())
        fields: list[Field] = fields_beside(ImportedEncoder(vocabulary), dense, bm25)
        return create_collection(into, fields, vocabulary, trusted)
    if encoder is not None:
        queries = load_encoder(encoder, trusted)
        check_vocabulary(source, queries)
    elif shards is not None:
        queries = encoder_of_shards(shards, None, trusted)
    return create_collection(into, fields_beside(queries, dense, bm25), trusted=trusted)


def encoder_of_shards(
    shards: ShardSet, name: str | None = None, trusted: TrustedCode = NO_CODE
) -> SparseEncoder:
    """The encoder that made the vectors of shards; ``name`` is what it is called here.

    Raises:
        EncoderMismatchError: it has another fingerprint here.
        NotFoundError: there is none of that name here.
    """
    loaded = load_encoder(name or shards.encoder, trusted)
    _check_encoder(shards, loaded, "this machine")
    return loaded


def _check_encoder(shards: ShardSet, encoder: SparseEncoder, where: str) -> None:
    made = shards.maker
    if encoder.fingerprint != made.fingerprint:
        raise EncoderMismatchError(
            f"the shards were encoded by {made.name} (fingerprint {made.fingerprint}), and {where} "
            f"has {encoder.name} ({encoder.fingerprint}); give the encoder that made them"
        )


def check_vocabulary(source: VectorSource, encoder: SparseEncoder) -> None:
    """Raise EncoderMismatchError where a file states another vocabulary than the encoder's.

    Imported vectors are matched by their tokens, whatever the numbers of these; to an open
    vocabulary new ones are added.
    """
    stated, known = source.vocabulary_digest, encoder.vocabulary.digest
    if encoder.name != IMPORTED and not encoder.open and stated is not None and stated != known:
        raise EncoderMismatchError(
            f"the vectors are over the vocabulary {stated} of {source.encoder or 'their encoder'}, "
            f"but {encoder.name} has the vocabulary {known}; give the encoder that made them, or "
            "none"
        )


def import_vectors(
    collection: Writable,
    source: VectorSource,
    texts: Iterable[Item] | None = None,
    progress: Progress = SILENT,
    chunk_size: int = CHUNK,
) -> ImportReport:
    """Bring a collection up to date with the vectors of a file, then build its segment.

    Each chunk is one transaction; a document that is there with the same text and vector is left
    as it is, so a run that was interrupted and is repeated goes on where it stopped. Fields beside
    the sparse one are encoded from the texts. Where the collection has the vocabulary of imported
    vectors, it first gets those tokens of the file that it lacks.

    Args:
        collection: of ``open_for_import``.
        source: the file of vectors.
        texts: documents whose title, text and metadata take the place of the file's, by id.
        progress: is told of the IndexReport after each chunk, and of what is left out.
        chunk_size: documents in a transaction.

    Raises:
        InputError: the vocabulary would be too large.
        LockedError: another process is writing.
    """
    report = ImportReport(IndexReport(), new_tokens=_learn_tokens(collection, source))
    field = collection.fields.named(SPARSE)
    with _stored_texts(texts, progress) as stored:

        def update_of(chunk: Chunk[VectorItem]) -> Update:
            documents = chunk.documents
            if stored is not None:
                joined = [_joined(document, stored) for document in documents]
                report.without_text += joined.count(None)
                documents = [
                    with_text or document
                    for with_text, document in zip(joined, documents, strict=True)
                ]
            rows = [row.vector for row in chunk.items if row.vector is not None]
            words = vocabulary.words if isinstance(vocabulary, GrowingVocabulary) else ()
            batch = SparseBatch.from_rows(rows, field.size + len(words), tuple(words))
            report.cut += int((batch.values > LARGEST_WEIGHT).sum())
            return Update.of(collection, documents, {field.name: batch})

        encoder = collection.fields.encoder(field)
        vocabulary = encoder.vocabulary
        if encoder.open:
            vocabulary = GrowingVocabulary(vocabulary.tokenizer, encoder.mark)
        vectors = source.items(vocabulary)
        if field.weighed:
            vectors = _counts(vectors, encoder.name, 0 if field.counts else field.size)
        chunks = distinct_chunks(vectors, progress.rejected, chunk_size)
        encoders = document_encoders(collection, given=[field.name])
        report.index = write_chunks(collection, chunks, update_of, encoders, progress)
    report.zero = source.zero_weights
    if isinstance(texts, Corpus):
        report.index.passed_over = texts.passed_over
    return report


def _learn_tokens(collection: Writable, source: VectorSource) -> int:
    """Add to the vocabulary of imported vectors what a file brings; returns how many tokens.

    Terms keep their ids, so vectors and segments stay as they are. What can be read only once
    brings none.
    """
    field = collection.fields.named(SPARSE)
    if field.encoder != IMPORTED or not source.rereadable:
        return 0
    with collection.writing():
        field = collection.fields.named(SPARSE)
        known = collection.fields.encoder(field).vocabulary
        new = [token for token in source.tokens() if token not in known.terms]
        if known.size + len(new) > LARGEST_VOCABULARY:
            raise InputError(
                f"with the vectors' {len(new)} new tokens the vocabulary would have more than the "
                f"{LARGEST_VOCABULARY} that are allowed; import into a new directory"
            )
        if new:
            vocabulary = Vocabulary.from_tokens([*known.tokens, *new])
            grown = sparse_field(field.name, ImportedEncoder(vocabulary))
            fields = [grown if each.name == field.name else each for each in collection.fields]
            collection.grow_vocabulary(vocabulary, fields)
    return len(new)


def _counts(items: Iterator[VectorItem], encoder: str, first: int) -> Iterator[VectorItem]:
    """The items, those left out whose weights from the term ``first`` on are no term counts."""
    for item in items:
        row = item.vector
        if row is not None and (row.values[row.indices >= first] % 1 != 0).any():
            reason = (
                f"its weights are no whole numbers, but {encoder} weighs term counts; give the "
                "encoder that made the vectors, or none"
            )
            yield VectorItem(item.source, item.line, None, reason)
        else:
            yield item


def stored_vectors(
    collection: Writable, field: Field
) -> Iterator[tuple[list[Document], SparseBatch]]:
    """The documents of a collection with their vectors in a sparse field, some at a time.

    A passage of a document that is split is a document of its own here, under the document's id, #
    and its number from 1 on, as is usual for passages of MS MARCO. All of one state of the
    collection, in the order of writing.
    """
    store = collection.store
    with store.reading():
        numbers = store.live()
        for start in range(0, len(numbers), CHUNK):
            part = numbers[start : start + CHUNK].tolist()
            documents = _parts(store.documents(part), store.passages.of(part))
            part = list(documents)
            rows = store.vectors.rows(field, part)
            positive = (_positive(rows[number]) for number in part)
            batch = SparseBatch.from_rows(positive, store.dictionary.terms(field))
            yield [documents[number] for number in part], batch


def _parts(
    documents: Mapping[int, Document], passages: Mapping[int, list[Passage]]
) -> dict[int, Document]:
    """Documents, and the passages of those that are split, by the number of their vectors."""
    found = {}
    for number in sorted(documents):
        document = documents[number]
        if number not in passages:
            found[number] = document
        for place, passage in enumerate(passages.get(number, ())):
            identifier, text = f"{document.id}#{place + 1}", passage.contents(document)
            found[number + place] = Document(identifier, text, metadata=document.metadata)
    return found


def _positive(row: SparseVector) -> SparseVector:
    """A row without the weights that float16 made 0."""
    kept = row.values > 0
    return SparseVector(row.indices[kept], row.values[kept])


@contextmanager
def _stored_texts(items: Iterable[Item] | None, progress: Progress) -> Iterator[IdTable | None]:
    """Title, text and metadata by id, as JSON."""
    if items is None:
        yield None
        return
    with IdTable() as texts:
        for chunk in distinct_chunks(items, progress.rejected):
            for document in chunk.documents:
                parts = document.title, document.text, dict(document.metadata)
                texts.add(document.id, json.dumps(parts))
        yield texts


def _joined(document: Document, texts: IdTable) -> Document | None:
    """The document with the title, text and metadata that its id has there, if any."""
    found = texts.get(document.id)
    if found is None:
        return None
    title, text, metadata = json.loads(found)
    return Document(document.id, text, title, metadata)
