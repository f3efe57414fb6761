"""A model's Python code runs by the consent of an invocation, never by what data say."""

import json
import sqlite3
import sys

import pytest
from fastapi.testclient import TestClient

import lsr as face
from index.collection import field_encoders
from index.collection.collection import Collection
from index.collection.schema import row_checksum
from lsr.errors import LsrError, UsageError
from lsr.trusted_code import NO_CODE, VARIABLE, TrustedCode, without_consent
from service.api.app import create_app
from service.settings import ServerSettings
from tests.lsr.encoders.published import with_code
from tests.service.conftest import sentence, write_jsonl

URL = "http://127.0.0.1"
TRAINING = """
output = "trained"
[model]
base = {base}
[optimizer]
steps = 1
[[sources]]
path = "pairs.jsonl"
[[losses]]
name = "{loss}"
{teachers}
[batches]
queries = 2
negatives = {negatives}
[mining]
retriever = {retriever}
pool = 1
[evaluation]
every = 0
"""
SPAR = """
kind = "spar"
output = "trained"
[[sources]]
path = "pairs.jsonl"
[spar]
model = {base}
teacher = {teacher}
steps = 1
depth = 2
positives = 1
negatives = 1
batch_size = 2
"""


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A model folder whose Python writes the file ``marker`` beside it wherever it runs."""
    modules = tmp_path / "modules"
    modules.mkdir()
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setenv("HF_MODULES_CACHE", str(modules))
    folder = with_code(tmp_path / f"hostile-{tmp_path.name}")
    code = folder / "modeling.py"
    written = f"open({str(tmp_path / 'marker')!r}, 'a').write('ran ')\n"
    code.write_text(written + code.read_text())
    yield folder
    forget()


def forget():
    """Forget code and models that were loaded, as a new process does."""
    field_encoders._sparse_encoder.cache_clear()
    for name in [name for name in sys.modules if name.startswith("transformers_modules")]:
        del sys.modules[name]


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


@pytest.fixture
def snapshot(lsr, hostile, corpus, marker, tmp_path):
    """As an attacker makes it: with the consent in the encoder's name, as earlier releases did."""
    made = lsr(
        "index", corpus, "--into", "made", "--encoder", f"splade:{hostile}", "--trust-remote-code"
    )
    assert made.returncode == 0, made.stderr
    assert marker.read_text().startswith("ran")
    marker.unlink()
    forget()
    with sqlite3.connect(tmp_path / "made/collection.sqlite") as store:
        (text,) = store.execute("SELECT value FROM settings WHERE name = 'fields'").fetchone()
        assert "trust" not in text
        fields = json.loads(text)
        fields[0]["encoder"] += ",trust_remote_code=yes"
        changed = json.dumps(fields)
        store.execute(
            "UPDATE settings SET value = ?, checksum = ? WHERE name = 'fields'",
            [changed, row_checksum("fields", changed)],
        )
    store.close()
    assert lsr("snapshot", "made", "taken").returncode == 0
    return tmp_path / "taken"


def refused(result):
    return "--trust-remote-code" in sentence(result)


def test_a_snapshot_runs_no_code(lsr, snapshot, hostile, corpus, marker, tmp_path):
    assert lsr("restore", snapshot, "restored").returncode == 0
    for command in ("info", "check"):
        shown = lsr(command, "restored")
        assert shown.returncode == 0
        assert b"trust" not in shown.stdout
    assert lsr("check", "restored", "--repair").returncode == 0
    write_jsonl(tmp_path / "queries.jsonl", [{"_id": "q", "text": "cherry"}])
    (tmp_path / "more.jsonl").write_text('{"_id": "d", "text": "cherry"}\n')
    for arguments in (
        ("search", "restored", "cherry"),
        ("search", "restored", "--tokens", '{"cherry": 1}'),
        ("bench", "recall", "restored", "--queries", "queries.jsonl"),
        ("export", "restored", "--out", "vectors.jsonl"),
        ("index", "more.jsonl", "--into", "restored"),
        ("index", "more.jsonl", "--into", "restored", "--processes", "2"),
        ("import", "more.jsonl", "--into", "restored"),
        ("encode", corpus, "--encoder", hostile, "--out", "encoded.jsonl"),
    ):
        assert refused(lsr(*arguments)), arguments
    with TestClient(
        create_app(ServerSettings(paths=[tmp_path / "restored"])), base_url=URL
    ) as client:
        assert client.get("/livez").status_code == 200
        found = client.post("/v1/indexes/restored/search", json={"query": {"text": "cherry"}})
        assert 400 <= found.status_code < 500, found.text
        assert "--trust-remote-code" in found.json()["error"]["message"]
    with pytest.raises(UsageError, match="trust_remote_code=True"):
        face.search(face.open(tmp_path / "restored"), "cherry")
    assert not marker.exists()


