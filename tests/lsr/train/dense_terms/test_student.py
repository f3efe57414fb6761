"""A student against layers run by hand, and a training that goes on against one in one go."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file

from lsr.backbones.checkpoint import Checkpoint
from lsr.encoders.dense import TransformerEncoder
from lsr.errors import InputError, LsrError, UsageError
from lsr.train.dense_terms.config import StudentConfig
from lsr.train.dense_terms.student import Lesson, Student
from lsr.vocabulary import Vocabulary

WORDS = ["apple", "banana", "cherry", "lemon", "pie", "plum", "wing"]
LAYERS = 4


@pytest.fixture(scope="module")
def dense(tmp_path_factory):
    """A BERT of four layers."""
    folder = tmp_path_factory.mktemp("models") / "deep"
    torch.manual_seed(7)
    vocabulary = Vocabulary.bert_uncased()
    config = transformers.BertConfig(
        vocab_size=vocabulary.size,
        hidden_size=16,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    transformers.BertModel(config).save_pretrained(folder)
    vocabulary.tokenizer.save(str(folder / "tokenizer.json"))
    return Checkpoint.resolve(str(folder))


@pytest.fixture(scope="module")
def lesson(dense):
    random = np.random.default_rng(8)
    texts = [" ".join(random.choice(WORDS, random.integers(1, 7))) for _ in range(60)]
    texts[3] = " "
    vectors = TransformerEncoder(dense).encode_documents(texts)
    return Lesson(texts, vectors.astype(np.float16), "digest")


def settings(**changed):
    values = {"layers": (0, 3), "steps": 12, "batch_size": 8, "learning_rate": 0.01}
    return StudentConfig(**(values | {"held_out": 0.1, "checkpoint_every": 5} | changed))


def by_hand(dense, layers, text):
    """The mean of the last of these layers' states, of length 1."""
    model = transformers.BertModel.from_pretrained(dense.folder).eval()
    ids = torch.tensor([dense.vocabulary.tokenizer.encode(text).ids])
    with torch.inference_mode():
        states = model.embeddings(ids)
        for layer in layers:
            states = model.encoder.layer[layer](states)
            states = states[0] if isinstance(states, tuple) else states
    mean = states[0].mean(dim=0).numpy()
    return mean / np.linalg.norm(mean)


def learned(dense, lesson, folder, config, seed=1):
    """What each step said, and the student's model in a folder."""
    folder.mkdir(exist_ok=True)
    student, said = Student(dense, config, seed), []
    begun = student.resume(folder / "state", lesson)
    student.learn(lesson, begun, folder / "state", lambda *step: said.append(step))
    student.export(folder / "model", {})
    return said, folder / "model"


@pytest.mark.parametrize("layers", [(0,), (0, 3), (1, 2, 3), (3,)])
def test_it_begins_as_its_layers_are(dense, lesson, tmp_path, layers):
    Student(dense, settings(layers=layers), 0).export(tmp_path / "model", {})
    made = TransformerEncoder(Checkpoint.resolve(str(tmp_path / "model")))
    found = made.encode_documents(["apple pie", "a wing of plum"])
    expected = [by_hand(dense, layers, text) for text in ("apple pie", "a wing of plum")]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_whole_model_has_nothing_to_learn(dense, lesson, tmp_path):
    config = settings(layers=tuple(range(LAYERS)), steps=1)
    said, _ = learned(dense, lesson, tmp_path / "s", config)
    assert said[0][2] == pytest.approx(0, abs=1e-5)


def test_it_comes_nearer_and_the_first_loss_is_that_of_a_loop(dense, lesson, tmp_path):
    config = settings(steps=120, batch_size=100, held_out=0.0)
    said, folder = learned(dense, lesson, tmp_path / "s", config)
    own = [by_hand(dense, (0, 3), text) for text in lesson.texts if text.strip()]
    wanted = [row for row in lesson.vectors.astype(np.float64) if row.any()]
    cosines = [a @ b / np.linalg.norm(b) for a, b in zip(own, wanted, strict=True)]
    assert said[0][2] == pytest.approx(1 - np.mean(cosines), abs=1e-4)
    assert said[-1][2] < 0.5 * said[0][2]
    made = TransformerEncoder(Checkpoint.resolve(str(folder))).encode_documents(lesson.texts)
    after = (made * lesson.vectors).sum(axis=1)[[bool(text.strip()) for text in lesson.texts]]
    assert after.mean() > np.mean(cosines)
    assert not made[3].any()


