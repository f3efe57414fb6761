"""``lsr dimensions``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import PLACE, json_option, trust_option

if TYPE_CHECKING:
    from index.collection.writable import Writable
    from index.opening import Place
    from lsr.encoders.encoder import SparseEncoder
    from lsr.trusted_code import TrustedCode


@click.command("dimensions")
@click.argument("collection", type=PLACE)
@click.option(
    "--extract",
    "names",
    default="dates,names,phrases",
    show_default=True,
    help="What to find in each document: dates, names (capitalised words), phrases (by YAKE), "
    "themes (terms that a learned encoder adds), chat (by the endpoint of LSR_CHAT_URL).",
)
@trust_option
@json_option
def dimensions_command(collection: Place, names: str, trusted: TrustedCode, as_json: bool) -> None:
    """Find dates, names and key phrases in the documents of COLLECTION.

    They become metadata, _dimensions.NAME, which `lsr search --dimensions` looks at; filters and
    facets can name them too. Documents that have them already are passed over, so the command goes
    on where it was interrupted, and takes in what was added since.
    """
    from index.extracting import extract_dimensions
    from index.opening import open_collection
    from lsr.corpus.dimensions import extractors_of
    from service.commands import terminal

    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise UsageError("no dimension is named; give some, as in --extract dates,names")
    opened = open_collection(collection, trusted)
    extractors = extractors_of(wanted, _learned(opened))
    with terminal.query_progress(len(opened), "finding phrases", as_json) as done:
        report = extract_dimensions(opened, extractors, lambda report: done(report.read))
    opened.close()
    if as_json:
        terminal.print_json(
            {
                "collection": str(collection),
                "dimensions": wanted,
                "documents": report.read,
                "extracted": report.extracted,
                "phrases": report.phrases,
            }
        )
    else:
        terminal.out.print(
            f"{report.extracted:,} of {report.read:,} documents got {report.phrases:,} phrases of "
            f"{', '.join(wanted)}",
            markup=False,
        )


def _learned(collection: Writable) -> SparseEncoder | None:
    """The encoder of the first sparse field that is a model's."""
    for field in collection.fields:
        if field.kind == "sparse" and not field.counts:
            return collection.fields.encoder(field)
    return None
