import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Matrices this small take a third more time on two threads than on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
