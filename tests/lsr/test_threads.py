import threading

from lsr.threads import available_cores, beside_searches, encoding_documents, is_beside_searches
from tests.waiting import wait_until


def test_half_of_the_cores_encode_documents_beside_searches():
    most = max(1, available_cores() // 2)
    at_work, go_on = threading.Semaphore(0), threading.Event()
    counted = []

    def encode():
        with beside_searches(), encoding_documents():
            counted.append(1)
            at_work.release()
            go_on.wait(60)

    threads = [threading.Thread(target=encode) for _ in range(most + 2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(counted) == most)
    # Who encodes for itself waits for nobody.
    with encoding_documents():
        assert not is_beside_searches()
    assert len(counted) == most
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(counted) == most + 2


def test_it_is_of_the_thread_and_ends_with_the_block():
    with beside_searches():
        with beside_searches():
            assert is_beside_searches()
        assert is_beside_searches()
    assert not is_beside_searches()
