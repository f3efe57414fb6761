"""Hypothesis strategies for sparse vectors and nasty texts."""

from hypothesis import strategies as st

VOCABULARY = 12
# Few distinct weights, so that ties are common; some that float16 rounds, one that it cuts to 0.
weights = st.sampled_from([0.5, 1.0, 1.5, 0.1, 2.7182817, 1e-8, 300.25])
sparse_vectors = st.dictionaries(st.integers(0, VOCABULARY - 1), weights, max_size=VOCABULARY)
queries = st.dictionaries(st.integers(0, VOCABULARY + 3), weights, max_size=VOCABULARY)
texts = st.one_of(
    st.just(""),
    st.just("  \n\t"),
    st.text(max_size=200),
    st.sampled_from(
        [
            "naïve café \u0301 ÅNGSTRÖM",
            "中文字符 and English",
            "\u0000 \ufeff \u202e control",
            "👩‍👩‍👧‍👦 family",
            "a" * 500,
            "[CLS] [SEP] [MASK] [PAD] [UNK]",
            "word " * 600,
            "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 ﬁ ﬂ ½",
        ]
    ),
)
