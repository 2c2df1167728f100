"""Every arm for every patient of a held-out site, in both contexts."""

from pathlib import Path

from flame.evaluation.arms import PICTURES_PER_SITE, ArmsOrder, arms_path, score_arms
from flame.evaluation.plan import ComparisonSettings, QuestionSettings
from flame.evaluation.scores import ArmScore, read_scores
from flame.evaluation.trainings import model_folder
from flame.files import read_json
from flame.imaging.cube import Crop
from flame.imaging.prepare import CONTEXTS, Context
from flame.learning.settings import TrainingSettings
from flame.models.checkpoint import ModelCard, save_model
from flame.models.encoding import scalar_names, volume_names
from flame.models.networks import build_network
from flame.models.weights import get_arrays

CROP = Crop(spacing_mm=6.0, size=16)
SITES = ("site-1", "site-2", "site-3")


def save_untrained(folder: Path, context: Context) -> None:
    """A model that predicts the last map."""
    card = ModelCard(
        task="evolution",
        model="unet",
        context=context,
        crop=CROP,
        trained="federated",
        samples={"site-1": 4, "site-2": 4},
        offered={"site-1": {"photon": 4}, "site-2": {"photon": 2, "proton": 2}},
        rounds=1,
        parameters=1,
        channels=volume_names(context),
        scalars=scalar_names(context),
    )
    save_model(folder, get_arrays(build_network("evolution", "unet", context, 0)), card)


def test_both_contexts_are_scored_and_pictures_are_of_the_latest(trial: Path, tmp_path: Path) -> None:
    how = TrainingSettings(batch_size=1)
    questions = tuple(
        QuestionSettings(task="evolution", model="unet", context=context, rounds=1, training=how)
        for context in reversed(CONTEXTS)
    )
    settings = ComparisonSettings(seed=1, questions=questions, held_out=("site-3",), crop=CROP)
    truth = trial / "truth" / "site-3"
    order = ArmsOrder(tmp_path, settings, trial / "sites" / "site-3", "site-3", SITES, truth)
    for question in questions:
        save_untrained(model_folder(tmp_path, order.training(question)), question.context)
    said: list[str] = []
    score_arms(order, said.append)
    assert said == ["site-3"]
    for context in CONTEXTS:
        scores = read_scores(arms_path(tmp_path, "site-3", context), ArmScore)
        assert {score.arm for score in scores} == {"photon", "proton", "carbon"}
        assert {score.delivered for score in scores} == {True, False}
        assert all(score.dice == score.persistence for score in scores)
    kept = [read_json(path)["context"] for path in (tmp_path / "pictures").glob("evolution-*.json")]
    assert kept == ["first_post_rt"] * PICTURES_PER_SITE
