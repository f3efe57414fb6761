"""A document changed in part is the document that a whole write would have made."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.patching import Patch, merged, patch_document
from lsr.corpus.documents import Document
from lsr.errors import InputError, NotFoundError
from lsr.sparse import SparseBatch

DOCUMENT = Document("a", "apple banana", "Fruit", {"year": 1999, "by": {"name": "Ann", "age": 5}})


@pytest.fixture
def collection(tmp_path, masked_lm, dense_model):
    fields = encoder_fields(str(masked_lm), str(dense_model), bm25=True)
    made = Collection.create(tmp_path / "c", fields)
    upsert_documents(made, [Document("z", "cherry"), DOCUMENT])
    yield made
    made.close()


def rows(collection, identifier):
    number = collection.store.sequences([identifier])[identifier]
    found = {}
    for field in collection.fields:
        if field.kind == "dense":
            found[field.name] = collection.store.vectors.dense(field, number - 1, number)
        else:
            found[field.name] = collection.store.vectors.sparse(field, number - 1, number)
    return found


def same(one, other):
    if isinstance(one, SparseBatch):
        (left,), (right,) = one, other
        return np.array_equal(left.indices, right.indices) and np.array_equal(
            left.values, right.values
        )
    return np.array_equal(one, other)


def encoded(collection):
    encoders = [
        collection.fields.encoder(field) for field in collection.fields if field.kind == "sparse"
    ]
    return sum(encoder.tokens_encoded for encoder in encoders)


def test_metadata_alone_costs_no_encoding(collection):
    before, tokens = rows(collection, "a"), encoded(collection)
    outcome = patch_document(collection, "a", Patch(metadata={"year": 2020, "by": {"age": None}}))
    assert outcome.status == "updated"
    assert encoded(collection) == tokens
    held = collection.get("a")
    assert held == Document(
        "a", DOCUMENT.text, DOCUMENT.title, {"year": 2020, "by": {"name": "Ann"}}
    )
    after = rows(collection, "a")
    assert all(same(before[name], after[name]) for name in before)
    assert collection.ids() == ["z", "a"]


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (Patch(text="cherry"), Document("a", "cherry", "Fruit", DOCUMENT.metadata)),
        (Patch(title=""), Document("a", "apple banana", "", DOCUMENT.metadata)),
        (Patch("T", "t", {"by": None}), Document("a", "t", "T", {"year": 1999})),
    ],
)
def test_another_text_is_encoded_as_a_whole_write_does(tmp_path, collection, patch, expected):
    assert patch_document(collection, "a", patch).status == "updated"
    assert collection.get("a") == expected
    patched = rows(collection, "a")
    collection.delete(["a"])
    upsert_documents(collection, [expected])
    whole = rows(collection, "a")
    assert all(same(patched[name], whole[name]) for name in whole)


def test_a_patch_that_changes_nothing_writes_nothing(collection):
    revision = collection.store.revision()
    assert patch_document(collection, "a", Patch(metadata={"year": 1999})).status == "unchanged"
    assert collection.store.revision() == revision


def test_what_would_be_no_document_is_refused(collection):
    with pytest.raises(NotFoundError, match="no document 'b'"):
        patch_document(collection, "b", Patch(text="x"))
    with pytest.raises(InputError, match="surrogate"):
        patch_document(collection, "a", Patch(metadata={"x": "\ud800"}))
    assert collection.get("a") == DOCUMENT


# The examples of RFC 7396, appendix A, whose target and patch are objects.
RFC = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), RFC)
def test_merging_is_that_of_the_rfc(target, patch, result):
    assert merged(target, patch) == result


OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from("ab"), st.none() | st.integers(0, 2)),
    lambda inner: st.dictionaries(st.sampled_from("ab"), inner | st.integers(0, 2)),
    max_leaves=6,
)


@given(OBJECTS, OBJECTS)
def test_a_patch_applied_twice_is_a_patch_applied_once(target, patch):
    assert merged(merged(target, patch), patch) == merged(target, patch)
