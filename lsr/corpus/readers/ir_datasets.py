"""Documents of an ir_datasets dataset."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from lsr.corpus.items import Item, item_of
from lsr.errors import MissingDependencyError, NotFoundError


def ir_dataset(name: str, needs: str) -> Any:
    """An ir_datasets dataset that has ``needs`` ("docs", "queries" or "qrels").

    Raises:
        MissingDependencyError: ir_datasets is not installed.
        NotFoundError: it knows no such dataset, or that one lacks what is needed.
    """
    try:
        import ir_datasets
    except ImportError as error:
        raise MissingDependencyError(f"the dataset {name!r}", "ir-datasets", "datasets") from error
    try:
        dataset = ir_datasets.load(name)
    except KeyError:
        raise NotFoundError(
            f"{name!r} is neither a folder nor a dataset of ir_datasets; give a BEIR folder, "
            "or an id such as beir/scifact/test"
        ) from None
    if not getattr(dataset, f"has_{needs}")():
        raise NotFoundError(f"the ir_datasets dataset {name!r} has no {needs}; choose one that has")
    return dataset


def read_ir_documents(dataset: Any, source: str) -> Iterator[Item]:
    """The documents of a dataset; its own text where it has one, with its title."""
    for number, record in enumerate(dataset.docs_iter(), start=1):
        fields = record._asdict()
        members = {"id": record.doc_id, "text": record.default_text()}
        if "text" in fields:
            members |= {"text": fields["text"], "title": fields.get("title")}
        yield item_of(source, number, partial(dict, members))