def test_held_out_documents_are_measured_at_the_end(dense, lesson, tmp_path):
    said, folder = learned(dense, lesson, tmp_path / "s", settings())
    assert [step for step, *_ in said] == list(range(1, 13))
    assert [each[-1] for each in said[:-1]] == [None] * 11
    assert 0 < said[-1][-1] < 1
    none, _ = learned(dense, lesson, tmp_path / "n", settings(held_out=0.0))
    assert none[-1][-1] is None
    assert json.loads((folder / "config.json").read_text())["num_hidden_layers"] == 2


@pytest.mark.parametrize("words", [False, True])
def test_embeddings_of_words_are_trained_where_that_is_asked(dense, lesson, tmp_path, words):
    _, folder = learned(dense, lesson, tmp_path / "s", settings(words=words))
    name = "embeddings.word_embeddings.weight"
    before, after = (load_file(at / "model.safetensors") for at in (dense.folder, folder))
    assert np.array_equal(before[name], after[name]) is not words
    kept = "encoder.layer.3.output.dense.weight"
    assert not np.array_equal(before[kept], after[kept.replace("3", "1")])


def test_a_training_that_goes_on_is_that_in_one_go(dense, lesson, tmp_path, monkeypatch):
    whole, first = learned(dense, lesson, tmp_path / "whole", settings(words=True))

    class Killed(Exception):
        pass

    def stop(step, *_):
        if step == 8:
            raise Killed

    (tmp_path / "cut").mkdir()
    student = Student(dense, settings(words=True), 1)
    with pytest.raises(Killed):
        student.learn(lesson, 0, tmp_path / "cut/state", stop)
    rest, second = learned(dense, lesson, tmp_path / "cut", settings(words=True))
    assert rest == whole[5:]
    one, other = (load_file(folder / "model.safetensors") for folder in (first, second))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    # What is done is not done again.
    assert learned(dense, lesson, tmp_path / "cut", settings(words=True))[0] == []
    with pytest.raises(UsageError, match=r"was saved with steps=12, but steps=13 is asked for"):
        learned(dense, lesson, tmp_path / "cut", settings(words=True, steps=13))


def test_seeds_decide_the_order(dense, lesson, tmp_path):
    one, again, other = (
        learned(dense, lesson, tmp_path / name, settings(), seed)[0]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one == again != other


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"layers": (0, 4)}, "layers names 4, and the model has the layers 0 to 3"),
        ({"layers": ()}, r"layers is \[\]; allowed are one or more numbers"),
        ({"layers": (1, 1)}, r"layers is \[1, 1\]; allowed are"),
        ({"layers": (2, 0)}, r"layers is \[2, 0\]"),
        ({"layers": (-1, 0)}, r"layers is \[-1, 0\]"),
        ({"precision": "float16"}, "precision"),
        ({"max_length": 2}, "max_length"),
        ({"held_out": 1.0}, "held_out"),
    ],
)
def test_settings_that_fit_no_student_are_refused(dense, changed, complaint):
    with pytest.raises((InputError, UsageError), match=complaint):
        Student(dense, settings(**changed), 0)


def test_a_model_that_is_pooled_otherwise_is_refused(dense, tmp_path):
    folder = tmp_path / "lasting"
    folder.mkdir()
    for path in dense.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode": "lasttoken"}')
    with pytest.raises(InputError, match="a student is of a model that is pooled by 'mean' or"):
        Student(Checkpoint.resolve(str(folder)), settings(), 0)


def test_a_loss_that_is_no_number_ends_it(dense, lesson, tmp_path):
    config = settings(learning_rate=1e6, max_norm=0.0, warm_up=0.0, steps=40)
    with pytest.raises(LsrError, match=r"the loss of step \d+ is nan; lower learning_rate"):
        learned(dense, lesson, tmp_path / "s", config)


def test_documents_without_a_vector_are_not_enough(dense, tmp_path):
    empty = Lesson(["", " "], np.zeros((2, 16), np.float16), "digest")
    with pytest.raises(InputError, match="no document has a vector; give other sources"):
        learned(dense, empty, tmp_path / "s", settings())
