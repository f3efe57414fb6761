"""Writing and reading files of vectors, as tests want it."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from lsr.corpus.documents import Document
from lsr.sparse import SparseBatch, SparseVector
from lsr.vectors.csr import Maker
from lsr.vectors.formats import open_vectors, vector_writer
from lsr.vectors.working_files import WorkingFiles
from lsr.vocabulary import Vocabulary

SUFFIX = {"jsonl": ".jsonl", "seismic": ".jsonl", "csr": ".safetensors", "ciff": ".ciff"}
MAKER = Maker("bm25,k1=1.5", "bm25-0123456789abcdef")
TOKENS = ["", "apple", 'a "b\\', "é", "##x", "\n\t\u2028", "中", "[3]", "Ġword", "\x00", "👩‍👩‍👧"]
VOCABULARY = Vocabulary.from_tokens(TOKENS)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
identifiers = text.filter(bool)
floats = st.floats(0, width=32, exclude_min=True, allow_infinity=False, allow_nan=False)
integers = st.integers(1, 1 << 24).map(float)


class FreshFolder:
    """A folder for one example of a property, which tmp_path is not."""

    def __enter__(self):
        self.path = Path(tempfile.mkdtemp())
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def rows_of(weights):
    """[(document, {term: weight})] of distinct ids."""
    row = st.tuples(
        st.builds(Document, identifiers, text),
        st.dictionaries(st.integers(0, len(TOKENS) - 1), weights, max_size=len(TOKENS)),
    )
    return st.lists(row, max_size=8, unique_by=lambda pair: pair[0].id)


def batch_of(rows):
    return SparseBatch.from_rows(
        [SparseVector.from_mapping(weights) for _, weights in rows], VOCABULARY.size
    )


def write(folder, kind, rows, name="vectors", parts=1, **options):
    """The path of a file, and what its writer says of it; written in ``parts`` calls."""
    zipped = options.get("zipped", False)
    path = folder / f"{name}{SUFFIX[kind]}{'.gz' if zipped else ''}"
    files = WorkingFiles(folder / f"{name}.part")
    writer = vector_writer(kind, files, VOCABULARY, MAKER, **options)
    for part in np.array_split(np.arange(len(rows)), parts):
        chosen = [rows[place] for place in part]
        writer.write([document for document, _ in chosen], batch_of(chosen))
    with path.open("wb") as target:
        notes = writer.finish(target)
    files.close()
    return path, notes


def read(path, vocabulary=VOCABULARY):
    """[(document, {token: weight})] of the good items, and [(line, reason)] of the others."""
    good, bad = [], []
    for item in open_vectors(str(path)).items(vocabulary):
        if item.document is None:
            bad.append((item.line, item.reason))
            continue
        tokens = [vocabulary.token(term) for term in item.vector.indices]
        good.append((item.document, dict(zip(tokens, item.vector.values.tolist(), strict=True))))
    return good, bad


def spelled(rows, round_to=lambda weight: weight):
    """What reading should give: [(id, {token: float32 weight})]."""
    return [
        (
            document.id,
            {TOKENS[term]: float(np.float32(round_to(weights[term]))) for term in weights},
        )
        for document, weights in rows
    ]


def ids(pairs):
    return [(document.id, weights) for document, weights in pairs]
