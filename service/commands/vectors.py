"""The commands that move vectors between files and collections: import, export, merge.

Everything heavier than click is imported inside the command that needs it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lsr.errors import UsageError
from service.commands.options import (
    PLACE,
    bm25_option,
    dense_option,
    json_option,
    reading_options,
    trust_option,
)
from service.commands.output_path import output_file_or_folders
from service.commands.vector_output import (
    contents_option,
    encode_json,
    format_option,
    quantise_option,
    quiet_option,
    vector_file,
)

if TYPE_CHECKING:
    from index.opening import Place
    from lsr.corpus.readers.corpus import Reading
    from lsr.trusted_code import TrustedCode

REJECTED_BEFORE = "items of the corpus that were rejected when its shards were encoded: {:,}"


@click.command("import")
@click.argument("vectors", nargs=-1, required=True)
@click.option("--into", type=PLACE, required=True, help="The collection.")
@click.option(
    "--encoder",
    metavar="NAME",
    help="What encodes queries, and whose vocabulary the vectors are over.  [default: of shards, "
    "what encoded them; else none, and queries are given as tokens with weights]",
)
@click.option(
    "--documents", metavar="CORPUS", help="Take title, text and metadata from here, by id."
)
@reading_options
@dense_option
@bm25_option
@trust_option
@quiet_option
@json_option
def import_command(
    vectors: tuple[str, ...],
    into: Place,
    encoder: str | None,
    documents: str | None,
    reading: Reading,
    dense: str | None,
    bm25: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build a collection from VECTORS that were encoded elsewhere: JSON lines as of Anserini or
    Seismic (.jsonl, .gz too, a folder of them, or - for standard input), our .safetensors, or CIFF;
    or all shards of lsr encode --shard, by their folders or the folder they are in, which bring
    title, text and metadata.

    Run the same command again after an interruption: documents that have not changed are left as
    they are. Items that can't be read are reported and skipped, and the exit code is then 1.
    """
    from eval.datasets import named_corpus
    from index.importing import import_vectors, open_for_import
    from index.opening import gone_if_unused, is_there, remove_unused
    from lsr.corpus.readers.corpus import AS_USUAL
    from lsr.vectors.formats import open_vectors
    from lsr.vectors.shard_set import ShardSet, shard_folders
    from service.commands import terminal

    shards = ShardSet(folders) if (folders := shard_folders(vectors)) else None
    source = open_vectors(vectors[0]) if shards is None else shards
    rejected_before = 0 if shards is None else shards.rejected
    if documents is None and reading != AS_USUAL:
        raise UsageError("the options on fields and files are for the corpus of --documents")
    texts = None if documents is None else named_corpus(documents, reading)
    new, made = not is_there(into), isinstance(into, Path) and not into.exists()
    with gone_if_unused(into):
        collection = open_for_import(into, source, encoder, dense, bm25, trusted)
        with terminal.indexing_progress(
            lambda: source.fraction, "importing", quiet or as_json
        ) as progress:
            report = import_vectors(collection, source, texts, progress)
    if as_json:
        names = ("created", "updated", "unchanged", "rejected")
        counts: dict[str, Any] = {name: getattr(report.index, name) for name in names}
        others = ("without_text", "cut", "zero", "new_tokens")
        counts |= {name: getattr(report, name) for name in others}
        terminal.print_json(
            {"collection": str(into), "documents": len(collection), **counts,
             "seconds": round(report.index.seconds, 3), **report.index.passed_over.as_json(),
             **({} if shards is None else {"rejected_in_shards": rejected_before})}
        )  # fmt: skip
    else:
        terminal.print_import_report(report, len(collection), str(into))
    if rejected_before:
        terminal.print_rejected(REJECTED_BEFORE.format(rejected_before))
    empty = not len(collection)
    collection.close()
    if new and empty and report.index.rejected:
        terminal.print_rejected(f"no vector could be read, so there is no collection at {into}")
        remove_unused(into, made)
    sys.exit(1 if progress.sentences or rejected_before else 0)


