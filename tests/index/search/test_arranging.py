"""Facets, groups, sorts and totals against plain Python over the documents in the store."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.collection.collection import Collection
from index.collection.field import Field, sparse_field
from index.collection.maintenance import MaintenanceConfig
from index.collection.metadata import metadata_values
from index.filters.dates import instant
from index.filters.json_form import parse_filter_json
from index.filters.text_form import parse_filter_text
from index.filters.tree import Kind
from index.search.arranging import count_in_collection, spelled_out
from index.search.config import Prefetch, SearchConfig
from index.search.facets import Facet
from index.search.grouping import Grouping
from index.search.pipeline import search
from index.search.query import SearchQuery
from index.search.sorting import SortKey
from lsr.corpus.documents import Document
from lsr.corpus.passages import Passage
from lsr.encoders.imported import ImportedEncoder
from lsr.errors import InputError
from lsr.vocabulary import Vocabulary
from tests.index.engines.contract import batch_of
from tests.index.filters.plain_filters import INSTANTS, filters, passes, scalars
from tests.strategies import VOCABULARY, sparse_vectors, weights

TERMS = Vocabulary.from_tokens([f"t{n}" for n in range(VOCABULARY)])
FIELDS = [
    sparse_field("sparse", ImportedEncoder(TERMS)),
    Field("dense", "dense", "none", "none", 2),
]
QUIET = MaintenanceConfig(flush_documents=10**9)
KEYS = ["a", "b", "a.b", "nowhere"]
few = st.sampled_from([1, 2.0, True, "x", "2020-01-02", "2020-01-02T01:00+02:00"])
nasty = scalars | st.sampled_from(list(INSTANTS)) | st.fixed_dictionaries({"b": few}) | st.none()
values = st.integers(0, 9).flatmap(
    lambda n: few if n < 6 else st.lists(few, max_size=3) if n < 8 else nasty
)
metadata = st.fixed_dictionaries({"a": values}, optional={"b": values})
queries = st.dictionaries(st.integers(0, VOCABULARY - 1), weights, min_size=3, max_size=6)
dense = st.lists(st.integers(-2, 2), min_size=2, max_size=2)
rows = st.lists(st.tuples(sparse_vectors, dense), min_size=1, max_size=3)
ids = st.integers(0, 11).map(lambda n: f"d{n}")
batches = st.tuples(
    st.just("upsert"), st.dictionaries(ids, st.tuples(metadata, rows), min_size=3, max_size=8)
)
flushes = st.just(("flush", None))
writes = batches | flushes | st.tuples(st.just("delete"), st.lists(ids, max_size=3))
histories = st.tuples(batches, flushes, batches, writes, writes)
sort_keys = st.lists(
    st.builds(SortKey, st.sampled_from([*KEYS, "_score"]), st.booleans()),
    min_size=1,
    max_size=3,
    unique_by=lambda key: key.key,
)


def write(collection, batch):
    flat = [row for _, parts in batch.values() for row in parts]
    collection.upsert(
        [Document(name, "x" * 9, "", held) for name, (held, _) in batch.items()],
        {
            "sparse": batch_of([sparse for sparse, _ in flat]),
            "dense": np.array([each for _, each in flat], dtype=np.float32),
        },
        [
            [Passage(n, n + 1) for n in range(len(parts))] if len(parts) > 1 else []
            for _, parts in batch.values()
        ],
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory


def collection_of(folder, history):
    collection = Collection.create(folder.mktemp("arranged") / "c", FIELDS, QUIET, TERMS)
    for operation, argument in history:
        if operation == "upsert":
            write(collection, argument)
        elif operation == "delete":
            collection.delete(argument)
        else:
            collection.maintenance.flush()
    return collection


def held(collection):
    """The metadata of every document, in the order of writing."""
    return {name: collection.get(name).metadata for name in collection.ids()}


def under(document, key):
    """The values under a key, objects left out."""
    found = {scalar for name, scalar in metadata_values(document) if name == key}
    return {scalar for scalar in found if scalar.kind != Kind.OBJECT}


def place(scalar):
    kind, value = scalar
    if kind == Kind.STRING and (at := instant(value)) is not None:
        return 3, at
    return (4 if kind == Kind.STRING else int(kind)), value


def ranking(collection, query, using, wanted):
    """All that match, best first; what this test takes as given."""
    config = SearchConfig(limit=10_000, using=using, filter=wanted, payload=False)
    return [(hit.id, hit.score) for hit in search(collection, query, config).hits]


def plainly_sorted(found, documents, keys):
    found = sorted(found, key=lambda each: list(documents).index(each[0]))
    for key in reversed(keys):
        if key.key == "_score":
            found.sort(key=lambda each: each[1], reverse=key.descending)
            continue
        best = max if key.descending else min
        having = [each for each in found if under(documents[each[0]], key.key)]
        without = [each for each in found if not under(documents[each[0]], key.key)]
        having.sort(
            key=lambda each: best(map(place, under(documents[each[0]], key.key))),
            reverse=key.descending,
        )
        found = having + without
    return found


def plainly_grouped(found, documents, key):
    """Each group's members, groups in the order of their best ones."""
    groups = {}
    for each in found:
        for scalar in sorted(under(documents[each[0]], key)) or [None]:
            groups.setdefault(scalar, []).append(each)
    return groups


