"""Shards are what one run is: the same vectors, in the same order, to the last bit."""

import io
import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.documents import Document
from lsr.corpus.items import Item
from lsr.corpus.readers.json_documents import read_json_documents
from lsr.corpus.shard import MOST_SHARDS, Shard
from lsr.encoders.catalogue import load_encoder
from lsr.errors import CorruptionError, InputError, LockedError, LsrError, UsageError
from lsr.vectors.csr import CsrVectors
from lsr.vectors.shard_folder import ShardFolder, ShardOutput
from lsr.vectors.shard_manifest import FILES, MANIFEST, _digest
from lsr.vectors.shard_set import ShardSet, shard_folders
from lsr.vocabulary import GrowingVocabulary
from tests.lsr.vectors.shards import (
    maker,
    merged_file,
    shard_set,
    whole_file,
    write_shard,
    write_shards,
)

TEXTS = {f"d{n}": "apple " * (n % 7) + f"banana number {n} w{n // 3}" for n in range(50)}
WORDS = ["apple", "banana", "käse", "zzyzx", "naïve", "a b", "\x00", "\u2028", "日本"]
IDS = st.sampled_from(["a", "b", "c", "d", "é", "id with blank", *map(str, range(40))])
METADATA = st.dictionaries(
    st.sampled_from(["year", "title2", "metadata", "ids"]),
    st.none() | st.integers() | st.booleans() | st.text(max_size=4) | st.lists(st.integers()),
    max_size=2,
)
DOCUMENTS = st.builds(
    lambda identifier, words, title, metadata: json.dumps(
        {"id": identifier, "text": " ".join(words), "title": title, "metadata": metadata}
    ).encode(),
    IDS,
    st.lists(st.sampled_from(WORDS), max_size=6),
    st.sampled_from(["", "A title"]),
    METADATA,
)
BROKEN = st.sampled_from(
    [b"{", b'{"id": "\xff\xfe"}', b"[1]", b'{"text": "no id"}', b'{"id": "x"}', b"null", b"nan"]
)
CORPORA = st.lists(st.one_of(DOCUMENTS, DOCUMENTS, BROKEN), max_size=40).map(b"\n".join)


def items(texts):
    return [Item("memory", n, Document(*pair)) for n, pair in enumerate(texts.items(), start=1)]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("bm25")


@pytest.fixture
def shards(tmp_path, encoder):
    """Four shards of TEXTS, in a folder."""
    write_shards(encoder, items(TEXTS), tmp_path / "shards", 4, 8)
    return tmp_path / "shards"


@settings(max_examples=20, deadline=None)
@given(CORPORA, st.integers(1, 6), st.integers(1, 9))
def test_shards_merged_are_one_run(encoder, corpus, of, chunk_size):
    def source():
        return read_json_documents(io.BytesIO(corpus), "corpus")

    with TemporaryDirectory() as name:
        folder = Path(name)
        said = []
        for number in range(1, of + 1):
            shard = Shard(number, of)
            said += write_shard(encoder, source(), folder / "shards", shard, chunk_size)[1]
        found = shard_set(folder / "shards")
        for kind, ending in (("csr", ".safetensors"), ("jsonl", ".jsonl.gz"), ("ciff", ".ciff")):
            one, rejected = whole_file(encoder, source(), folder / f"one{ending}", kind, chunk_size)
            assert merged_file(encoder, found, folder / f"merged{ending}", kind) == one
        assert sorted(said) == sorted(rejected)
        assert found.rejected == len(rejected)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 400), st.integers(1, 30), st.integers(1, 12))