@click.command("merge")
@click.argument("shards", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=output_file_or_folders,
    required=True,
    help="The file to write.",
)
@click.option(
    "--encoder",
    metavar="NAME",
    help="The encoder of the shards, where it has another name here.  [default: the name that it "
    "had where they were encoded]",
)
@format_option
@quantise_option
@contents_option
@trust_option
@quiet_option
@json_option
def merge_command(
    shards: tuple[str, ...],
    out: Path,
    encoder: str | None,
    kind: str | None,
    scale: float | None,
    contents: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Make one file of all SHARDS of lsr encode --shard: the file that lsr encode writes of the
    whole corpus, byte for byte.

    Run the same command again after an interruption: it goes on where it stopped. Where items were
    rejected when the shards were encoded, the exit code is 1.
    """
    from index.importing import encoder_of_shards
    from lsr.encoding.runs import EncodeReport
    from lsr.vectors.shard_set import ShardSet, shard_folders
    from service.commands import terminal

    if not (folders := shard_folders(shards)):
        raise UsageError(f"{shards[0]!r} is no shard of lsr encode --shard; lsr merge takes these")
    source = ShardSet(folders)
    loaded = encoder_of_shards(source, encoder, trusted)
    settings = {"shards": source.digest}
    output = vector_file(out, kind, loaded.vocabulary, source.maker, scale, contents, settings)
    report = EncodeReport()
    with terminal.indexing_progress(
        lambda: report.read / max(source.documents, 1), "merging", quiet or as_json
    ) as progress:
        for number, (documents, batch) in enumerate(source.chunks(), start=1):
            report.taken += len(documents)
            if number <= output.items:
                report.kept += len(documents)
            else:
                report.encoded += len(documents)
                report.weights += batch.nnz
                output.append(documents, batch, number, "")
            progress.chunk(report)
    notes = output.finish()
    if source.rejected:
        notes.append(REJECTED_BEFORE.format(source.rejected))
    if as_json:
        terminal.print_json(encode_json(report, str(out), notes))
    else:
        terminal.print_encode_report(report, str(out), notes)
    sys.exit(1 if source.rejected else 0)


@click.command("export")
@click.argument("collection", type=PLACE)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    callback=output_file_or_folders,
    required=True,
    help="The file to write.",
)
@click.option("--field", metavar="NAME", help="A sparse field.  [default: the first]")
@format_option
@quantise_option
@contents_option
@trust_option
@quiet_option
@json_option
def export_command(
    collection: Place,
    out: Path,
    field: str | None,
    kind: str | None,
    scale: float | None,
    contents: bool,
    trusted: TrustedCode,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write the vectors that COLLECTION stores to a file, as lsr encode does."""
    from index.importing import stored_vectors
    from index.opening import open_collection
    from lsr.encoding.runs import EncodeReport
    from lsr.vectors.csr import Maker
    from service.commands import terminal

    opened = open_collection(collection, trusted)
    chosen = opened.fields.named(field) if field else opened.fields[0]
    if chosen.kind != "sparse":
        raise UsageError(f"the field {chosen.name!r} is dense; only sparse vectors can be exported")
    encoder = opened.fields.encoder(chosen)
    settings = {"encoder": encoder.fingerprint, "revision": opened.store.revision()}
    maker = Maker(encoder.name, encoder.fingerprint)
    vocabulary = opened.fields.vocabulary(chosen)
    output = vector_file(out, kind, vocabulary, maker, scale, contents, settings)
    report, total = EncodeReport(), len(opened)
    with terminal.indexing_progress(
        lambda: report.read / max(total, 1), "exporting", quiet or as_json
    ) as progress:
        for documents, batch in stored_vectors(opened, chosen):
            report.taken += len(documents)
            if report.read < output.items:
                report.kept += len(documents)
            else:
                report.encoded += len(documents)
                report.weights += batch.nnz
                output.append(documents, batch, report.read, "")
            progress.chunk(report)
    notes = output.finish()
    if as_json:
        terminal.print_json(encode_json(report, str(out), notes))
    else:
        terminal.print_encode_report(report, str(out), notes)
    opened.close()
