"""Queries from files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lsr.corpus.documents import Query, check_unicode, kind_of
from lsr.corpus.field_names import listed
from lsr.corpus.files import beir_file, numbered_lines, suffix_within, user_path
from lsr.corpus.json_values import parse_json
from lsr.errors import InputError, NotFoundError

KINDS = (".jsonl", ".tsv", ".txt")
IDS = ("_id", "id")
# Names of the columns that a header of .tsv queries may have, in lower case.
ID_COLUMNS = frozenset((*IDS, "qid", "query_id", "query-id", "queryid", "topic", "number"))
TEXT_COLUMNS = frozenset(("text", "query", "question", "title"))


def read_queries(source: str) -> list[Query]:
    """The queries of a file or a BEIR folder, plain, .gz or .xz.

    .jsonl holds objects with ``_id`` and ``text``; .tsv id and text, or the columns that its header
    names; .txt a text a line, whose id is its line. A line that is blank is no query, and an id
    without a text is a query that finds nothing.

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
            yield _query(_json(line))
        except InputError as error:
            raise InputError(f"{path}:{number}: no query: {error}") from error


def _json(line: str) -> object:
    try:
        return parse_json(line)
    except InputError as error:
        raise InputError(f"{error}; give an object with _id and text") from None


def _query(record: object) -> Query:
    if not isinstance(record, dict):
        raise InputError(f"it is {kind_of(record)}; give an object with _id and text")
    identifier = next((record[name] for name in IDS if name in record), None)
    for name, value, kinds in (("_id", identifier, str | int), ("text", record.get("text"), str)):
        if value is None and name not in record and (name != "_id" or "id" not in record):
            raise InputError(
                f"it has no {name}; its keys are {listed(record)}; give an object with _id and text"
            )
        if isinstance(value, bool) or not isinstance(value, kinds):
            allowed = "a string" if kinds is str else "a string or an integer"
            raise InputError(f"its {name} is {kind_of(value)}; give {allowed}")
    return Query(check_unicode(str(identifier), "id"), check_unicode(record["text"], "query"))


def _line_queries(path: Path, suffix: str) -> Iterator[Query]:
    columns = [0, 1]
    for place, (number, line) in enumerate(_written_lines(path)):
        if suffix == ".txt":
            yield Query(str(number), line.strip())
            continue
        cells = line.rstrip("\r\n").split("\t")
        if place == 0 and (header := _header(cells, f"{path}:{number}")):
            columns = header
            continue
        if len(cells) <= max(columns):
            raise InputError(f"{path}:{number}: no query; give id and text with a tab between")
        if columns == [0, 1]:
            cells[1:] = ["\t".join(cells[1:])]
        identifier, text = (cells[column].strip() for column in columns)
        if not identifier:
            raise InputError(f"{path}:{number}: the query has no id; give id, tab and text")
        yield Query(identifier, text)


def _written_lines(path: Path) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in numbered_lines(path) if line.strip())


def _header(cells: list[str], place: str) -> list[int] | None:
    """Where a first line says that id and text stand; None where it is a query.

    Raises:
        InputError: it names columns, but not which is the text.
    """
    names = [cell.strip().lower() for cell in cells]
    ids, texts = (
        [place for place, name in enumerate(names) if name in known]
        for known in (ID_COLUMNS, TEXT_COLUMNS)
    )
    if not ids:
        return None
    if not texts:
        raise InputError(
            f"{place}: the header isn't understood: its columns are {listed(cells)}, and none is "
            f"{', '.join(sorted(TEXT_COLUMNS))}; rename the one that holds the queries"
        )
    return [ids[0], texts[0]]
