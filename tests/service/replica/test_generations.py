"""The processes of a replica: what is read once for all workers, and what its disk damages."""

import contextlib
import os
import signal
import sys

import httpx
import pytest

from index.collection import segment
from index.snapshots.address import snapshot_store
from lsr.trusted_code import NO_CODE
from service.api.indexes import Indexes
from service.replica.copies import Copies
from service.replica.follower import Follower
from service.replica.generations import is_preloaded
from tests.service.replica.test_replica import BODY, QUICK, SEARCH, ready, wait_until
from tests.service.serving import serving
from tests.service.test_cluster import children

pytestmark = pytest.mark.long


@pytest.fixture
def copies(publisher, tmp_path):
    copies = Copies(tmp_path / "copies")
    for _ in range(2):
        publisher.publish()
        assert Follower(snapshot_store(publisher.address), copies, NO_CODE).look()
    return copies


def test_a_worker_does_not_read_again_what_the_process_before_it_has_read(copies, monkeypatch):
    copy = copies.newest()["docs"]
    assert is_preloaded(copy)
    monkeypatch.setattr(segment, "read_segment", None)
    served = Indexes([copy.path])
    with served["docs"].pinned() as view:
        assert len(view.segments) == 1
    served.close()


def test_a_copy_that_is_damaged_on_the_disk_is_none_and_is_made_again(publisher, copies, caplog):
    copy = copies.newest()["docs"]
    (file,) = (copy.path / "segments").iterdir()
    content = bytearray(file.read_bytes())
    content[-1] ^= 0xFF
    file.write_bytes(content)
    assert not is_preloaded(copy)
    assert "a copy is damaged, and made again" in caplog.text
    copies.delete(copy)
    # The one before is there until it is made again.
    assert copies.newest()["docs"].snapshot.order < copy.snapshot.order
    assert Follower(snapshot_store(publisher.address), copies, NO_CODE).look()
    again = copies.newest()["docs"]
    assert again.snapshot == copy.snapshot
    assert is_preloaded(again)


def leaders(server):
    """Of the processes of a replica, those that lead two workers."""
    return [each for each in children(server.process.pid) if len(children(each)) == 2]


def hits(client):
    """What is found; None where a connection is to a worker that is ending."""
    with contextlib.suppress(httpx.TransportError):
        return client.post(SEARCH, json=BODY).json()["hits"]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_and_what_leads_them_are_replaced(publisher, tmp_path):
    publisher.publish()
    arguments = ["copies", "--follow", "published", "--workers", "2"]
    with serving(tmp_path, *arguments, **QUICK) as (client, server):
        wait_until(lambda: ready(client))
        # The workers that had nothing to answer from have gone.
        wait_until(lambda: len(leaders(server)) == 1)
        (leader,) = leaders(server)
        workers = children(leader)
        served = client.post(SEARCH, json=BODY).json()
        assert len(served["hits"]) == publisher.documents
        for killed in (workers[0], leader):
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: hits(client) == served["hits"])
