"""The tables of the store, and what vouches for each row of them.

A row that can't be derived again has a checksum that binds its contents to its key, so that a
damaged row is told from a sound one without the rest. Rows of metadata have none: they are made of
the documents, and each key has a tally over its rows. How many documents there are is a setting,
for no checksum tells of a row that is gone.

Texts and vectors are packed (packed_text.py, vector_rows.py). The table of vectors has row ids: in
one without them a row of more than a quarter of a page has the rest of it on a page of its own.
"""

from __future__ import annotations

from hashlib import blake2b

APPLICATION_ID = 0x4C535231
VERSION = 4
# The largest sequence number that SQLite can give.
LAST = 2**63 - 1
CHECKSUM_BYTES = 8
OLDER_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value, checksum BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text BLOB NOT NULL,
    metadata TEXT NOT NULL,
    digest BLOB NOT NULL,
    id_checksum BLOB NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE vectors (
    field TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    terms BLOB,
    weights BLOB NOT NULL,
    checksum BLOB NOT NULL,
    PRIMARY KEY (field, sequence)
);
CREATE TABLE passages (
    sequence INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    places TEXT NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE tombstones (
    number INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL UNIQUE,
    checksum BLOB NOT NULL
);
CREATE TABLE segments (
    generation INTEGER PRIMARY KEY,
    after INTEGER NOT NULL,
    last INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    digest BLOB NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE words (
    number INTEGER PRIMARY KEY,
    word TEXT NOT NULL UNIQUE,
    checksum BLOB NOT NULL
);
CREATE TABLE metadata (
    key TEXT NOT NULL,
    kind INTEGER NOT NULL,
    value NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (key, kind, value, sequence)
) WITHOUT ROWID;
CREATE TABLE tallies (
    key TEXT PRIMARY KEY,
    rows INTEGER NOT NULL,
    total INTEGER NOT NULL
) WITHOUT ROWID;
"""
FREQUENCIES = """
CREATE TABLE frequencies (
    number INTEGER PRIMARY KEY,
    counts BLOB NOT NULL,
    checksum BLOB NOT NULL
);
"""
SCHEMA = OLDER_SCHEMA + FREQUENCIES
# Those of earlier releases, from which ``lsr migrate`` leads here.
OLDER_VERSION = 3
MIGRATED_VERSION = 2
MIGRATED_SCHEMA = """
CREATE TABLE settings (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE documents (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL,
    digest BLOB NOT NULL
);
CREATE TABLE vectors (
    field TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    terms BLOB,
    weights BLOB NOT NULL,
    PRIMARY KEY (field, sequence)
) WITHOUT ROWID;
CREATE TABLE tombstones (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    sequence INTEGER NOT NULL UNIQUE
);
CREATE TABLE segments (
    generation INTEGER PRIMARY KEY,
    after INTEGER NOT NULL,
    last INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    deleted INTEGER NOT NULL
);
CREATE TABLE metadata (
    key TEXT NOT NULL,
    kind INTEGER NOT NULL,
    value NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (key, kind, value, sequence)
) WITHOUT ROWID;
"""
SCHEMAS = {MIGRATED_VERSION: MIGRATED_SCHEMA, OLDER_VERSION: OLDER_SCHEMA, VERSION: SCHEMA}
# Counters and the like, as of an empty store. ``commit`` and ``previous`` are the tokens of the
# last two commits, ``written`` and ``deletions`` the largest numbers given to a row of vectors and
# a tombstone, ``passages`` says whether long documents are split ("auto" or "off"), ``documents``
# counts the live ones, ``words`` those of the dictionary, and ``frequencies`` that table's
# rows.
SETTINGS: dict[str, int | str] = {
    "revision": 0,
    "commit": "",
    "previous": "",
    "written": 0,
    "deletions": 0,
    "documents": 0,
    "passages": "off",
    "words": 0,
    "frequencies": 0,
    "generation": 0,
    "average_lengths": "{}",
    "weighed": 0,
    "optimised": 0,
    "optimised_documents": 0,
}


def row_checksum(*key: str | int | bytes | None) -> bytes:
    """Of a row of small values."""
    return blake2b(repr(key).encode(), digest_size=CHECKSUM_BYTES).digest()


def id_checksum(sequence: int, identifier: bytes, digest: bytes) -> bytes:
    """Of the part of a document's row that is read without its text; ``identifier`` in UTF-8."""
    content = b"%d %d " % (sequence, len(identifier)) + identifier + digest
    return blake2b(content, digest_size=CHECKSUM_BYTES).digest()


def text_checksum(sequence: int, title: bytes, text: bytes, metadata: bytes) -> bytes:
    """Of the rest of it: ``title`` and ``metadata`` in UTF-8, ``text`` as it is stored."""
    content = b"%d %d %d " % (sequence, len(title), len(text)) + title + text + metadata
    return blake2b(content, digest_size=CHECKSUM_BYTES).digest()


def vector_checksum(field: str, sequence: int, terms: bytes | None, weights: bytes) -> bytes:
    """Of a row of vectors, as it is stored."""
    terms = terms or b""
    content = b"%b\0%d %d " % (field.encode(), sequence, len(terms)) + terms + weights
    return blake2b(content, digest_size=CHECKSUM_BYTES).digest()
