"""Queries from files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsr.corpus.documents import Query, check_unicode
from lsr.corpus.files import beir_file, numbered_lines, suffix_within, user_path
from lsr.corpus.json_values import parse_json
from lsr.errors import InputError, NotFoundError

KINDS = (".jsonl", ".tsv", ".txt")


def read_queries(source: str) -> list[Query]:
    """The queries of a file or a BEIR folder, plain, .gz or .xz.

    .jsonl holds objects with ``_id`` and ``text``, .tsv id and text, .txt a text a line, whose id
    is its line. A line that is blank is no query.

    Raises:
        NotFoundError: there is no such file, or the folder has no queries.jsonl.
        InputError: it is of no known kind, malformed, or holds no query.
    """
    path = user_path(source)
    if path.is_dir():
        inside = beir_file(path, "queries.jsonl")
        if inside is None:
            raise NotFoundError(
                f"the folder {source!r} has no queries.jsonl; give a BEIR folder or a file"
            )
        path = inside
    elif not path.exists():
        raise NotFoundError(
            f"there is no file or folder {source!r}; give a file of queries ({', '.join(KINDS)}) "
            "or a BEIR folder"
        )
    suffix = suffix_within(path)
    if suffix not in KINDS:
        raise InputError(f"{source!r} is of no known kind; files of queries are {', '.join(KINDS)}")
    queries = list(jsonl_queries(path) if suffix == ".jsonl" else _line_queries(path, suffix))
    if not queries:
        raise InputError(f"{source!r} holds no query; give at least one")
    return queries


def jsonl_queries(path: Path) -> Iterator[Query]:
    """The queries of a .jsonl file as BEIR has them.

    Raises:
        InputError: a line is malformed; it is named.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
            text = check_unicode(record["text"], "query")
            yield Query(str(record["_id"] if "_id" in record else record["id"]), text)
        except (InputError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}:{number}: no query ({error}); give an object with _id and text"
            ) from error


def _line_queries(path: Path, suffix: str) -> Iterator[Query]:
    for number, line in numbered_lines(path):
        text = line.strip()
        if not text:
            continue
        if suffix == ".txt":
            yield Query(str(number), text)
            continue
        identifier, tab, text = text.partition("\t")
        if not tab:
            raise InputError(f"{path}:{number}: no query; give id and text with a tab between")
        yield Query(identifier, text)
