"""The demo collection: documents from a standard library, and judgements that fit them."""

import pytest

from eval.datasets import load_dataset
from eval.demo import MAX_SIGNATURE, demo_qrels, stdlib_documents


@pytest.fixture(scope="module")
def documents():
    return [item.document for item in load_dataset("demo").corpus()]


def test_ids_are_unique_and_in_order(documents):
    ids = [document.id for document in documents]
    assert ids == sorted(set(ids))


def test_every_document_has_a_text_and_its_place(documents):
    for document in documents:
        assert document.text.strip()
        assert document.title.startswith(document.id)
        assert set(document.metadata) == {"kind", "module", "line"}
        assert len(document.title) <= len(document.id) + MAX_SIGNATURE + len("(, ...)")


def test_judged_documents_exist(documents):
    ids = {document.id for document in documents}
    judged = {document for found in demo_qrels().values() for document in found}
    assert judged - ids == set()


def test_every_query_is_judged_and_has_an_answer():
    queries, qrels = load_dataset("demo").queries, load_dataset("demo").qrels
    assert [query.id for query in queries] == list(dict.fromkeys(query.id for query in queries))
    assert {query.id for query in queries} == set(qrels)
    assert all(2 in found.values() and set(found.values()) <= {1, 2} for found in qrels.values())
    assert all(query.text.strip() for query in queries)


LIBRARY = {
    "plain.py": '''
"""A module."""
def public(a, /, b=1, *, c: int = 2):
    """A function."""
def undocumented(): pass
def _private():
    """Hidden."""
if True:
    class Thing(_Base):
        """A class."""
        def method(self, x):
            """A method."""
        @staticmethod
        def static(x):
            """A static method."""
        @property
        def size(self):
            """A property."""
def public():
    """A second definition of one name."""
class _Base:
    """Hidden."""
    def inherited(self):
        """From a private base."""
''',
    "package/__init__.py": '"""A package."""\nfrom .inner import offered\n__all__ = ["offered"]\n',
    "package/inner.py": (
        '"""Inside."""\ndef offered():\n    """Offered."""\ndef kept():\n    """Kept."""\n'
    ),
    "posixpath.py": '"""Paths."""\ndef join(a, *p):\n    """Join."""\n',
    "broken.py": "def (:\n",
    "latin.py": b'"""caf\xe9"""\n',
    "test/test_a.py": '"""A test."""\n',
    "site-packages/third.py": '"""Third party."""\n',
}


def test_documents_are_named_as_users_write_them(tmp_path):
    for name, source in LIBRARY.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
    found = {d.title: (d.id, d.text, d.metadata["kind"]) for d in stdlib_documents(tmp_path)}
    assert found == {
        "os.path": ("os.path", "Paths.", "module"),
        "os.path.join(a, *p)": ("os.path.join", "Join.", "function"),
        "package": ("package", "A package.", "module"),
        "package.inner": ("package.inner", "Inside.", "module"),
        "package.inner.kept()": ("package.inner.kept", "Kept.", "function"),
        "package.offered()": ("package.offered", "Offered.", "function"),
        "plain": ("plain", "A module.", "module"),
        "plain.Thing": ("plain.Thing", "A class.", "class"),
        "plain.Thing.inherited()": ("plain.Thing.inherited", "From a private base.", "method"),
        "plain.Thing.method(x)": ("plain.Thing.method", "A method.", "method"),
        "plain.Thing.size": ("plain.Thing.size", "A property.", "method"),
        "plain.Thing.static(x)": ("plain.Thing.static", "A static method.", "method"),
        "plain.public(a, /, b=1, *, c: int=2)": ("plain.public", "A function.", "function"),
    }
