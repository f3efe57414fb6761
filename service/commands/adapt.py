"""``lsr adapt``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import FolderType, json_option, trust_option

if TYPE_CHECKING:
    from eval.adaptation_report import Adapted, BeforeAfter
    from lsr.trusted_code import TrustedCode


@click.command("adapt")
@click.argument("collection", type=FolderType("adapt its source, and push that to another name"))
@click.option("--minutes", default=20.0, show_default=True, help="About how long, on two cores.")
@click.option("--queries", metavar="PATH", help="Judged queries to compare with, besides.")
@click.option("--qrels", type=click.Path(path_type=Path), help="Their judgements.")
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where all is made, and the encoder stays.  [default: COLLECTION-adapted]",
)
@click.option(
    "--chat",
    default=0,
    metavar="N",
    help="Have the endpoint of LSR_CHAT_URL write queries of N documents.",
)
@click.option("--held-out", default=0.1, show_default=True, help="Share of the pairs kept aside.")
@click.option("--seed", default=1, show_default=True, help="Of what is drawn.")
@click.option("--dry-run", is_flag=True, help="Train and compare; leave the collection alone.")
@trust_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
@json_option
def adapt_command(
    collection: Path,
    minutes: float,
    queries: str | None,
    qrels: Path | None,
    work: Path | None,
    chat: int,
    held_out: float,
    seed: int,
    dry_run: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Adapt the encoder of COLLECTION to its documents; no queries are needed, and no GPU.

    It is trained on titles, headings, spans and keywords of the documents, and on queries that a
    chat endpoint writes if you want, and compared with what it was on pairs that training never
    saw, and on judged queries where you give some. Only where it is better the documents are
    encoded anew, and the new collection takes the place of the old, which stays in the folder of
    the work. Run the same command again after an interruption.
    """
    from eval.training import require_packages

    require_packages()
    from eval.adaptation import adapt
    from eval.adaptation_training import AdaptationConfig
    from lsr.corpus.qrels import read_qrels
    from lsr.corpus.queries import read_queries
    from lsr.train.run import Watching
    from service.commands import terminal

    if (queries is None) != (qrels is None):
        raise UsageError("judged queries need both: --queries FILE and --qrels FILE")
    judged = None
    if queries is not None and qrels is not None:
        asked = {query.id: query.text for query in read_queries(queries)}
        judged = asked, read_qrels(qrels)
    config = AdaptationConfig(minutes, held_out, seed, chat=chat)
    work = work or collection.with_name(f"{collection.name}-adapted")
    with terminal.training_progress(quiet or as_json) as (on_step, on_progress):
        found = adapt(
            collection, work, config, Watching(on_step, on_progress, terminal.print_rejected),
            judged, swap=not dry_run, trusted=trusted,
        )  # fmt: skip
    if as_json:
        terminal.print_json({"collection": str(collection), **found.to_json()})
    else:
        _print(found, collection)


def _print(found: Adapted, collection: Path) -> None:
    from service.commands import terminal

    compared = {"pairs kept aside": found.held_out, "judged queries": found.judged}
    rows = [_row(what, each) for what, each in compared.items() if each is not None]
    columns = {
        "what": "nDCG@10", "queries": "queries", "before": "before", "after": "adapted",
        "gain": "gain, 95 % interval",
    }  # fmt: skip
    terminal.print_table(rows, columns, whole=["what", "gain"])
    before, after = found.nnz
    lines = [f"{found.pairs:,} pairs; {before:.0f} terms of a document before, {after:.0f} now"]
    if found.swapped:
        lines.append(f"{collection} has the adapted encoder, {found.encoder}; keep its folder")
        lines.append(f"the collection as it was is {found.former}; delete it when all is well")
    else:
        lines.append(f"{collection} stays as it was: {found.reason}")
    for line in lines:
        terminal.out.print(line, markup=False)


def _row(what: str, found: BeforeAfter) -> dict[str, object]:
    gain = found.gain
    return {
        "what": what,
        "queries": found.queries,
        "before": round(found.before, 4),
        "after": round(found.after, 4),
        "gain": f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})",
    }
