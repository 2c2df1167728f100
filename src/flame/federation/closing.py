"""After the last round: every site scores the models that came out, and the job's rule says which one is kept.

    evaluation/own/site-1.safetensors    a model that a site trained alone, until all are scored
    evaluation/last/site-1.json          what a site says of the model after the last round; best: of the best before
    cross_site.json                      every model at every site, when all have answered

Each answer is on disk as soon as it is there, so that a new start asks only who has not answered.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flame
from flame.errors import UpdateRejected
from flame.federation import folder as files
from flame.federation.checks import Expected, check
from flame.federation.job import Limits, job_hash
from flame.federation.messages import decode_message
from flame.federation.rounds import State, expected
from flame.federation.scores import ModelScore, check_score
from flame.federation.selection import SCORE, is_better
from flame.federation.stages import ALONE, Ask, Keep, Stage, question
from flame.federation.stages import SCORE as SCORING
from flame.federation.steps import is_done, keep_model, refusals
from flame.federation.update import decode, open_update
from flame.files import read_json, write_bytes, write_json

__all__ = ["finish", "read_cross_site"]

Arrays = Mapping[str, NDArray[np.float32]]

_PATIENCE_S = 30.0
"""How long all sites have at least, once the first has answered [s]."""

_FOLDER, _RESULT = "evaluation", "cross_site.json"


def finish(first: State, state: State, folder: Path, ask: Ask) -> None:
    """If no round is left, let sites score what came out, and write the job's model; a later start does it again.

    A job that holds no patients back has nothing scored. A site that gives no score costs itself alone.

    Args:
        first: the state before the first round.
        state: the state after the last closed round.
        folder: the job's.
        ask: carries questions. No quorum is asked for: a site that refuses keeps no other from being heard.
    """
    if not is_done(folder, state):
        return
    if state.job.scores_at_the_end and not (folder / _RESULT).exists():
        _score_all(first, state, folder, ask)
    found = read_cross_site(folder)
    keep_model(folder, state, is_best=found is not None and found["models"][0]["kept"])


def read_cross_site(folder: Path) -> dict[str, Any] | None:
    """The content of `cross_site.json`, None if there is none; `docs/run-folder.md` describes it.

    Raises: DataError: if it is damaged.
    """
    path = folder / _RESULT
    return dict(read_json(path)) if path.exists() else None


@dataclass(frozen=True)
class _Model:
    """A model to be scored: name of its folder, who trained it, after how many rounds; read when it is asked about."""

    name: str
    trained: str
    site: str | None
    rounds: int
    arrays: Callable[[], Arrays]


def _score_all(first: State, state: State, folder: Path, ask: Ask) -> None:
    models = [_Model("last", "federated", None, state.round, lambda: state.arrays)]
    best = files.read_best(folder)
    if best is not None:
        models.append(_Model("best", "federated", None, best.round, lambda: best.arrays))
    own, untrained = _own_models(first, state, folder, ask) if state.job.passes_models_on else ([], {})
    models += own
    rows: list[dict[str, Any]] = []
    for one in models:
        is_silent = (
            bool(rows) and not rows[-1]["scores"] and not rows[-1]["refused"]
        )  # each would wait for its deadline
        rows.append(_row(one, state, folder, _nobody if is_silent else ask))
    last_is_kept = best is None or _last_is_better(rows, best, state, folder)
    for row, model in zip(rows, models, strict=True):
        row["kept"] = model.name == ("last" if last_is_kept else "best")
    files.save_scores(folder, state.round, rows)
    about = {"flame": flame.__version__, "job": job_hash(state.job), "sites": list(state.sites)}
    write_json(folder / _RESULT, {**about, "models": rows, "no_own_model": untrained})
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)
    files.forget_round(folder, state.round)


def _last_is_better(rows: list[dict[str, Any]], best: State, state: State, folder: Path) -> bool:
    last, before = ({site: told["score"] for site, told in row["scores"].items()} for row in rows[:2])
    (report,) = [one for one in files.history(folder) if one.round == best.round]
    needed = sum(SCORE in scalars for scalars in report.scalars.values())
    return is_better(state.job.selection, last, before, needed)


def _own_models(first: State, state: State, folder: Path, ask: Ask) -> tuple[list[_Model], dict[str, str]]:
    """A model of each site that trains one alone, once it is stored; and why others don't."""
    asked = replace(first, round=state.round)
    own = folder / _FOLDER / "own"
    paths = {site: own / f"{site}.safetensors" for site in state.sites}
    new = [site for site, path in paths.items() if not path.exists()]
    rounds = state.job.rounds
    wanted = replace(expected(asked), max_norm=rounds * state.job.limits.max_update_norm)
    keep = partial(_keep_own, folder, wanted, paths)
    limits = _limits(state.job.limits, rounds)
    ask(asked, ALONE, dict.fromkeys(new, question(asked)), keep, limits, len(paths) - len(new))
    trained = {site: path for site, path in paths.items() if path.exists()}
    refused = refusals(folder, state, trained)
    files.discard_refusals(folder, state.round)
    return [
        _Model(f"own-{site}", "local", site, rounds, partial(_moved, first.arrays, path))
        for site, path in trained.items()
    ], refused


def _limits(of_round: Limits, rounds: int = 1) -> Limits:
    """For what every site is to answer that can, which takes as long as so many rounds."""
    grace_s, deadline_s = rounds * max(of_round.grace_s, _PATIENCE_S), rounds * of_round.deadline_s
    return Limits(quorum=1, grace_s=grace_s, deadline_s=deadline_s)


def _keep_own(folder: Path, wanted: Expected, paths: Mapping[str, Path], site: str, content: bytes) -> str | None:
    try:
        update = decode(content)
        check(update, wanted)
        if update.site != site:
            raise UpdateRejected(f"it says that it is from {update.site!r}, and {site!r} sent it", "Look at the site.")
    except UpdateRejected as error:
        files.save_refusal(folder, wanted.round, site, error.message)
        return error.message
    write_bytes(paths[site], content)
    return None


def _moved(start: Arrays, path: Path) -> Arrays:
    changed = open_update(path).arrays
    return {name: np.asarray(array + changed[name], np.float32) for name, array in start.items()}


def _nobody(
    state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0
) -> None:
    """An `Ask` that asks nobody."""


def _row(model: _Model, state: State, folder: Path, ask: Ask) -> dict[str, Any]:
    """Ask every site that has not scored the model yet; what all say of it."""
    asked = replace(state, arrays=dict(model.arrays()), moments={})
    paths = {site: folder / _FOLDER / model.name / f"{site}.json" for site in state.sites}
    new = [site for site, path in paths.items() if not path.exists()]
    if new:
        keep = partial(_keep_score, folder, asked, paths)
        ask(asked, SCORING, dict.fromkeys(new, question(asked)), keep, _limits(state.job.limits), len(paths) - len(new))
    told = {site: read_json(path) for site, path in paths.items() if path.exists()}
    refused = refusals(folder, state, told)
    files.discard_refusals(folder, state.round)
    return {
        "trained": model.trained,
        "site": model.site,
        "rounds": model.rounds,
        "scores": {site: {"score": one["score"], "patients": one["patients"]} for site, one in told.items()},
        "refused": refused,
    }


def _keep_score(folder: Path, asked: State, paths: Mapping[str, Path], site: str, content: bytes) -> str | None:
    try:
        check_score(decode_message(ModelScore, content), asked, site)
    except UpdateRejected as error:
        files.save_refusal(folder, asked.round, site, error.message)
        return error.message
    write_bytes(paths[site], content)
    return None