def test_the_invocation_lets_it_run(lsr, snapshot, hostile, marker, tmp_path, monkeypatch):
    lsr("restore", snapshot, "restored")
    collection = face.open(tmp_path / "restored", trust_remote_code=True)
    expected = [hit.id for hit in face.search(collection, "cherry").hits]
    assert expected
    assert marker.exists()
    search = ("search", "restored", "cherry", "--json")
    found = lsr(*search, "--trust-remote-code")
    assert [hit["id"] for hit in json.loads(found.stdout)["hits"]] == expected
    monkeypatch.setenv(VARIABLE, f"owner/other, {hostile}")
    assert [hit["id"] for hit in json.loads(lsr(*search).stdout)["hits"]] == expected
    monkeypatch.setenv(VARIABLE, f"owner/other,{hostile}s,{hostile.parent}")
    assert refused(lsr(*search))
    monkeypatch.delenv(VARIABLE)
    trusted = TrustedCode(all=True)
    with TestClient(
        create_app(ServerSettings(paths=[tmp_path / "restored"]), trusted=trusted), base_url=URL
    ) as client:
        found = client.post("/v1/indexes/restored/search", json={"query": {"text": "cherry"}})
        assert [hit["id"] for hit in found.json()["hits"]] == expected


# Each costs two processes that import torch; the environment is read in this one, by other tests.
@pytest.mark.parametrize("given", ["switch", pytest.param("environment", marks=pytest.mark.slow)])
def test_worker_processes_have_the_consent_too(lsr, hostile, corpus, monkeypatch, given):
    switch = ["--trust-remote-code"] if given == "switch" else []
    if given == "environment":
        monkeypatch.setenv(VARIABLE, str(hostile))
    index = ("index", corpus, "--encoder", hostile, "--processes", 2, *switch)
    result = lsr(*index, "--into", "several", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["created"] == 3


def test_eval_asks_for_consent(lsr, hostile, corpus, marker, tmp_path):
    folder = tmp_path / "fruit"
    (folder / "qrels").mkdir(parents=True)
    corpus.rename(folder / "corpus.jsonl")
    write_jsonl(folder / "queries.jsonl", [{"_id": "q1", "text": "cherry"}])
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\tb\t1\n")
    arguments = ("eval", "fruit", "--encoder", hostile, "--json")
    assert refused(lsr(*arguments))
    with pytest.raises(UsageError, match="trust_remote_code=True"):
        face.evaluate(folder, str(hostile))
    assert refused(lsr("eval", "fruit", "--encoder", "bm25", "--query-encoder", hostile))
    assert not marker.exists()
    assert lsr(*arguments, "--trust-remote-code").returncode == 0
    assert marker.exists()


@pytest.mark.parametrize("role", ["teacher", "dense", "cross-encoder", "retriever", "spar", "base"])
def test_a_training_asks_for_consent(lsr, hostile, masked_lm, marker, tmp_path, monkeypatch, role):
    """Its file may say what it likes."""
    words = ("wing", "flow", "plate", "shock")
    pairs = [{"query": word, "positive": f"{word} of a layer"} for word in words]
    write_jsonl(tmp_path / "pairs.jsonl", pairs)
    name = f"{hostile},trust_remote_code=yes"
    prefix = f"{role}:" if role in ("dense", "cross-encoder") else ""
    taught = prefix or role == "teacher"
    teachers = f"[[teachers]]\nname = {json.dumps(prefix + name)}" if taught else ""
    mined = role == "retriever"
    text = TRAINING.format(
        base=json.dumps(str(hostile if role == "base" else masked_lm)),
        loss="kl" if taught else "info-nce",
        teachers=teachers,
        negatives=1 if mined else 0,
        retriever=json.dumps(name if mined else "bm25"),
    )
    if role == "spar":
        text = SPAR.format(base=json.dumps(str(masked_lm)), teacher=json.dumps(name))
    (tmp_path / "training.toml").write_text(text)
    told = sentence(lsr("train", "training.toml"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LsrError, match="Python code of its own"):
        face.train_encoder(tmp_path / "training.toml", tmp_path / "other")
    assert not marker.exists()
    consented = lsr("train", "training.toml", "--trust-remote-code")
    if role in ("dense", "cross-encoder", "base"):
        # Whose code lsr never runs.
        assert "which only masked language models may" in told
        assert sentence(consented) == told
        assert not marker.exists()
        return
    assert "--trust-remote-code" in told
    assert consented.returncode == 0, consented.stderr
    assert marker.exists()
    written = (tmp_path / "trained/training.toml").read_text()
    assert str(hostile) in written or role == "spar"
    kept = (path for path in (tmp_path / "trained").rglob("*") if path.is_file())
    assert not any(b"trust_remote_code" in path.read_bytes() for path in kept)


def test_a_name_on_the_command_line_gives_no_consent(lsr, hostile, corpus, marker):
    for option in ("trust_remote_code=yes", "document.trust_remote_code=yes"):
        for switch in ((), ("--trust-remote-code",)):
            name = f"splade:{hostile},{option}"
            told = lsr("index", corpus, "--into", "made", "--encoder", name, *switch)
            assert refused(told)
            assert told.returncode == 2
    assert not marker.exists()


@pytest.mark.parametrize("listed", ["yes", "1", "TRUE", "*", "./model", "a/b,../model"])
def test_the_environment_lists_names_and_nothing_else(lsr, corpus, monkeypatch, listed):
    monkeypatch.setenv(VARIABLE, listed)
    told = lsr("index", corpus, "--into", "made", "--encoder", "bm25")
    assert (told.returncode, VARIABLE in sentence(told)) == (2, True)


def test_the_environment_is_read_as_exact_names(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert TrustedCode.of_invocation() == NO_CODE
    (tmp_path / "model").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "model")
    monkeypatch.setenv(VARIABLE, f" owner/model ,,{tmp_path}/link/")
    trusted = TrustedCode.of_invocation()
    assert trusted.names == {"owner/model", str((tmp_path / "model").resolve())}
    assert not trusted.allows("owner/Model")
    assert not trusted.allows("owner/model/inside")


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ("bm25", "bm25"),
        ("m,trust_remote_code=yes", "m"),
        ("m,logs=2,query.trust_remote_code=yes,top_k=3", "m,logs=2,top_k=3"),
        ("trust_remote_code=yes", "trust_remote_code=yes"),
    ],
)
def test_stored_names_are_read_without_consent(stored, read):
    assert without_consent(stored) == read


def test_nothing_that_is_stored_holds_the_consent(lsr, snapshot, hostile, corpus, tmp_path):
    lsr("restore", snapshot, "restored")
    lsr("encode", corpus, "--encoder", hostile, "--out", "v.safetensors", "--trust-remote-code")
    assert b"trust_remote" not in (tmp_path / "v.safetensors").read_bytes()
    opened = Collection.open(tmp_path / "restored", trusted=TrustedCode(all=True))
    field = opened.fields[0]
    assert "trust" not in field.encoder + opened.fields.encoder(field).name
    again = ("index", corpus, "--into", "restored", "--trust-remote-code", "--json")
    assert json.loads(lsr(*again).stdout)["unchanged"] == 3
