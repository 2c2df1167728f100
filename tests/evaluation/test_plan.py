"""What a comparison consists of."""

from flame.evaluation.plan import ComparisonSettings, QuestionSettings, plan_trainings
from flame.learning.settings import TrainingSettings

SITES = ("site-1", "site-2", "site-3")
QUESTION = QuestionSettings(task="response", model="clinical", context="pre_rt", rounds=3, training=TrainingSettings())


def settings(*held_out: str) -> ComparisonSettings:
    return ComparisonSettings(questions=(QUESTION,), held_out=held_out)


def test_every_site_is_held_out_once_and_trains_its_own_model_once() -> None:
    trainings = plan_trainings(settings(*SITES), SITES)
    assert sorted(t.sites for t in trainings if t.kind == "local") == [("site-1",), ("site-2",), ("site-3",)]
    for kind in ("federated", "pooled"):
        assert sorted(t.held_out or "" for t in trainings if t.kind == kind) == list(SITES)
    assert len(trainings) == 9


def test_a_held_out_site_takes_no_part() -> None:
    for training in plan_trainings(settings(*SITES), SITES):
        assert training.held_out not in training.sites


def test_trainings_have_names_of_their_own() -> None:
    names = [training.name for training in plan_trainings(settings(*SITES), SITES)]
    assert len(set(names)) == len(names)
    assert "response-clinical-pre_rt/federated-without-site-2" in names


def test_federated_local_and_pooled_differ_in_participants_only() -> None:
    chosen = settings("site-3")
    jobs = {t.kind: t.job(chosen) for t in plan_trainings(chosen, SITES)}
    same = {"task", "model", "context", "seed", "rounds", "training", "crop"}
    assert len({tuple(str(getattr(job, name)) for name in sorted(same)) for job in jobs.values()}) == 1
    assert jobs["federated"].limits.quorum == 1
