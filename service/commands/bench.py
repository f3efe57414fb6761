"""``lsr bench``: measurements in a collection of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import InputError, UsageError
from service.commands.options import FolderType, engine_option, json_option, trust_option

if TYPE_CHECKING:
    from index.collection.field import Field
    from index.collection.field_encoders import FieldEncoders
    from index.collection.segment_view import SegmentView
    from index.search.recall import EffortResult
    from lsr.sparse import SparseBatch
    from lsr.trusted_code import TrustedCode

QUERIES_AT_A_TIME = 64


@click.group("bench")
def bench_command() -> None:
    """Measure a collection of your own."""


@bench_command.command("recall")
@click.argument("collection", type=FolderType("Qdrant searches sparse fields exactly"))
@click.option(
    "--queries",
    required=True,
    metavar="FILE",
    help="Queries: .jsonl (_id, text), .tsv (id, text), .txt (a text a line), or a BEIR folder.",
)
@click.option("--using", metavar="FIELD", help="A sparse field.  [default: the first]")
@click.option("--k", default=10, show_default=True, help="Length of the rankings.")
@click.option("--recall", default=0.97, show_default=True, help="The recall wanted, at most 1.")
@engine_option
@trust_option
@json_option
def recall_command(
    collection: Path,
    queries: str,
    using: str | None,
    k: int,
    recall: float,
    engine: str,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Measure what approximate search of COLLECTION finds of the exact answers, and how fast.

    Prints recall and latency of several efforts, and the fastest that has the recall wanted. A
    result that ties with the last exact one counts as found. Queries are encoded once, and the
    times are of the search alone.
    """
    from dataclasses import asdict

    from index.collection.collection import Collection
    from index.search.recall import cheapest, measure_recall
    from lsr.corpus.queries import read_queries
    from service.commands import terminal

    _check(k, recall)
    opened = Collection.open(collection, trusted=trusted)
    view = opened.view()
    field = _sparse_field(view.fields, using)
    texts = [query.text for query in read_queries(queries)]
    rows = _encoded(view, field, texts, as_json)
    with terminal.query_progress(len(texts), "measuring", as_json) as on_query:
        results = measure_recall(view, field, rows, k, engine, on_query=on_query)
    best = cheapest(results, recall)
    if as_json:
        terminal.print_json(
            {
                "collection": str(collection),
                "documents": len(view),
                "using": field.name,
                "engine": engine,
                "queries": len(texts),
                "k": k,
                "wanted": recall,
                "effort": best.effort if best else None,
                "rows": [asdict(result) for result in results],
            }
        )
        return
    columns = {
        "effort": "effort",
        "recall": f"recall@{k}",
        "exact": "certified exact",
        "median_ms": "median ms",
        "p95_ms": "p95 ms",
    }
    terminal.print_table([asdict(result) for result in results], columns)
    terminal.out.print(_suggestion(best, results, recall, k))


def _check(k: int, recall: float) -> None:
    from index.search.config import LARGEST_LIMIT

    if not 1 <= k <= LARGEST_LIMIT:
        raise InputError(f"k is {k}; allowed is 1 to {LARGEST_LIMIT}")
    if not 0 < recall <= 1:
        raise InputError(f"the recall wanted is {recall}; allowed is above 0, and at most 1")


def _sparse_field(fields: FieldEncoders, using: str | None) -> Field:
    names = [field.name for field in fields if field.kind == "sparse"]
    field = fields.named(using or names[0])
    if field.kind != "sparse":
        raise UsageError(
            f"the field {field.name!r} is dense and always searched exactly; "
            f"measure {' or '.join(names)}"
        )
    return field


def _encoded(view: SegmentView, field: Field, texts: list[str], quiet: bool) -> SparseBatch:
    from index.search.query import SearchQuery, encode_query
    from lsr.sparse import SparseBatch
    from service.commands import terminal

    rows = []
    with terminal.query_progress(len(texts), "encoding", quiet) as on_query:
        for start in range(0, len(texts), QUERIES_AT_A_TIME):
            part = [SearchQuery(text=text) for text in texts[start : start + QUERIES_AT_A_TIME]]
            encoded = encode_query(view, field, part)
            assert isinstance(encoded, SparseBatch)
            rows += list(encoded)
            on_query(len(rows))
    return SparseBatch.from_rows(rows, view.terms(field))


def _suggestion(
    best: EffortResult | None, results: list[EffortResult], wanted: float, k: int
) -> str:
    exact = results[-1]
    if best is None or best.effort == exact.effort:
        return f"no effort below 1 reaches recall@{k} {wanted:g} in less time: search exactly"
    return (
        f"--effort {best.effort:g} reaches recall@{k} {wanted:g}, with {best.recall:.4f} at "
        f"{best.median_ms:.3g} ms a query; effort 1 takes {exact.median_ms:.3g} ms"
    )