def plainly_counted(names, documents, key):
    counted = {}
    for name in names:
        for scalar in under(documents[name], key):
            counted[scalar] = counted.get(scalar, 0) + 1
    return sorted(counted.items(), key=lambda each: (-each[1], each[0]))


@settings(max_examples=25, deadline=None)
@given(
    histories,
    queries,
    st.sampled_from(["sparse", "dense"]),
    st.none() | filters,
    st.sampled_from([*KEYS, "a", "a"]),
    st.integers(1, 3),
    sort_keys,
    st.integers(0, 3),
    st.integers(1, 5),
    st.none() | st.sampled_from([0.5, 1.0, 2.5, -1.0]),
)
def test_any_history_is_arranged_as_plain_python_does(
    folder, history, asked, using, wanted, key, size, keys, offset, limit, least
):
    collection = collection_of(folder, history)
    documents = held(collection)
    query = SearchQuery(sparse=(list(asked), list(asked.values())), dense=[1.0, 0.5])
    parsed = None if wanted is None else parse_filter_json(wanted)
    found = ranking(collection, query, using, parsed)
    if least is not None:
        found = [each for each in found if each[1] >= least]
    passing = [n for n, held in documents.items() if wanted is None or passes(held, wanted)]
    plain = {
        "using": using,
        "filter": parsed,
        "min_score": least,
        "offset": offset,
        "limit": limit,
        "payload": False,
    }

    def pairs(**others):
        result = search(collection, query, SearchConfig(**plain, **others))
        return result, [(hit.id, hit.score) for hit in result.hits]

    result, hits = pairs()
    assert hits == found[offset : offset + limit]
    assert result.total.value == len(found) or result.total.relation == "gte"
    assert result.total.value <= len(found)

    result, hits = pairs(sort=tuple(keys))
    ordered = plainly_sorted(found, documents, keys)
    assert hits == ordered[offset : offset + limit]
    assert result.total == (len(found), "eq")

    for config, members in (({}, found), ({"sort": tuple(keys)}, ordered)):
        groups = list(plainly_grouped(members, documents, key).items())[offset : offset + limit]
        result, hits = pairs(group_by=Grouping(key, size), **config)
        assert hits == [each for _, group in groups for each in group[:size]]
        shown = [scalar and scalar.plain for scalar, group in groups for _ in group[:size]]
        assert [hit.group for hit in result.hits] == shown
        assert result.total == (len(found), "eq")

    facets = (Facet(key, limit), Facet(key, limit, "matching"))
    result, hits = pairs(facets=facets)
    assert hits == found[offset : offset + limit]
    assert result.total == (len(found), "eq")
    for counts, names in zip(result.facets, (passing, [name for name, _ in found]), strict=True):
        expected = plainly_counted(names, documents, key)
        assert counts.values == [(scalar.plain, count) for scalar, count in expected[:limit]]
        assert counts.distinct == len(expected)
        assert counts.documents == len(names)
        assert counts.having == sum(bool(under(documents[name], key)) for name in names)
        assert counts.exact
    alone, _ = count_in_collection(collection, SearchConfig(filter=parsed, facets=facets[:1]))
    assert alone == result.facets[:1]


