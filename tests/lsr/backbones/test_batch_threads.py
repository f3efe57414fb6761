import threading
import time

import torch

from lsr.backbones.batch_threads import map_batches
from lsr.threads import beside_searches, sharing_cores


def where(_):
    return torch.get_num_threads(), threading.get_ident()


def test_a_batch_that_is_alone_takes_all_cores_unless_they_are_shared():
    threads, here = torch.get_num_threads(), threading.get_ident()
    assert map_batches(where, [1]) == [(threads, here)]
    with sharing_cores():
        ((shared, _),) = map_batches(where, [1])
        assert shared == 1
        assert map_batches(where, []) == []
    assert map_batches(where, [1]) == [(threads, here)]


def test_results_are_in_the_order_of_the_batches():
    with sharing_cores():
        assert map_batches(str, range(20)) == [str(number) for number in range(20)]
    assert map_batches(str, range(20)) == [str(number) for number in range(20)]


def test_beside_searches_one_batch_follows_the_other():
    at_once, most, lock = 0, 0, threading.Lock()

    def work(batch):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        return batch

    with beside_searches():
        assert map_batches(work, range(8)) == list(range(8))
        assert map_batches(work, [3]) == [3]
        assert map_batches(work, []) == []
    assert most == 1
