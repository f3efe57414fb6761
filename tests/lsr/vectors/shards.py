"""Shards and whole files of one corpus, for tests that compare them."""

from lsr.corpus.shard import Shard
from lsr.encoding.runs import encode_items
from lsr.vectors.csr import Maker
from lsr.vectors.formats import vector_writer
from lsr.vectors.output import VectorOutput
from lsr.vectors.shard_folder import ShardOutput
from lsr.vectors.shard_set import ShardSet, shard_folders
from tests.recorded_progress import RecordedProgress


def maker(encoder):
    return Maker(encoder.name, encoder.fingerprint)


def file_output(encoder, path, kind):
    zipped = path.suffix == ".gz"

    def writer(files):
        return vector_writer(kind, files, encoder.vocabulary, maker(encoder), zipped=zipped)

    return VectorOutput(path, {}, writer)


def whole_file(encoder, source, path, kind, chunk_size):
    """The file of one run over a corpus, and what was said of its items."""
    output, progress = file_output(encoder, path, kind), RecordedProgress()
    encode_items(encoder, source, output, progress=progress, chunk_size=chunk_size)
    output.finish()
    return path.read_bytes(), progress.sentences


def write_shard(encoder, source, folder, shard, chunk_size, **options):
    """One shard; what the run did, what was said of its items, and its manifest."""
    progress = RecordedProgress()
    output = ShardOutput(folder, shard, encoder.vocabulary, maker(encoder), chunk_size)
    with output:
        report = encode_items(
            encoder,
            source,
            output,
            progress=progress,
            chunk_size=chunk_size,
            shard=shard,
            **options,
        )
        manifest = output.finish(report.taken, report.corpus)
    return report, progress.sentences, manifest


def write_shards(encoder, source, folder, of, chunk_size):
    """All shards; what was said of their items."""
    shards = [Shard(number, of) for number in range(1, of + 1)]
    return [
        said
        for shard in shards
        for said in write_shard(encoder, source, folder, shard, chunk_size)[1]
    ]


def shard_set(folder):
    return ShardSet(shard_folders([str(folder)]))


def merged_file(encoder, shards, path, kind):
    """The file that is made of all shards."""
    output = file_output(encoder, path, kind)
    for number, (documents, batch) in enumerate(shards.chunks(), start=1):
        output.append(documents, batch, number, "")
    output.finish()
    return path.read_bytes()