def test_each_chunk_is_of_one_shard_and_they_are_balanced(count, size, of):
    owned = [Shard(number, of).chunks(count, size) for number in range(1, of + 1)]
    assert sorted(chunk for chunks in owned for chunk in chunks) == list(range(-(-count // size)))
    for number, chunks in enumerate(owned, start=1):
        shard = Shard(number, of)
        assert all(shard.has(chunk) for chunk in chunks)
        of_chunks = sum(len(range(count)[chunk * size : (chunk + 1) * size]) for chunk in chunks)
        assert shard.items(count, size) == of_chunks
    lengths = [len(chunks) for chunks in owned]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("text", ["", "3", "3/", "/8", "a/b", "0/8", "9/8", "-1/8", "1.0/8", "1/0"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match=r"^the shard is"):
        Shard.parse(text)


def test_the_largest_number_of_shards():
    assert Shard.parse(f"{MOST_SHARDS}/{MOST_SHARDS}").of == MOST_SHARDS
    with pytest.raises(UsageError, match="with N up to 100,000"):
        Shard.parse(f"1/{MOST_SHARDS + 1}")


def test_a_model_gives_the_same_bits_in_shards(tmp_path, masked_lm):
    """Texts of many lengths share a batch, and a batch decides the last bits."""
    model = load_encoder(f"splade:{masked_lm}")
    source = items(dict(list(TEXTS.items())[::3]))
    write_shards(model, source, tmp_path / "shards", 3, 4)
    one, _ = whole_file(model, source, tmp_path / "one.safetensors", "csr", 4)
    found = shard_set(tmp_path / "shards")
    assert merged_file(model, found, tmp_path / "merged.safetensors", "csr") == one


def test_items_are_those_of_the_file_of_one_run(tmp_path, encoder, shards):
    path = tmp_path / "one.safetensors"
    whole_file(encoder, items(TEXTS), path, "csr", 8)
    vocabularies = [GrowingVocabulary(encoder.vocabulary.tokenizer, encoder.mark) for _ in range(2)]
    expected = list(CsrVectors(path).items(vocabularies[0]))
    found = list(shard_set(shards).items(vocabularies[1]))
    assert list(vocabularies[0].words) == list(vocabularies[1].words)
    assert [item.document for item in found] == [item.document for item in items(TEXTS)]
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one.vector.indices, other.vector.indices)
        np.testing.assert_array_equal(one.vector.values, other.vector.values)
    assert shard_set(shards).tokens() == CsrVectors(path).tokens()


def test_a_second_run_does_nothing(tmp_path, encoder):
    source, folder = items(TEXTS), tmp_path / "shards"
    first = write_shard(encoder, source, folder, Shard(2, 3), 8)
    path = folder / "shard-2-of-3"
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    second = write_shard(encoder, source, folder, Shard(2, 3), 8)
    assert (second[0].encoded, second[0].kept) == (0, first[0].encoded)
    assert second[1:] == first[1:]
    assert {file.name: file.stat().st_mtime_ns for file in path.iterdir()} == before
    assert [each.name for each in folder.iterdir()] == ["shard-2-of-3"]


@pytest.mark.parametrize("after", [1, 9, 30, 49])
def test_an_interrupted_shard_is_gone_on_with(tmp_path, encoder, after):
    def interrupted():
        for number, item in enumerate(items(TEXTS)):
            if number == after:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        write_shard(encoder, interrupted(), tmp_path / "a", Shard(1, 2), 8)
    assert not (tmp_path / "a" / "shard-1-of-2").exists()
    report, _, manifest = write_shard(encoder, items(TEXTS), tmp_path / "a", Shard(1, 2), 8)
    assert report.kept == 8 * ((after // 8 + 1) // 2)
    assert manifest == write_shard(encoder, items(TEXTS), tmp_path / "b", Shard(1, 2), 8)[2]


@pytest.mark.parametrize(
    "change",
    [
        lambda texts: texts | {"d3": "another text"},
        lambda texts: texts | {"new": "one more"},
        lambda texts: texts | {f"new{n}": "many more" for n in range(20)},
        lambda texts: dict(list(texts.items())[:-1]),
        lambda texts: dict(reversed(texts.items())),
        lambda texts: {},
    ],
)
def test_a_shard_of_another_corpus_is_not_taken_for_this_one(tmp_path, encoder, change):
    write_shard(encoder, items(TEXTS), tmp_path, Shard(2, 2), 8)
    with pytest.raises(UsageError, match=r"the corpus isn't the one.*shard-2-of-2$"):
        write_shard(encoder, items(change(TEXTS)), tmp_path, Shard(2, 2), 8)


def test_a_shard_of_another_encoder_is_not_taken_for_this_one(tmp_path, encoder):
    write_shard(encoder, items(TEXTS), tmp_path, Shard(1, 1), 8)
    with pytest.raises(UsageError, match="is there already, of bm25"):
        write_shard(load_encoder("bm25,k1=2"), items(TEXTS), tmp_path, Shard(1, 1), 8)


def test_one_process_at_a_time_writes_a_shard(tmp_path, encoder):
    def output():
        return ShardOutput(tmp_path, Shard(1, 2), encoder.vocabulary, maker(encoder))

    with output(), pytest.raises(LockedError, match="another process is writing"), output():
        pass
    with output():
        pass


def test_where_the_lines_of_a_corpus_move_it_is_another(tmp_path, encoder):
    """Chunks begin at places of the stream, and what is rejected takes one."""
    broken = Item("memory", 99, None, "broken")
    first, second = items(TEXTS), items(TEXTS)
    first.insert(0, broken)
    second.append(broken)
    write_shard(encoder, first, tmp_path, Shard(1, 2), 8)
    write_shard(encoder, second, tmp_path, Shard(2, 2), 8)
    with pytest.raises(InputError, match="of different corpora"):
        shard_set(tmp_path)


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "gone", "empty"])
def test_a_damaged_shard_is_named_before_any_work(shards, encoder, name, damage):
    file = shards / "shard-3-of-4" / name
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 4
    file.unlink()
    damaged = {"cut": data[:-3], "longer": data + b"\0\0\0\0", "empty": b"", "flipped": data}
    if damage in damaged:
        file.write_bytes(damaged[damage])
    with pytest.raises(LsrError) as caught:
        ShardSet(sorted(shards.iterdir()))
    assert isinstance(caught.value, CorruptionError)
    assert "shard-3-of-4" in str(caught.value)
    with pytest.raises(LsrError, match="shard-3-of-4"):
        write_shard(encoder, items(TEXTS), shards, Shard(3, 4), 8)


def test_a_manifest_that_is_changed_is_noticed(shards):
    file = shards / "shard-1-of-4" / MANIFEST
    written = json.loads(file.read_text())
    file.write_text(json.dumps(written | {"documents": written["documents"] - 1}))
    with pytest.raises(CorruptionError, match="doesn't fit its own digest"):
        shard_set(shards)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", "[" * 100_000, '{"format": "lsr-shard"}', "\xff", "1" * 9999]
)
def test_what_is_no_manifest_is_refused(shards, text):
    (shards / "shard-1-of-4" / MANIFEST).write_text(text)
    with pytest.raises(LsrError, match="shard-1-of-4"):
        shard_set(shards)


def test_gaps_and_repetitions_are_named(shards, tmp_path):
    folders = {each.name: each for each in shards.iterdir()}
    shutil.copytree(folders["shard-1-of-4"], tmp_path / "copy")
    given = [folders["shard-1-of-4"], tmp_path / "copy", folders["shard-4-of-4"]]
    with pytest.raises(InputError) as caught:
        ShardSet(given)
    said = str(caught.value)
    assert f"shard 1/4 is given 2 times ({given[0]}, {given[1]}); give it once" in said
    assert "shards 2/4, 3/4 are missing; encode with --shard 2/4" in said
    with pytest.raises(InputError, match="shard 4/4 is missing"):
        ShardSet([folders[f"shard-{n}-of-4"] for n in (1, 2, 3)])


def test_shards_of_different_kinds_are_named(tmp_path, encoder):
    other = load_encoder("bm25,k1=2")
    write_shard(encoder, items(TEXTS), tmp_path / "a", Shard(1, 2), 8)
    write_shard(other, items(TEXTS), tmp_path / "b", Shard(2, 2), 8)
    write_shard(encoder, items(TEXTS | {"e": ""}), tmp_path / "c", Shard(2, 2), 8)
    write_shard(encoder, items(TEXTS), tmp_path / "d", Shard(2, 3), 8)
    write_shard(encoder, items(TEXTS), tmp_path / "e", Shard(2, 2), 9)
    for folder, reason in (
        ("b", "different encoders"),
        ("c", "different corpora"),
        ("d", "different numbers of shards"),
        ("e", "chunks of different sizes"),
    ):
        with pytest.raises(InputError, match=reason) as caught:
            ShardSet(shard_folders([str(tmp_path / "a"), str(tmp_path / folder)]))
        assert "missing" not in str(caught.value)


def test_an_unfinished_shard_is_named(shards):
    (shards / "shard-2-of-4").rename(shards / "shard-2-of-4.part")
    with pytest.raises(UsageError, match=r"shard-2-of-4\.part is a shard that was begun"):
        shard_folders([str(shards)])


def test_an_id_that_two_shards_have_is_named(tmp_path, encoder):
    """Which takes a manifest that lies: a run knows the ids of the other shards."""
    source = items({"a": "apple", "b": "banana"})
    for number in (1, 2):
        write_shard(encoder, source, tmp_path, Shard(number, 2), 1)
    first, second = (ShardFolder(tmp_path / f"shard-{n}-of-2") for n in (1, 2))
    for name in FILES:
        shutil.copy(first.path / name, second.path / name)
    lying = json.loads((first.path / MANIFEST).read_text())
    lying["shard"]["number"] = 2
    del lying["digest"]
    (second.path / MANIFEST).write_text(json.dumps(lying | {"digest": _digest(lying)}))
    with pytest.raises(InputError, match="the id 'a' is in"):
        shard_set(tmp_path)


def test_a_corpus_of_nothing_has_shards(tmp_path, encoder):
    write_shards(encoder, [], tmp_path / "shards", 2, 8)
    found = shard_set(tmp_path / "shards")
    assert (found.documents, found.rejected, list(found.chunks())) == (0, 0, [])
    assert list(found.items(encoder.vocabulary)) == []


def test_two_runs_make_the_same_bytes(tmp_path, encoder):
    for folder in ("a", "b"):
        write_shard(encoder, items(TEXTS), tmp_path / folder, Shard(1, 2), 8)
    files = [sorted((tmp_path / folder / "shard-1-of-2").iterdir()) for folder in ("a", "b")]
    assert [file.read_bytes() for file in files[0]] == [file.read_bytes() for file in files[1]]
