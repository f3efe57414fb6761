"""Names, options and fingerprints of encoders."""

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lsr.encoders.catalogue import EncoderName, load_encoder
from lsr.encoders.dense import DenseEncoder
from lsr.encoders.encoder import short_name
from lsr.encoders.packaged import DEFAULT_ENCODER
from lsr.errors import InputError, LsrError, NotFoundError, UsageError

KINDS = [
    "bm25",
    "bm25,k1=1.25",
    "bm25,stopwords=none,b=0.75,k1=2",
    "bm25:{model}",
    "{model}",
    "splade:{model},max_length=64",
    "{model},logs=2,max_length=512",
    "{table}",
    "splade:{table}",
    "inference-free:{table},idf=collection",
    "inference-free:{model}",
]


@pytest.fixture(scope="module")
def with_table(tmp_path_factory, masked_lm):
    folder = shutil.copytree(masked_lm, tmp_path_factory.mktemp("table") / "model")
    (folder / "idf.json").write_text('{"wing": 2.0}')
    return folder


def fingerprint(kind, model, table=None):
    return load_encoder(kind.format(model=model, table=table)).fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoders_name_loads_it_again(kind, masked_lm, with_table):
    encoder = load_encoder(kind.format(model=masked_lm, table=with_table))
    again = load_encoder(encoder.name)
    assert (again.name, again.fingerprint) == (encoder.name, encoder.fingerprint)


def test_fingerprints_are_equal_exactly_where_the_vectors_are(masked_lm, with_table):
    groups = [
        ["bm25", "bm25,analyzer=english", "bm25,k1=0.9"],
        ["bm25,analyzer=wordpiece", "bm25:{model}", "bm25:{model},analyzer=wordpiece"],
        ["bm25,analyzer=german"],
        ["{model},words=yes", "{model},words=yes,analyzer=auto"],
        ["{model},words=yes,words_weight=2"],
        ["lsr-tiny-v1", "lsr-tiny-v1,words=yes"],
        ["lsr-tiny-v1,words=no"],
        ["{model}", "splade:{table}", "{model},logs=1"],
        ["inference-free:{model}", "inference-free:{table},idf=collection"],
        ["{table}", "inference-free:{table},idf=checkpoint"],
        ["{table},max_length=64"],
        ["{model},max_length=64"],
        ["{model},logs=2"],
        ["bm25,k1=1.2"],
        ["bm25,stopwords=none"],
    ]
    prints = [{fingerprint(kind, masked_lm, with_table) for kind in group} for group in groups]
    assert [len(group) for group in prints] == [1] * len(groups)
    assert len(set().union(*prints)) == len(groups)


def test_a_relative_name_becomes_absolute(masked_lm, monkeypatch):
    monkeypatch.chdir(masked_lm.parent)
    assert load_encoder("./masked-lm").name == f"splade:{masked_lm}"


@pytest.mark.parametrize("kind", ["splade:{model}", "inference-free:{model}", "bm25:{model}"])
def test_fingerprint_does_not_depend_on_the_place(kind, masked_lm, tmp_path):
    moved = shutil.copytree(masked_lm, tmp_path / "elsewhere")
    assert fingerprint(kind, moved) == fingerprint(kind, masked_lm)


@pytest.mark.parametrize("kind", ["splade:{model}", "inference-free:{model}"])
def test_fingerprint_follows_the_weights(kind, masked_lm, tmp_path):
    changed = shutil.copytree(masked_lm, tmp_path / "changed")
    weights = load_file(changed / "model.safetensors")
    next(iter(weights.values())).view(-1)[0] += 1
    save_file(weights, changed / "model.safetensors", metadata={"format": "pt"})
    assert fingerprint(kind, changed) != fingerprint(kind, masked_lm)


@pytest.mark.parametrize("kind", ["splade:{model}", "inference-free:{model}", "bm25:{model}"])
def test_fingerprint_follows_the_vocabulary(kind, masked_lm, tmp_path):
    changed = shutil.copytree(masked_lm, tmp_path / "changed")
    path = changed / "tokenizer.json"
    path.write_text(path.read_text().replace('"retrieval"', '"retrieva1"'))
    assert fingerprint(kind, changed) != fingerprint(kind, masked_lm)


def test_fingerprint_follows_the_architecture(masked_lm, tmp_path):
    changed = shutil.copytree(masked_lm, tmp_path / "changed")
    settings = json.loads((changed / "config.json").read_text())
    settings["hidden_act"] = "relu"
    (changed / "config.json").write_text(json.dumps(settings))
    assert fingerprint("{model}", changed) != fingerprint("{model}", masked_lm)


