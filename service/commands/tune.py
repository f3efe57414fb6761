"""``lsr tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from lsr.errors import UsageError
from service.commands.options import PLACE, json_option, trust_option, using_option

if TYPE_CHECKING:
    from eval.tuning import Tuning
    from index.opening import Place
    from lsr.trusted_code import TrustedCode


@click.command("tune")
@click.argument("collection", type=PLACE)
@click.option("--queries", metavar="PATH", help="A .jsonl, .tsv or .txt file, or a BEIR folder.")
@click.option(
    "--qrels", type=click.Path(path_type=Path), help="Their judgements; never those of a test."
)
@using_option
@click.option("--measure", default="nDCG@10", show_default=True, help="What is to be high.")
@click.option("--folds", default=5, show_default=True, help="Of the cross-validation.")
@click.option(
    "--feedback/--no-feedback", default=True, help="Whether to try feedback, the slowest part."
)
@click.option("--dry-run", is_flag=True, help="Write nothing.")
@click.option("--force", is_flag=True, help="Write even where the gain may be chance.")
@click.option("--reset", is_flag=True, help="Forget all that was tuned, and do nothing else.")
@trust_option
@json_option
def tune_command(
    collection: Place,
    queries: str | None,
    qrels: Path | None,
    using: str | None,
    measure: str,
    folds: int,
    feedback: bool,
    dry_run: bool,
    force: bool,
    reset: bool,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Find how to search COLLECTION by judged queries, and make it the default of its searches.

    Fusion, norms and weights, feedback, the weight of a second dense model and effort. The gain is
    that of queries that the choice has not seen; where it may be chance, nothing is written.
    """
    from contextlib import closing

    from eval.tuning import tune
    from index.opening import open_collection
    from index.search.defaults import reset_defaults
    from lsr.corpus.qrels import read_qrels
    from lsr.corpus.queries import read_queries
    from service.commands import terminal

    if dry_run and (force or reset):
        raise UsageError(
            "--dry-run writes nothing, and --force and --reset do; give one of the two"
        )
    if not reset and (queries is None or qrels is None):
        raise UsageError("give the judged queries: --queries FILE --qrels FILE, or --reset")
    if reset and (queries is not None or qrels is not None):
        raise UsageError("--reset forgets what was tuned and takes no queries; leave them out")
    with closing(open_collection(collection, trusted)) as opened:
        if queries is None or qrels is None:
            reset_defaults(opened)
            if as_json:
                terminal.print_json({"collection": str(collection), "reset": True})
            else:
                terminal.out.print(f"{collection} is searched by the defaults of lsr", markup=False)
            return
        judged = read_queries(queries), read_qrels(qrels)
        with terminal.tuning_progress(as_json) as told:
            found = tune(
                opened, *judged, using=using, measure=measure, folds=folds, feedback=feedback,
                write=not dry_run, force=force, progress=told,
            )  # fmt: skip
    if as_json:
        terminal.print_json({"collection": str(collection), **found.to_json()})
    else:
        _print(found, str(collection), dry_run)


def _print(found: Tuning, collection: str, dry_run: bool) -> None:
    from index.search.defaults import settings_text
    from service.commands import terminal

    rows = [
        {"search": "default", "settings": settings_text(found.default), "mean": found.default_mean},
        {"search": "chosen", "settings": settings_text(found.chosen), "mean": found.chosen_mean},
    ]
    columns = {"search": found.using, "settings": "settings", "mean": found.measure}
    terminal.print_table(rows, columns, whole=["settings"])
    gain = found.gain
    terminal.out.print(
        f"gain on held-out queries {gain.mean:+.4f}, 95% between {gain.low:+.4f} and "
        f"{gain.high:+.4f}; {found.queries:,} queries, {len(found.fold_choices)} folds",
        markup=False,
    )
    if found.written:
        line = f"{collection} keeps it as the default of {found.using}"
    elif dry_run:
        line = "nothing was written (--dry-run)"
    elif found.gain.low <= 0 <= found.gain.high:
        line = "the gain may be chance, so nothing was written; --force writes it all the same"
    else:
        line = "that is a loss, so nothing was written; --force writes it all the same"
    terminal.out.print(line, markup=False)
