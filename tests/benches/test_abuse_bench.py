"""The abuse bench runs, and abusers harm nobody's answers; no test looks at a time."""

import json
import sys

import abuse
import pytest

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    file = tmp_path_factory.mktemp("report") / "abuse.json"
    names = "idle flood,wide bulks,all at once"
    assert abuse.main(["--abuses", names, "--seconds", "0.4", "--json", str(file)]) == 0
    return json.loads(file.read_text())


def test_each_abuse_has_a_row_and_others_are_answered(report):
    assert [row["abuse"] for row in report["rows"]] == [
        "none", "idle flood", "wide bulks", "all at once",
    ]  # fmt: skip
    for row in report["rows"]:
        assert row.keys() == {*abuse.COLUMNS}
        assert row["searches"] > 0
        assert row["failed"] == 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["max_ms"]


def test_memory_descriptors_and_log_stay_small(report):
    for row in report["rows"]:
        assert row["peak_memory_mb"] < report["goals"]["peak_memory_mb"]
        assert row["descriptors"] < 1500
        assert row["log_bytes"] < 100_000


def test_the_server_ends_by_itself_while_it_is_abused(report):
    # It was waited for, and not killed.
    assert report["stop_s"] > 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--abuses", "rain"], "there is no abuse 'rain'; allowed are slow heads, "),
        (["--seconds", "0"], "--seconds is 0.0; allowed are 0.1 to 3600"),
        (["--seconds", "nan"], "--seconds is nan; allowed are 0.1 to 3600"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(arguments, expected, capsys):
    assert abuse.main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
