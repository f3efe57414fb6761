"""Waiting for what other threads and processes do."""

import time


def wait_until(condition):
    """Wait for what a thread or process is about to do; at most half a minute."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")