@pytest.fixture(scope="module")
def collection(folder):
    """40 documents in a segment and a tail, two of them deleted."""
    batch = {
        f"d{n}": (
            {
                "lang": "en" if n % 3 else "de",
                "year": 2000 + n % 7,
                "section": str(n % 5),
                "published": f"2020-01-{n % 28 + 1:02}",
                "author": {"name": f"a{n % 4}"},
                "open": n % 2 == 0,
            },
            [({n % VOCABULARY: 1.0, 0: 0.5 + n / 100}, [n % 3, 1])],
        )
        for n in range(40)
    }
    names = list(batch)
    collection = collection_of(folder, [("upsert", {n: batch[n] for n in names[:30]})])
    collection.maintenance.flush()
    write(collection, {n: batch[n] for n in names[30:]})
    collection.delete(["d3", "d33"])
    assert len(collection.view().segments) == 2
    return collection


QUERY = SearchQuery(sparse=([0, 3], [1.0, 1.0]), dense=[1.0, 0.5])


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        ("section = '1'", []),
        ("section = 1", ["compares 'section' with the number 1, and it holds strings; write the "
         'string "1"']),
        ("year = '2001'", ['compares \'year\' with the string "2001", and it holds numbers; write '
         "the number 2001"]),
        ("year in ('x', 2001)", []),
        ("open = 'true'", ["it holds booleans; write true"]),
        ("open = 1", ["it holds booleans; compare it with one of these"]),
        ("lagn = en", ["names the key 'lagn', which no document has; did you mean 'lang'?"]),
        ("qqqqq exists", ["'qqqqq', which no document has; there are author, author.name, lang"]),
        ("author = a1", ["it holds objects; name a member, as in author.name"]),
        ("author exists and author.name = a1", []),
        ("published >= 2020", ["with the number 2020, and it holds dates; give one as in"]),
        ("published >= soon", ['with the string "soon", and it holds dates']),
        ("published >= 2020-01-05T00:00Z", []),
        ("not (section = 1) or lagn = en", ["holds strings", "no document has"]),
    ],
)  # fmt: skip
def test_what_is_odd_about_a_filter_is_said(collection, text, warnings):
    result = search(collection, QUERY, SearchConfig(using="sparse", filter=parse_filter_text(text)))
    assert len(result.warnings) == len(warnings)
    for found, wanted in zip(result.warnings, warnings, strict=True):
        assert wanted in found


def test_keys_that_no_document_has_are_said(collection):
    config = SearchConfig(
        using="sparse",
        facets=(Facet("lagn"), Facet("lang")),
        sort=(SortKey("yaer"), SortKey("_score")),
        group_by=Grouping("author"),
        payload=("title", "text", "metadata", "author", "lnag"),
    )
    assert [each.split("; ")[0] for each in search(collection, QUERY, config).warnings] == [
        "a facet names the key 'lagn', which no document has",
        "the sort names the key 'yaer', which no document has",
        "the grouping names the key 'author', which holds objects",
        "the payload names the key 'lnag', which no document has",
    ]


def test_a_key_that_only_deleted_documents_have_is_said(folder):
    made = collection_of(
        folder,
        [
            ("upsert", {"d1": ({"a": 1}, [({0: 1.0}, [1, 1])])}),
            ("upsert", {"d2": ({"b": 1}, [({0: 1.0}, [1, 1])])}),
            ("flush", None),
        ],
    )
    config = SearchConfig(using="sparse", filter=parse_filter_text("a = 1"))
    assert search(made, QUERY, config).warnings == []
    made.delete(["d1"])
    assert "'a', which no document has" in search(made, QUERY, config).warnings[0]


