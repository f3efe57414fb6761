"""The real server, in a process of its own."""

import re
import subprocess
import sys
from contextlib import contextmanager

from tests.service.conftest import environment


@contextmanager
def serving(folder, *arguments, cwd=None):
    """Serve a folder, or a collection; gives the address once it listens."""
    here = cwd or folder.parent
    process = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-m",
            "service.cli",
            "serve",
            str(folder),
            "--port",
            "0",
            *arguments,
        ],
        cwd=here,
        env=environment(here),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield next(
            found.group()
            for line in process.stdout
            if (found := re.search(r"http://127\.0\.0\.1:\d+", line))
        )
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()
