"""Comparisons that are ready to run."""

import pytest
from tests.command import flame

from flame.evaluation.presets import full_comparison
from flame.imaging.prepare import CONTEXTS, Context


@pytest.mark.parametrize("context", CONTEXTS)
def test_one_context_asks_the_same_questions_of_it_as_both_do(context: Context) -> None:
    both, one = full_comparison(("a",), 7), full_comparison(("a",), 7, (context,))
    assert one.questions == tuple(question for question in both.questions if question.context == context)
    assert {question.task for question in one.questions} == {"response", "evolution"}


def test_an_unknown_context_is_refused_before_anything_is_written(tmp_path) -> None:
    for site in ("a", "b"):
        (tmp_path / "sites" / site).mkdir(parents=True)
        (tmp_path / "sites" / site / "dataset_description.json").write_text('{"Name": "a", "BIDSVersion": "1.10.0"}')
    done = flame("compare", tmp_path / "sites", "--out", tmp_path / "run", "--context", "post")
    assert done.returncode == 4
    assert "'post' is none" in done.stderr
    assert not (tmp_path / "run").exists()
