"""What filters, facets, sorting and grouping by metadata take beside a plain search.

    python benches/metadata.py [--documents 118000]
    python benches/metadata.py --quick

Documents and their metadata are drawn: words by Zipf's law, and keys of 5, 66, 2,000 and as many
values as there are documents, dates, and lists. ``rare`` and ``common`` say how many documents the
query matches. Milliseconds of processor time: the first time, which reads columns, and the median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from engine_bench.report import publish
from machine import describe_machine, describe_versions

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.filters.text_form import parse_filter_text
from index.indexing import index_documents
from index.search.config import SearchConfig
from index.search.facets import Facet
from index.search.grouping import Grouping
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.sorting import SortKey
from lsr.corpus.documents import Document
from lsr.corpus.items import Item

SEED, WORDS, LENGTH, ROUNDS, QUICK = 1, 20_000, 20, 9, 5_000
KEYS = ("lang", "year", "tags")
QUERIES = {"rare": "w00500 w01000 w02000", "common": "w00001 w00005 w00100"}
SEARCHES: dict[str, dict[str, Any]] = {
    "plain": {},
    "filter lang = en": {"filter": parse_filter_text("lang = en")},
    "filter date >= 2010-01-01": {"filter": parse_filter_text("date >= 2010-01-01")},
    "3 facets": {"facets": tuple(map(Facet, KEYS))},
    "3 facets over matches": {"facets": tuple(Facet(key, over="matching") for key in KEYS)},
    "facet of all values distinct": {"facets": (Facet("url"),)},
    "sort year:desc": {"sort": (SortKey("year", True),)},
    "sort date, _score:desc": {"sort": (SortKey("date"), SortKey("_score", True))},
    "group by source, 3 hits": {"group_by": Grouping("source", 3)},
    "exact total": {"exact_total": True},
}
COLUMNS = {"what": "what", "query": "query", "first_ms": "first, ms", "ms": "ms"}


def main(arguments: list[str] | None = None) -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--documents", type=int, default=118_000)
    parser.add_argument("--quick", action="store_true", help="5,000 documents, under 50 seconds")
    parser.add_argument("--json", metavar="FILE", help="write the rows; - for standard output")
    options = parser.parse_args(arguments)
    count = QUICK if options.quick else options.documents
    with tempfile.TemporaryDirectory(prefix="lsr-bench-") as folder:
        collection = Collection.create(Path(folder) / "c", encoder_fields("bm25"))
        index_documents(collection, draw_documents(count))
        rows = [*filter_rows(collection), *search_rows(collection)]
        collection.close()
    report = {"machine": describe_machine(), "versions": describe_versions([]), "rows": rows}
    publish(report, COLUMNS, options.json)
    return 0


def draw_documents(count: int) -> Iterator[Item]:
    """Documents of random words and metadata."""
    random = np.random.default_rng(SEED)
    shares = 1 / np.arange(1, WORDS + 1) ** 0.9
    shares /= shares.sum()
    drawn = random.choice(WORDS, size=(count, LENGTH), p=shares)
    for number, words in enumerate(drawn.tolist()):
        year, month, day = random.integers([2000, 1, 1], [2026, 13, 29])
        metadata = {
            "lang": ("en", "de", "fr", "es", "it")[random.integers(5)],
            "year": int(random.integers(1960, 2026)),
            "source": f"source {random.integers(2000)}",
            "url": f"https://example.org/{number}",
            "date": f"{year}-{month:02}-{day:02}",
            "tags": [f"tag {tag}" for tag in random.choice(200, 3, replace=False)],
        }
        text = " ".join(f"w{word:05}" for word in words)
        yield Item("drawn", number + 1, Document(str(number), text, metadata=metadata))


def filter_rows(collection: Collection) -> Iterator[dict[str, Any]]:
    """The mask of a filter that is new, over columns that were read."""
    with collection.pinned() as view:
        for text in ("lang = en", "lang = en and year >= 2000", "date >= 2010-01-01"):
            wanted = parse_filter_text(text)
            # Another number of conditions each time, so that no mask is kept.
            texts = iter([wanted, *(parse_filter_text(f"{text} and year < {3000 + n}")
                                    for n in range(ROUNDS))])  # fmt: skip
            yield timed(f"mask of {text}", "", lambda texts=texts: view.masks(next(texts)))


def search_rows(collection: Collection) -> Iterator[dict[str, Any]]:
    """Searches, each with one thing more."""
    for kind, text in QUERIES.items():
        query = SearchQuery(text)
        for what, settings in SEARCHES.items():
            config = SearchConfig(payload=False, highlight=False, **settings)
            yield timed(what, kind, lambda query=query, config=config: search(
                collection, query, config))  # fmt: skip


def timed(what: str, query: str, call: Callable[[], object]) -> dict[str, Any]:
    """A row of the report."""
    took = []
    for _ in range(ROUNDS + 1):
        started = time.process_time()
        call()
        took.append(1000 * (time.process_time() - started))
    first, median = (round(each, 3) for each in (took[0], statistics.median(took[1:])))
    return {"what": what, "query": query, "first_ms": first, "ms": median}


if __name__ == "__main__":
    sys.exit(main())
