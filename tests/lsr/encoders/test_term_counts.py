"""Statistics of texts that are not kept are those of stored counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders import term_counts
from lsr.encoders.bm25 import Bm25Config, Bm25Encoder
from lsr.encoders.term_counts import term_statistics
from tests.strategies import texts

modest = settings(max_examples=60)


@modest
@given(st.lists(texts, max_size=7))
def test_texts_that_are_not_kept_have_the_same_statistics(documents):
    encoder = Bm25Encoder(Bm25Config(analyzer="wordpiece"))
    wanted = encoder.statistics(encoder.encode_documents(documents))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_counts, "COUNTED", 3)
        found = term_statistics(encoder.vocabulary, documents)
    assert found.documents == wanted.documents
    assert found.average_length == pytest.approx(wanted.average_length, rel=1e-12)
    np.testing.assert_array_equal(found.document_frequency, wanted.document_frequency)
