import uuid

import pytest

from index.snapshots.address import snapshot_store


@pytest.fixture(params=["folder", "file", "memory"])
def address(request, tmp_path):
    """The address of an empty store of each kind."""
    if request.param == "folder":
        return str(tmp_path / "published")
    if request.param == "file":
        return f"file://{tmp_path}/published"
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def store(address):
    return snapshot_store(address)
