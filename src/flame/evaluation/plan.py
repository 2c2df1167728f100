"""What a comparison consists of: questions, the trainings that answer them, and who is tested on whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from flame.federation.job import Aggregation, Crop, FedAvg, Job, Limits, TrainingSettings
from flame.settings import Settings

__all__ = ["ComparisonSettings", "Question", "QuestionSettings", "Training", "plan_trainings"]

Kind = Literal["local", "federated", "pooled"]


class QuestionSettings(Settings):
    """One model of one task in one context, and how it is trained wherever it is trained."""

    task: Literal["response", "evolution"]
    model: str
    context: Literal["pre_rt", "first_post_rt"]
    rounds: int = Field(ge=1)
    training: TrainingSettings


Question = QuestionSettings


class ComparisonSettings(Settings):
    """Everything that decides the numbers of a comparison.

    Args:
        seed: of every random draw.
        questions: what is trained.
        held_out: sites that are, one after the other, kept away from federated and pooled training.
        aggregation: how federated training aggregates; pooled and local training have one participant.
        crop: the learning grid.
        replicates: bootstrap replicates of every interval.
    """

    seed: int = Field(default=7, ge=0)
    questions: tuple[QuestionSettings, ...]
    held_out: tuple[str, ...]
    aggregation: Aggregation = FedAvg()
    crop: Crop = Crop()
    replicates: int = Field(default=2000, ge=200)


@dataclass(frozen=True)
class Training:
    """One job of a comparison: a question, the sites that take part, and the site that it must not see, if any."""

    question: QuestionSettings
    kind: Kind
    sites: tuple[str, ...]
    held_out: str | None = None

    @property
    def name(self) -> str:
        """Folder of the job below the comparison's `jobs/`, e.g. `evolution-unet-pre_rt/federated-without-site-3`."""
        question = f"{self.question.task}-{self.question.model}-{self.question.context}"
        if self.kind == "local":
            return f"{question}/local-{self.sites[0]}"
        return f"{question}/{self.kind}-without-{self.held_out}"

    @property
    def cost(self) -> float:
        """About how long it takes, relative to other trainings."""
        passes = {"evolution": 1.0, "response": 0.05}[self.question.task]
        return passes * len(self.sites) * self.question.rounds

    def job(self, settings: ComparisonSettings) -> Job:
        """The job as data; all kinds of training share seed, rounds and local training."""
        return Job(
            task=self.question.task,
            model=self.question.model,
            context=self.question.context,
            seed=settings.seed,
            rounds=self.question.rounds,
            training=self.question.training,
            aggregation=settings.aggregation if self.kind == "federated" else FedAvg(),
            limits=Limits(quorum=max(1, (len(self.sites) + 1) // 2) if self.kind == "federated" else 1),
            crop=settings.crop,
        )


def plan_trainings(settings: ComparisonSettings, sites: Sequence[str]) -> tuple[Training, ...]:
    """All trainings of a comparison, the longest first, so that processes finish at about the same time.

    A site's own model is trained once, whatever is held out; it is tested at every other site.
    """
    trainings: list[Training] = []
    for question in settings.questions:
        trainings += [Training(question, "local", (site,)) for site in sites]
        for held_out in settings.held_out:
            others = tuple(site for site in sites if site != held_out)
            trainings.append(Training(question, "federated", others, held_out))
            trainings.append(Training(question, "pooled", others, held_out))

    return tuple(sorted(trainings, key=lambda training: training.cost, reverse=True))