def test_fingerprint_does_not_follow_who_saved_the_checkpoint(masked_lm, tmp_path):
    changed = shutil.copytree(masked_lm, tmp_path / "changed")
    settings = json.loads((changed / "config.json").read_text())
    settings |= {"transformers_version": "9.9", "_name_or_path": "elsewhere"}
    (changed / "config.json").write_text(json.dumps(settings))
    assert fingerprint("{model}", changed) == fingerprint("{model}", masked_lm)


def test_fingerprint_follows_the_table(with_table, tmp_path):
    changed = shutil.copytree(with_table, tmp_path / "changed")
    (changed / "idf.json").write_text('{"wing": 2.5}')
    assert fingerprint("{model}", changed) != fingerprint("{model}", with_table)
    assert fingerprint("splade:{model}", changed) == fingerprint("splade:{model}", with_table)


def test_fingerprint_follows_the_logs_that_count(masked_lm, tmp_path):
    two = shutil.copytree(masked_lm, tmp_path / "two")
    (two / "1_SpladePooling").mkdir()
    pooling = json.dumps({"pooling_strategy": "max", "activation_function": "log1p_relu"})
    (two / "1_SpladePooling/config.json").write_text(pooling)
    assert fingerprint("{model}", two) != fingerprint("{model}", masked_lm)
    assert fingerprint("{model}", two) == fingerprint("{model},logs=2", two)
    assert fingerprint("{model},logs=1", two) == fingerprint("{model},logs=1", masked_lm)


@pytest.mark.parametrize(
    ("name", "family", "model", "options"),
    [
        ("bm25", "bm25", "", {}),
        (" bm25,k1=1.2 ", "bm25", "", {"k1": "1.2"}),
        ("naver/splade-v3", None, "naver/splade-v3", {}),
        ("splade:./a,max_length=5", "splade", "./a", {"max_length": "5"}),
        ("inference-free:a/b,idf=collection", "inference-free", "a/b", {"idf": "collection"}),
        ("./a:b", None, "./a:b", {}),
        ("a,b==c", None, "a", {"b": "=c"}),
    ],
)
def test_names_are_split(name, family, model, options):
    assert EncoderName.parse(name) == EncoderName(family, model, options)


@pytest.mark.parametrize(
    "name", ["", " ", ",k1=1", "bm25,", "bm25,k1", "bm25,k1=", "bm25,=1", "bm25,b=1,b=0"]
)
def test_malformed_names_are_refused_with_an_example(name):
    with pytest.raises(UsageError, match=r"write NAME or NAME,key=value, for example bm25"):
        load_encoder(name)


@pytest.mark.parametrize("name", ["splade", "splade:", "inference-free,idf=collection"])
def test_a_family_without_a_model_is_refused(name):
    with pytest.raises(UsageError, match=r"names no model; write (splade|inference-free):MODEL"):
        load_encoder(name)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("bm25,k2=1", "'k2' is not an option of this encoder; allowed are k1, b, stopwords"),
        ("{model},k1=1", "'k1' is not an option of this encoder; allowed are max_length, logs"),
        ("bm25,k1=fast", "k1=fast is not a valid number"),
        ("{model},max_length=12.5", "max_length=12.5 is not a valid number"),
        ("bm25,b=2", "b is 2.0; allowed is 0 to 1"),
    ],
)
def test_wrong_options_are_refused_by_name(options, complaint, masked_lm):
    with pytest.raises(UsageError) as caught:
        load_encoder(options.format(model=masked_lm))
    assert complaint in str(caught.value)


@pytest.mark.parametrize("name", ["./nothing-here", "/nothing/here", "~/nothing", "~nobody-here/a"])
def test_missing_folders_are_named(name):
    with pytest.raises(NotFoundError) as caught:
        load_encoder(name)
    assert f"the model folder '{name}' does not exist; give an existing folder" in str(caught.value)


@pytest.mark.parametrize("family", ["", "splade:", "bm25:", "splade-v3:"])
def test_commas_in_a_path_are_its_own(family, masked_lm, tmp_path):
    folder = shutil.copytree(masked_lm, tmp_path / "x,y=1,/a,b" / "model,k=2")
    plain = load_encoder(f"{family}{masked_lm}")
    for options in ("", ",stopwords=none" if family == "bm25:" else ",max_length=32"):
        found = load_encoder(f"{family}{folder}{options}")
        assert (found.fingerprint == plain.fingerprint) == (not options)
        assert load_encoder(found.name).fingerprint == found.fingerprint
        assert load_encoder(found.name).name == found.name
        assert short_name(found.name).endswith(f"model,k=2{options}")


def test_commas_in_the_path_of_an_option_are_its_own(masked_lm, tmp_path):
    folder = shutil.copytree(masked_lm, tmp_path / "x,y" / "model")
    found = load_encoder(f"splade:{masked_lm},query.checkpoint={folder},max_length=32")
    assert found.name == f"splade:{masked_lm},max_length=32,query.checkpoint={folder}"
    assert load_encoder(found.name).fingerprint == found.fingerprint


