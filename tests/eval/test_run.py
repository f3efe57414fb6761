"""Run files keep rankings as they were served."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.run import descending, read_run, write_run
from lsr.errors import InputError

modest = settings(max_examples=100)
# A mark (BOM) or zeros at the beginning of a file tell how it is encoded.
letters = st.characters(codec="utf-8", exclude_characters="\ufeff\0")
ids = st.text(letters, min_size=1, max_size=8).filter(
    lambda identifier: not any(map(str.isspace, identifier))
)
scores = st.floats(-1e30, 1e30) | st.sampled_from([0.0, 1.0, 1.0 + 1e-12, 0.1])
rankings = st.dictionaries(ids, scores, max_size=8).map(
    lambda found: sorted(found.items(), key=lambda item: -item[1])
)


@modest
@given(rankings)
def test_descending_scores_fall_strictly_in_the_order_given(ranking):
    falling = list(descending(ranking))
    assert [document for document, _ in falling] == [document for document, _ in ranking]
    singles = np.array([score for _, score in falling], dtype=np.float32)
    assert singles.tolist() == [score for _, score in falling]
    assert (np.diff(singles.astype(np.float64)) < 0).all()


@modest
@given(st.lists(st.integers(0, 1000), unique=True, max_size=8))
def test_descending_changes_nothing_where_scores_fall_already(numbers):
    ranking = [(str(number), float(number)) for number in sorted(numbers, reverse=True)]
    assert list(descending(ranking)) == ranking


def test_descending_lowers_a_tie_by_the_least_step():
    step = float(np.nextafter(np.float32(1), np.float32(0)))
    assert list(descending([("a", 1.0), ("b", 1.0), ("c", 0.5)])) == [
        ("a", 1.0),
        ("b", step),
        ("c", 0.5),
    ]


@modest
@given(st.dictionaries(ids, rankings.filter(bool), max_size=4))
def test_a_run_read_back_is_the_run_written(tmp_path_factory, run):
    path = tmp_path_factory.getbasetemp() / "round-trip.run"
    write_run(path, run)
    read = {query: list(descending(ranking)) for query, ranking in read_run(path).items()}
    assert read == {query: list(descending(ranking)) for query, ranking in run.items()}


def test_lines_are_those_of_trec(tmp_path):
    write_run(tmp_path / "a.run", {"q1": [("d2", 2.5), ("d1", 1.0)]}, tag="mine")
    assert (tmp_path / "a.run").read_text() == "q1 Q0 d2 1 2.5 mine\nq1 Q0 d1 2 1 mine\n"


def test_reading_orders_as_trec_eval_does(tmp_path):
    lines = "q Q0 a 1 1.0 t\n\nq Q0 c 9 1.0 t\r\nq\tQ0\tb\t3\t7\tt\n"
    (tmp_path / "a.run").write_text(lines)
    assert read_run(tmp_path / "a.run") == {"q": [("b", 7.0), ("c", 1.0), ("a", 1.0)]}


def test_zipped_runs_are_read(tmp_path):
    (tmp_path / "a.run.gz").write_bytes(gzip.compress(b"q Q0 d 1 1.5 t\n"))
    assert read_run(tmp_path / "a.run.gz") == {"q": [("d", 1.5)]}


@pytest.mark.parametrize("identifier", ["a b", " a", "a\t", "a\nb", "", "a\u2028b", "a\u00a0b"])
def test_ids_with_white_space_are_not_written(tmp_path, identifier):
    with pytest.raises(InputError, match="holds white space"):
        write_run(tmp_path / "a.run", {"q": [(identifier, 1.0)]})
    with pytest.raises(InputError, match="holds white space"):
        write_run(tmp_path / "a.run", {identifier: [("d", 1.0)]})


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("q Q0 d 1 1.0", "is no line of a TREC run"),
        ("q Q0 d 1 1.0 tag more", "is no line of a TREC run"),
        ("q Q0 d 1 high tag", "is no line of a TREC run"),
        ("q Q0 d 1 nan tag", "is no line of a TREC run"),
        ("q Q0 good 1 1.0 tag", "the query 'q' has 'good' twice"),
    ],
)
def test_malformed_lines_are_named_by_number(tmp_path, line, complaint):
    path = tmp_path / "a.run"
    path.write_text(f"q Q0 good 1 2.0 tag\n\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_run(path)
    assert f"{path}:3: " in str(caught.value)
    assert complaint in str(caught.value)


def test_a_run_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "a.run").write_bytes(b"q Q0 caf\xe9 1 1.0 t\n")
    with pytest.raises(InputError, match="can't be read further"):
        read_run(tmp_path / "a.run")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_run_with_a_mark_keeps_its_first_line(tmp_path, encoding, end):
    lines = ["q1 Q0 d2 1 9.0 x", "q2 Q0 d4 1 3.0 x", ""]
    path = tmp_path / "run.txt"
    path.write_bytes(end.join(lines).encode(encoding))
    assert read_run(path) == {"q1": [("d2", 9.0)], "q2": [("d4", 3.0)]}
