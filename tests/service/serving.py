"""Servers in processes of their own, for tests."""

import contextlib
import re
import time

import httpx

from tests.forked import Process
from tests.service.conftest import environment

SECONDS = 180


class Served:
    """A server's process, and what it has written."""

    def __init__(self, folder, arguments, variables):
        self._files = folder / "served.out", folder / "served.err"
        with self._files[0].open("w") as out, self._files[1].open("w") as err:
            self.process = Process(
                ["-m", "service.cli", "serve", *arguments, "--port", "0"],
                cwd=folder,
                env=environment(folder) | variables,
                stdout=out,
                stderr=err,
            )

    @property
    def out(self):
        return self._files[0].read_text()

    @property
    def err(self):
        return self._files[1].read_text()

    def address(self):
        for _ in range(20 * SECONDS):
            if found := re.search(r"http://127\.0\.0\.1:\d+", self.out + self.err):
                return found.group()
            assert self.process.poll() is None, self.out + self.err
            time.sleep(0.05)
        raise AssertionError("it did not listen")

    def stop(self):
        self.process.terminate()
        return self.process.wait(SECONDS)


@contextlib.contextmanager
def serving(folder, *arguments, **variables):
    """A client of ``lsr serve`` with these arguments, run in a folder, and its ``Served``."""
    served = Served(folder, arguments, variables)
    try:
        transport = httpx.HTTPTransport(retries=8)
        address = served.address()
        with httpx.Client(base_url=address, transport=transport, timeout=SECONDS) as client:
            yield client, served
    finally:
        served.process.kill()
        served.process.wait()