def test_commas_in_the_paths_of_dense_encoders(dense_model, tmp_path):
    folder = shutil.copytree(dense_model, tmp_path / "x,y" / "model")
    plain = DenseEncoder.load(f"{dense_model}+{dense_model},weight=0.5")
    found = DenseEncoder.load(f"{folder}+{folder},weight=0.5")
    assert found.fingerprint == plain.fingerprint
    assert DenseEncoder.load(found.name).name == found.name
    short = DenseEncoder.load(f"{folder},max_length=9")
    assert DenseEncoder.load(short.name).fingerprint == short.fingerprint


def test_a_folder_comes_before_a_published_model_of_its_name(
    masked_lm, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    for name in ("splade-tiny", "lsr-tiny-v1", "bm25", "all-MiniLM-L6-v2"):
        shutil.copytree(masked_lm, tmp_path / name)
    found = load_encoder("splade-tiny,max_length=32")
    assert found.name == f"splade:{tmp_path / 'splade-tiny'},max_length=32"
    assert "splade-tiny is read as the folder ./splade-tiny, not as the published" in caplog.text
    handled = load_encoder("splade-tiny:./splade-tiny")
    assert handled.name == f"splade-tiny:{tmp_path / 'splade-tiny'}"
    # What the package has itself is stored under its name alone.
    for name in ("lsr-tiny-v1", "bm25"):
        caplog.clear()
        assert load_encoder(name).name == name
        assert f"{name} is the encoder of that name; for the folder" in caplog.text
    dense = DenseEncoder.load("all-MiniLM-L6-v2")
    assert dense.name == str(tmp_path / "all-MiniLM-L6-v2")


def test_an_unknown_hub_id_offline_says_what_to_give():
    with pytest.raises(NotFoundError) as caught:
        load_encoder("no-such-owner/no-such-model")
    assert str(caught.value).startswith("'no-such-owner/no-such-model' is not a built-in encoder")
    assert "give 'bm25', a model folder, or a hub id" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no config\.json"):
        load_encoder(str(tmp_path))


def test_a_name_too_long_for_a_file_names_no_folder():
    with pytest.raises(NotFoundError, match="does not exist"):
        load_encoder("𝒑" * 80 + "/")


@settings(max_examples=60)
@given(st.text(max_size=20) | st.from_regex(r"(bm25|splade|inference-free)?[:,=.\w~/-]{0,15}"))
def test_any_name_gives_an_encoder_or_an_explained_error(name):
    try:
        encoder = load_encoder(name)
    except LsrError:
        return
    assert load_encoder(encoder.name).fingerprint == encoder.fingerprint


def test_statistics_belong_to_encoders_that_store_counts(masked_lm):
    encoder = load_encoder(str(masked_lm))
    stored = encoder.encode_documents(["wing"])
    assert encoder.impacts(stored, None) is stored
    with pytest.raises(UsageError, match="stores weights, which have no statistics"):
        encoder.statistics(stored)


def test_damaged_weights_are_refused(masked_lm, tmp_path):
    folder = shutil.copytree(masked_lm, tmp_path / "model")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match="can't be loaded as AutoModelForMaskedLM"):
        load_encoder(str(folder)).encode_documents(["wing"])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bm25,k1=1.2", "bm25,k1=1.2"),
        ("splade:/models/tiny", "splade:tiny"),
        ("splade:/models/tiny,logs=2", "splade:tiny,logs=2"),
        ("splade:naver/splade-v3", "splade:naver/splade-v3"),
        ("/models/all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("/models/minilm+/models/lambda,weight=0.5", "minilm+lambda,weight=0.5"),
        ("owner/minilm+/models/lambda,weight=0.5", "owner/minilm+lambda,weight=0.5"),
        ("/models/minilm+owner/lambda,weight=0.5", "minilm+owner/lambda,weight=0.5"),
    ],
)
def test_short_names_leave_out_the_folder(name, shown):
    assert short_name(name) == shown


def test_a_packaged_model_of_another_version_is_named():
    stem = DEFAULT_ENCODER.rstrip("0123456789")
    with pytest.raises(NotFoundError, match=f"came with another version of lsr.*{DEFAULT_ENCODER}"):
        load_encoder(f"{stem}999")


def test_an_encoder_says_whether_queries_need_a_model(masked_lm):
    free = {
        "bm25": True,
        "lsr-tiny-v1": True,
        "lsr-tiny-v1,words=no": True,
        f"inference-free:{masked_lm},idf=collection": True,
        f"splade:{masked_lm}": False,
        f"pair:{masked_lm},query=binary": True,
    }
    assert {name: load_encoder(name).inference_free for name in free} == free
