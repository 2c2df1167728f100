"""A whole comparison: prepare, train, score, summarise, keep pictures; a second start goes on where it stopped."""

import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flame import workers
from flame.errors import ConfigError, DataError
from flame.evaluation.arms import ArmsOrder, score_arms
from flame.evaluation.montage import MontageOrder, make_montage
from flame.evaluation.plan import ComparisonSettings, Training, plan_trainings
from flame.evaluation.preparation import SamplesOrder, prepare_samples, store_folder
from flame.evaluation.site_scores import ScoringOrder, score_site
from flame.evaluation.summary import summarise
from flame.evaluation.trainings import TrainingOrder, TrainingProgress, run_training
from flame.files import read_json, write_json
from flame.learning.samples import open_store
from flame.learning.training import refuse_one_class
from flame.records.check import check_site
from flame.records.dataset import Site, read_site
from flame.records.sources.overlap import overlaps

__all__ = ["Show", "find_sites", "run_comparison"]

Show = Callable[[str, float, float, str], None]
"""Called with stage, done, total and detail."""


def find_sites(paths: Sequence[Path]) -> list[Path]:
    """Sites' folders from what a user names: sites, or folders that hold sites (a trial, its `sites/`).

    Raises: DataError: if a path is neither.
    """
    found: list[Path] = []
    for path in paths:
        holders = (path, path / "sites")
        below = [site for holder in holders for site in sorted(holder.glob("*/dataset_description.json"))]
        if (path / "dataset_description.json").exists():
            found.append(path)
        elif below:
            found += [description.parent for description in below]
        else:
            raise DataError(f"{path} is neither a site's BIDS folder nor holds any", "Check the path.")
    return found


def run_comparison(
    folders: Sequence[Path],
    out: Path,
    settings: ComparisonSettings,
    processes: int,
    show: Show,
    truth: Path | None = None,
) -> None:
    """Compare local, federated and pooled training with each other and with baselines; leaves `out/comparison.json`.

    Args:
        folders: the sites.
        out: run folder, see docs/run-folder.md.
        settings: what decides the numbers.
        processes: how many trainings run at a time, each on one thread; the numbers do not depend on it.
        show: told about progress.
        truth: a virtual trial's potential outcomes, read only after training, for pictures and scores of other arms.

    Raises:
        ConfigError: if `out` holds a comparison with other settings, or a site to hold out does not exist.
        DataError: if a site has errors, or nothing can be learnt.
    """
    sites = [read_site(folder) for folder in folders]
    _check(sites, settings)
    _same_settings(out, settings, sites)
    contexts = sorted({question.context for question in settings.questions})
    samples = [
        SamplesOrder(site.folder, {name: store_folder(out, site.name, name) for name in contexts}, settings.crop)
        for site in sites
    ]
    with workers.Crew(processes) as crew:
        _each("samples", prepare_samples, samples, crew, show)
        for context in sorted({question.context for question in settings.questions if question.task == "response"}):
            refuse_one_class([open_store(store_folder(out, site.name, context)) for site in sites])
        trainings = plan_trainings(settings, [site.name for site in sites])
        _train(trainings, settings, out, crew, show)
        scorings = [
            ScoringOrder(out, settings, site.folder, site.name, context, tuple(other.name for other in sites))
            for site in sites
            for context in contexts
        ]
        _each("scores", score_site, scorings, crew, show)
        _each("arms", score_arms, _arms(sites, settings, out, truth), crew, show)
        _each("montage", make_montage, _montages(sites, settings, out, truth), crew, show)
    show("summary", 0, 1, "")
    content = summarise(out, settings, sites, trainings)
    write_json(out / "comparison.json", {"versions": _versions(), **content, "pictures": _pictures(out)})
    show("summary", 1, 1, "")


def _check(sites: Sequence[Site], settings: ComparisonSettings) -> None:
    names = [site.name for site in sites]
    if len(set(names)) < len(names):
        raise ConfigError(f"Two sites have the same name: {', '.join(names)}", "Give each site once.")
    missing = [name for name in settings.held_out if name not in names]
    if missing:
        raise ConfigError(f"There is no site {missing[0]!r} to hold out; there are {', '.join(names)}", "Choose one.")
    if len(sites) < 3:
        raise ConfigError(
            f"{len(sites)} sites are too few to compare", "Give at least three: two to train, one to test."
        )
    for site in sites:
        errors = [finding for finding in check_site(site) if finding.severity == "error"]
        if errors:
            raise DataError(
                f"{site.name} has {len(errors)} errors; the first: {errors[0].what}",
                f"Run `flame check {site.folder}` and correct them, or leave the patients out.",
            )
    for finding in overlaps({site.name: site.patients for site in sites}):
        if finding.severity == "error":
            raise DataError(finding.what, finding.what_to_do)


def _same_settings(out: Path, settings: ComparisonSettings, sites: Sequence[Site]) -> None:
    content = {"settings": settings.model_dump(mode="json"), "sites": [site.name for site in sites]}
    path = out / "settings.json"
    if path.exists():
        if read_json(path) != content:
            raise ConfigError(f"{out} holds a comparison with other settings", "Choose another folder.")
    else:
        write_json(path, content)


def _each(
    stage: str, work: Callable[[Any, workers.Emit], Any], orders: Sequence[Any], crew: workers.Crew, show: Show
) -> None:
    """Do all orders of a stage; each emits its name when it is done."""
    done = 0
    show(stage, 0, len(orders), "")

    def count(name: str) -> None:
        nonlocal done
        done += 1
        show(stage, done, len(orders), name)

    crew.run(work, orders, count)


def _train(
    trainings: Sequence[Training], settings: ComparisonSettings, out: Path, crew: workers.Crew, show: Show
) -> None:
    orders = [
        TrainingOrder(
            training,
            settings,
            out,
            {site: store_folder(out, site, training.question.context) for site in training.sites},
        )
        for training in trainings
    ]
    shares = {training.name: training.cost for training in trainings}
    total = sum(shares.values())
    done = dict.fromkeys(shares, 0.0)
    show("training", 0, total, "")

    def count(progress: TrainingProgress) -> None:
        done[progress.training] = shares[progress.training] * progress.done / progress.rounds
        question, who = progress.training.split("/")
        detail = f"round {progress.done}/{progress.rounds}, loss {progress.loss:.3f}, {who}, {question}"
        show("training", sum(done.values()), total, detail)

    crew.run(run_training, orders, count)
    show("training", total, total, "")


def _arms(sites: Sequence[Site], settings: ComparisonSettings, out: Path, truth: Path | None) -> list[ArmsOrder]:
    if all(question.task != "evolution" for question in settings.questions):
        return []
    names = tuple(site.name for site in sites)
    return [
        ArmsOrder(out, settings, site.folder, site.name, names, None if truth is None else truth / site.name)
        for site in sites
        if site.name in settings.held_out
    ]


def _montages(sites: Sequence[Site], settings: ComparisonSettings, out: Path, truth: Path | None) -> list[MontageOrder]:
    return [
        MontageOrder(out, settings.crop, site.folder, None if truth is None else truth / site.name) for site in sites
    ]


def _pictures(out: Path) -> dict[str, list[str]]:
    kinds = {"patients": "evolution-", "montage": "montage-"}
    return {
        name: sorted(path.stem.removeprefix(prefix) for path in (out / "pictures").glob(f"{prefix}*.json"))
        for name, prefix in kinds.items()
    }


def _versions() -> dict[str, str]:
    packages = ("flame", "torch", "numpy", "scipy")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
