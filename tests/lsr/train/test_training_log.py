"""The log of a training: written, cut, read, drawn."""

import builtins
import json
import math
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import (
    CorruptionError,
    InputError,
    MissingDependencyError,
    NotFoundError,
    UsageError,
)
from lsr.train.training_log import Entry, TrainingLog, draw, plot, read_log

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
GROUPS = st.dictionaries(st.text(max_size=8), NUMBERS, max_size=3)
ENTRIES = st.lists(
    st.builds(
        Entry,
        step=st.integers(0, 50),
        loss=st.none() | NUMBERS,
        losses=GROUPS,
        nnz=GROUPS,
        lr=st.none() | NUMBERS,
        measures=GROUPS,
    ),
    max_size=12,
).map(lambda entries: sorted(entries, key=lambda entry: entry.step))


def write(path, entries, resumed_from=None):
    with TrainingLog(path, resumed_from) as log:
        for entry in entries:
            log.write(entry)
    return path


def readable(value):
    """What comes back of a value."""
    if isinstance(value, dict):
        return {key: readable(inner) for key, inner in value.items()}
    if value is None or isinstance(value, int):
        return value
    return value if math.isfinite(value) else "not a number"


def content(entry):
    fields = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    return {name: readable(value) for name, value in fields.items()}


@settings(max_examples=60)
@given(ENTRIES)
def test_what_is_written_is_read(tmp_path_factory, entries):
    path = write(tmp_path_factory.mktemp("log") / "log.jsonl", entries)
    assert [content(entry) for entry in read_log(path)] == [content(entry) for entry in entries]
    for line in path.read_bytes().splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@settings(max_examples=60)
@given(ENTRIES, st.integers(0, 50), st.data())
def test_a_resumed_log_equals_an_uninterrupted_one(tmp_path_factory, entries, step, data):
    folder = tmp_path_factory.mktemp("log")
    whole = write(folder / "whole.jsonl", entries).read_bytes()
    path = folder / "log.jsonl"
    kept = b"".join(entry.line() for entry in entries if entry.step <= step)
    # Killed anywhere after the checkpoint of that step, in the middle of a line too.
    path.write_bytes(whole[: data.draw(st.integers(len(kept), len(whole)))])
    write(path, [entry for entry in entries if entry.step > step], resumed_from=step)
    assert path.read_bytes() == whole


@settings(max_examples=60)
@given(ENTRIES, st.data())
def test_a_line_that_was_not_finished_is_left_out(tmp_path_factory, entries, data):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    whole = write(path, entries).read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    assert len(read_log(path)) == whole[:cut].count(b"\n")


def test_each_entry_is_in_the_file_at_once(tmp_path):
    path = tmp_path / "log.jsonl"
    log = TrainingLog(path)
    for step in range(3):
        log.write(Entry(step, loss=1.0))
        assert [entry.step for entry in read_log(path)] == list(range(step + 1))
    with pytest.raises(UsageError, match="can't follow"):
        log.write(Entry(1))
    log.close()


def test_a_new_log_begins_over_what_is_there(tmp_path):
    path = write(tmp_path / "log.jsonl", [Entry(5), Entry(9)])
    write(path, [Entry(0)])
    assert [entry.step for entry in read_log(path)] == [0]
    with pytest.raises(UsageError):
        write(path, [Entry(3), Entry(2)], resumed_from=0)
    assert [entry.step for entry in read_log(path)] == [0, 3]


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b"[1]\n",
        b'{"loss": 1}\n',
        b'{"step": true}\n',
        b'{"step": 1, "loss": {}}\n',
        b'{"step": 1, "loss": "low"}\n',
        b'{"step": 1, "nnz": 120}\n',
        b'{"step": 1, "nnz": {"document": [120]}}\n',
        b'{"step": 1, "loss": 1%s}\n' % (b"0" * 400),
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = write(tmp_path / "log.jsonl", [Entry(1)])
    path.write_bytes(path.read_bytes() + line + Entry(2).line())
    with pytest.raises(CorruptionError, match="line 2 of"):
        read_log(path)
    with pytest.raises(CorruptionError, match="line 2 of"):
        TrainingLog(path, resumed_from=2)


