"""The C++ core by itself: its own tests, built with AddressSanitizer and UBSan."""

import shutil
import subprocess

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.long


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake on the path")
def test_the_core_under_sanitizers(tmp_path):
    options = ["-DLSR_CORE_ONLY=ON", "-DLSR_SANITIZE=address,undefined"]
    subprocess.run(["cmake", "-S", ROOT, "-B", tmp_path, *options], check=True)
    subprocess.run(["cmake", "--build", tmp_path, "--parallel"], check=True)
    done = subprocess.run(
        ["ctest", "--output-on-failure"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