def test_payloads_hold_the_parts_that_are_named(collection):
    def documents(*payload):
        config = SearchConfig(using="sparse", limit=1, payload=payload)
        (hit,) = search(collection, QUERY, config).hits
        return hit.document

    (whole,) = search(collection, QUERY, SearchConfig(using="sparse", limit=1)).hits
    metadata = whole.document.metadata
    found = documents("lang", "author.name", "nowhere")
    assert (found.id, found.text) == (whole.id, "")
    assert found.metadata == {"lang": metadata["lang"], "author": metadata["author"]}
    assert documents("text", "metadata") == whole.document
    assert documents("text").metadata == {}


def test_a_fusion_is_arranged_as_far_as_it_was_fused(collection):
    fused = search(collection, QUERY, SearchConfig(using="hybrid", limit=100, payload=False))
    pairs = [(hit.id, hit.score) for hit in fused.hits]
    documents = held(collection)
    keys = (SortKey("year", descending=True), SortKey("_score", descending=True))
    config = SearchConfig(using="hybrid", limit=7, sort=keys, payload=False)
    result = search(collection, QUERY, config)
    assert [(hit.id, hit.score) for hit in result.hits] == plainly_sorted(pairs, documents, keys)[
        :7
    ]
    assert result.total == (len(pairs), "eq")
    shallow = (Prefetch("sparse", 5), Prefetch("dense", 5))
    facet = Facet("lang", over="matching")
    result = search(collection, QUERY, SearchConfig(prefetch=shallow, facets=(facet,)))
    assert result.total.relation == "gte"
    assert not result.facets[0].exact
    assert result.facets[0].documents == result.total.value


def test_a_total_is_exact_where_it_is_cheap_or_asked_for(collection):
    def total(**settings):
        return search(collection, QUERY, SearchConfig(limit=3, payload=False, **settings)).total

    assert total(using="sparse") == (3, "gte")
    assert total(using="sparse", exact_total=True) == (38, "eq")
    assert total(using="dense") == (38, "eq")
    assert total(using="sparse", offset=40) == (38, "eq")
    assert total(using="sparse", min_score=1.5) == (3, "gte")
    assert total(using="sparse", min_score=1.7) == (2, "eq")
    assert total(using="sparse", filter=parse_filter_text("lang = fr")) == (0, "eq")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Facet("", 1), "key of a facet has 0 characters"),
        (lambda: Facet("a", 0), "allowed is 1 to 10,000"),
        (lambda: Grouping("a", 0), "allowed is 1 to 100"),
        (lambda: SearchConfig(limit=1000, group_by=Grouping("a", 11)), "more than 10000"),
        (lambda: SearchConfig(min_score=float("nan")), "finite"),
        (lambda: SearchConfig(payload=["title"]), "names of parts in a tuple"),
        (lambda: SearchConfig(sort=(SortKey("a"), SortKey("a", True))), "more than once"),
        (lambda: SearchConfig(sort=tuple(SortKey(str(n)) for n in range(9))), "allowed are 8"),
        (lambda: SearchConfig(facets=(Facet("a"),) * 65), "allowed are 64"),
    ],
)
def test_bad_settings_are_refused(make, reason):
    with pytest.raises(InputError, match=reason):
        make()


def test_facets_over_matches_need_a_query(collection):
    config = SearchConfig(facets=(Facet("lang", over="matching"),))
    with pytest.raises(InputError, match="there is no query"):
        count_in_collection(collection, config)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("year", SortKey("year")),
        ("year:asc", SortKey("year")),
        ("year:desc", SortKey("year", descending=True)),
        ("_score", SortKey("_score", descending=True)),
        ("_score:asc", SortKey("_score")),
        ("a:b", SortKey("a:b")),
        ("a:b:desc", SortKey("a:b", descending=True)),
    ],
)
def test_sort_keys_have_a_text_form(text, key):
    assert SortKey.parse(text) == key


def test_settings_may_be_texts():
    given = {"sort": ["year:desc"], "facets": "lang", "group_by": "a", "payload": ["text"], "n": 1}
    assert spelled_out(given) == {
        "sort": (SortKey("year", True),),
        "facets": (Facet("lang"),),
        "group_by": Grouping("a"),
        "payload": ("text",),
        "n": 1,
    }
    made = {"facets": (Facet("a", 3),), "payload": False, "group_by": Grouping("b", 2)}
    assert spelled_out(made) == made
