import time

import pytest

from index.collection.collection import Collection
from index.collection.field import encoder_fields
from index.indexing import upsert_documents
from index.snapshots import publishing
from index.snapshots.address import snapshot_store
from index.snapshots.publishing import publish
from lsr.corpus.documents import Document


class Publisher:
    """A collection of states: each replaces every document of the one before by its own."""

    def __init__(self, folder, name="docs", documents=20):
        self.address, self.name, self.documents = str(folder / "published"), name, documents
        self.collection = Collection.create(folder / f"source-{name}", encoder_fields("bm25"))
        self.folder = folder / "published" / name
        self.number = 0
        self.states = {}

    def write(self):
        self.number += 1
        text = f"common words of every state, number {self.number}"
        documents = [
            Document(f"d{place}", text, metadata={"state": self.number})
            for place in range(self.documents)
        ]
        upsert_documents(self.collection, documents)
        self.collection.maintenance.flush()
        return self.number

    def publish(self, keep=None):
        """Write the next state and publish it; the name of its snapshot."""
        self.write()
        return self.again(keep)

    def again(self, keep=None, address=None):
        store = snapshot_store(address or self.address)
        done = publish(self.collection, store, self.name, keep)
        self.states[done.name] = self.number
        return done.name

    def aside(self):
        """Write the next state, and a snapshot of it where nobody looks: its path."""
        self.write()
        folder = self.folder.parent.parent / "aside"
        return folder / self.name / self.again(address=str(folder))


@pytest.fixture(autouse=True)
def names_of_different_seconds(monkeypatch):
    """Each snapshot is named as if it were taken a second after the one before."""
    now = [time.time()]

    def later(form):
        now[0] = max(now[0] + 1, time.time() + 1)
        return time.strftime(form, time.gmtime(now[0]))

    monkeypatch.setattr(publishing, "_now", later)


@pytest.fixture
def publisher(tmp_path):
    made = Publisher(tmp_path)
    yield made
    made.collection.close()
