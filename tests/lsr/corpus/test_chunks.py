"""Chunks begin at fixed places, and hold each id once."""

from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.chunks import distinct_chunks
from lsr.corpus.documents import Document
from lsr.corpus.items import Item

sources = st.lists(st.one_of(st.none(), st.sampled_from("abcdefg")), max_size=30)


@given(sources, st.integers(1, 9))
def test_chunks_against_a_plain_loop(ids, size):
    items = [
        Item("m", n, None if i is None else Document(i, str(n)), "broken")
        for n, i in enumerate(ids, start=1)
    ]
    said = []
    chunks = list(distinct_chunks(items, said.append, size))
    expected, first, sentences = [], {}, []
    for start in range(0, len(items), size):
        part = items[start : start + size]
        kept = []
        for item in part:
            if item.document is None:
                sentences.append(f"m:{item.line}: broken")
            elif item.document.id in first:
                identifier = item.document.id
                sentences.append(
                    f"m:{item.line}: the id {identifier!r} was given before, at "
                    f"m:{first[identifier]}; the first is kept"
                )
            else:
                first[item.document.id] = item.line
                kept.append(item)
        expected.append((kept, len(part) - len(kept)))
    assert [tuple(chunk) for chunk in chunks] == expected
    assert said == sentences
    assert [chunk.documents for chunk in chunks] == [
        [item.document for item in kept] for kept, _ in expected
    ]