def test_fields_of_a_later_version_are_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 4, "loss": 2, "mood": "good"}\n')
    assert read_log(tmp_path / "log.jsonl") == [Entry(4, loss=2.0)]


def test_what_is_not_there_or_empty_is_explained(tmp_path):
    with pytest.raises(NotFoundError, match="no training log"):
        read_log(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").touch()
    assert read_log(tmp_path / "log.jsonl") == []
    with pytest.raises(InputError, match="no entries yet"):
        plot(tmp_path / "log.jsonl", tmp_path / "log.png")


def training(steps=400):
    for step in range(0, steps + 1, 10):
        yield Entry(
            step,
            loss=3 * math.exp(-step / 100) + 0.5,
            losses={"kl": 2 * math.exp(-step / 100), "flops": math.exp(-step / 100) + 0.5},
            nnz={"document": 120 + 3000 * math.exp(-step / 60), "query": 20 + 300 / (step + 1)},
            target_nnz={"document": 120},
            strength={"document": 1e-6 * 1.02**step},
            lr=1e-4,
            docs_per_s=55.5,
            measures={"scifact nDCG@10": 0.6 - 0.5 / (step + 2)} if step % 100 == 0 else {},
        )


def drawn(figure):
    """(panel, name) -> points of each line."""
    return {
        (axis.get_ylabel(), line.get_label()): list(
            zip(line.get_xdata(), line.get_ydata(), strict=True)
        )
        for axis in figure.axes
        for line in axis.get_lines()
    }


def test_the_lines_are_what_the_log_says(tmp_path):
    pytest.importorskip("matplotlib")
    entries = list(training())
    found = drawn(draw(read_log(write(tmp_path / "log.jsonl", entries))))
    every = [entry.step for entry in entries]
    expected = {
        ("loss", "total"): [entry.loss for entry in entries],
        ("loss", "kl"): [entry.losses["kl"] for entry in entries],
        ("loss", "flops"): [entry.losses["flops"] for entry in entries],
        ("non-zeros of a vector", "document"): [entry.nnz["document"] for entry in entries],
        ("non-zeros of a vector", "query"): [entry.nnz["query"] for entry in entries],
        ("non-zeros of a vector", "document, target"): [120.0] * len(entries),
        ("regulariser's strength", "document"): [entry.strength["document"] for entry in entries],
    }
    points = {key: list(zip(every, heights, strict=True)) for key, heights in expected.items()}
    points["evaluation", "scifact nDCG@10"] = [
        (entry.step, entry.measures["scifact nDCG@10"]) for entry in entries if entry.measures
    ]
    assert found == points


def test_only_what_was_measured_gets_a_panel():
    pytest.importorskip("matplotlib")
    figure = draw([Entry(1, loss=2.0, losses={"kl": 2.0}), Entry(2, loss=math.nan)])
    assert [axis.get_ylabel() for axis in figure.axes] == ["loss"]
    assert list(drawn(figure)) == [("loss", "kl"), ("loss", "total")]
    assert len(draw([Entry(0)]).axes) == 1


def pixels(png):
    """The scanlines of a PNG, decompressed, filter bytes included."""
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, packed, size = 8, b"", None
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
        packed += body if kind == b"IDAT" else b""
        place += 12 + length
    return size, zlib.decompress(packed)


def test_the_plot_is_a_picture_with_something_on_it(tmp_path):
    pytest.importorskip("matplotlib")
    png = tmp_path / "log.png"
    png.write_text("an earlier one")
    plot(write(tmp_path / "log.jsonl", training()), png)
    (width, height), lines = pixels(png)
    assert width > 800
    assert height > 800
    assert len(lines) == height * (1 + 4 * width)
    assert len(set(lines)) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "log.png"]


def test_without_matplotlib_the_install_line_is_named(tmp_path, monkeypatch):
    path = write(tmp_path / "log.jsonl", training())
    found = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return found(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lsr-search\[train\]'"):
        plot(path, tmp_path / "log.png")
