"""``lsr arena``: encoders and engines in the field's own evaluators and formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError
from service.commands.options import (
    bm25_option,
    dense_option,
    encoder_option,
    engine_option,
    json_option,
    language_option,
    trust_option,
)
from service.commands.output_path import output_file

if TYPE_CHECKING:
    from lsr.trusted_code import TrustedCode

PATH = click.Path(path_type=Path)


@click.group("arena")
def arena_command() -> None:
    """Take part in MTEB, NanoBEIR, lsr-benchmark and SISAP's sparse task.

    ranx, pyterrier and trec_eval need no command: lsr eval --save-run writes what they read, and
    --load-run reads what they write.
    """


@arena_command.command("mteb")
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@encoder_option
@dense_option
@bm25_option
@language_option
@click.option("--using", metavar="FIELD", help="As for lsr eval.")
@click.option("--output", type=PATH, metavar="DIR", help="Keep MTEB's files of results here.")
@trust_option
@json_option
def mteb_command(
    tasks: Sequence[str],
    encoder: str | None,
    dense: str | None,
    bm25: bool,
    language: str | None,
    using: str | None,
    output: Path | None,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Run MTEB's own runner on TASK...: names of its tasks, such as SciFact, or BEIR folders.

    MTEB fetches the data of its tasks; a folder is read from here. With --output, what is there
    already isn't run again.
    """
    from eval.arenas.mteb import MtebModel
    from eval.arenas.mteb_tasks import run_mteb
    from index.search.config import SearchConfig
    from service.commands import terminal

    model = MtebModel(
        encoder, dense, bm25, searching=SearchConfig(using=using), language=language,
        trusted=trusted,
    )  # fmt: skip
    rows = run_mteb(model, tasks, output)
    if as_json:
        terminal.print_json({"results": rows})
        return
    names = {"task": "task", "split": "split", "main_score": "main score", "score": "value"}
    terminal.print_table(rows, names)


@arena_command.command("nanobeir")
@click.argument("datasets", nargs=-1, required=True, metavar="SET...")
@encoder_option
@click.option("--split", default="test", show_default=True, help="Qrels of a BEIR folder.")
@trust_option
@json_option
def nanobeir_command(
    datasets: Sequence[str],
    encoder: str | None,
    split: str,
    trusted: TrustedCode,
    as_json: bool,
) -> None:
    """Print the keys of sentence-transformers' SparseNanoBEIREvaluator for SET...

    SET is what lsr eval takes. Names of NanoBEIR's sets are known, as in NanoSciFact_dot_ndcg@10.
    """
    from eval.arenas.nanobeir import nanobeir_report
    from eval.datasets import load_dataset
    from lsr.encoders.catalogue import load_encoder
    from lsr.encoders.packaged import DEFAULT_ENCODER
    from service.commands import terminal

    loaded = [load_dataset(name, split) for name in datasets]
    report = nanobeir_report(load_encoder(encoder or DEFAULT_ENCODER, trusted), loaded)
    if as_json:
        terminal.print_json(report)
        return
    for key, value in report.items():
        terminal.out.print(f"{key:45}{value:.4f}", markup=False)


@arena_command.command("lsr-benchmark")
@click.option("--dataset", required=True, help="Its id, or the folder of a local one.")
@click.option("--embedding", type=PATH, required=True, help="The folder of its vectors.")
@click.option("--output", type=PATH, required=True, help="The folder of the run.")
@click.option("--k", default=10, show_default=True, help="Results per query.")
@engine_option
@click.option("--team", default="lsr-search", show_default=True, help="Who makes the run.")
@click.option("--embedding-name", help="The embedding's name in the metadata.")
@json_option
def lsr_benchmark_command(
    dataset: str,
    embedding: Path,
    output: Path,
    k: int,
    engine: str,
    team: str,
    embedding_name: str | None,
    as_json: bool,
) -> None:
    """Index an embedding of lsr-benchmark, search for its queries, and write a run folder.

    These are the options with which its runner starts engines; lsr-benchmark evaluate reads the
    folder.
    """
    from eval.arenas.lsr_benchmark import Entry, write_run_folder
    from service.commands import terminal

    entry = Entry(dataset, embedding, k, engine, team, embedding_name)
    seconds = write_run_folder(entry, output)
    if as_json:
        terminal.print_json({"output": str(output), "seconds": seconds})
        return
    spent = ", ".join(f"{step} {took:.3f} s" for step, took in seconds.items())
    terminal.out.print(f"wrote {output} ({spent})", markup=False)


@arena_command.command("sisap")
@click.argument("task", type=PATH)
@click.option(
    "--output",
    type=PATH,
    callback=output_file,
    required=True,
    metavar="FILE.h5",
    help="The answers.",
)
@click.option("--k", type=int, help="Answers per query.  [default: as config.json says, or 30]")
@engine_option
@json_option
def sisap_command(task: Path, output: Path, k: int | None, engine: str, as_json: bool) -> None:
    """Answer SISAP's sparse task: an HDF5 file, or a folder of one and its config.json.

    Where the file has the true answers, recall is told.
    """
    from eval.arenas.embeddings import rank_vectors
    from eval.arenas.sisap import check_depth, read_sisap, write_sisap
    from service.commands import terminal

    if task.resolve() == output.resolve():
        raise UsageError(f"--output {str(output)!r} is the task itself; give another file")
    read = read_sisap(task)
    depth = check_depth(read, k)
    found = rank_vectors(read.documents, read.queries, depth, engine)
    about = {"algo": f"lsr-{engine}", "dataset": read.name, "params": f"k={depth}"}
    knns = write_sisap(output, found, depth, about)
    report: dict[str, Any] = {
        "output": str(output),
        "queries": len(knns),
        "k": depth,
        "build_s": round(found.index_seconds, 3),
        "query_s": round(found.search_seconds, 3),
        "recall": read.recall(knns),
    }
    if as_json:
        terminal.print_json(report)
        return
    terminal.print_table([report], {name: name for name in report})
