"""The C++ cores by themselves: their own tests, built with AddressSanitizer and UBSan."""

import shutil
import subprocess

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake on the path")
def test_the_cores_under_sanitizers():
    built = subprocess.run(
        ["make", "--no-print-directory", "sanitized"], cwd=ROOT, capture_output=True, text=True
    )
    assert built.returncode == 0, built.stdout + built.stderr
    folder = ROOT / "build/sanitized"
    done = subprocess.run(
        ["ctest", "--output-on-failure"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "100% tests passed, 0 tests failed out of 2" in done.stdout
