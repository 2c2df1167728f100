"""A job's run folder as a run of MLflow: settings, each round's figures per site and on average, and small files.

The run is found again by the job and its first round, so a folder that is tracked twice, or while the job runs, gives
one run. Nothing is sent to any place but the one that is named: MLflow's own reports of use are switched off before it
is loaded. The model's arrays are not handed over; `model.json` says what they are.
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flame
from flame.errors import ConfigError, DataError, EngineError
from flame.federation.closing import read_cross_site
from flame.federation.folder import RoundReport, history
from flame.federation.job import Job, job_hash, read_job
from flame.federation.selection import SCORE
from flame.site.entries import canonical, digest

__all__ = ["follow", "round_metrics", "score_metrics", "settings_of", "shown", "store_of", "track"]

_IDENTITY = "flame.run"
_LAST = "round/sites"
"""Written last of a round's metrics: a round that has it is there as a whole."""

_FILES = ("job.toml", "metrics.jsonl", "model.json", "cross_site.json")
_BATCH = 1000  # metrics that MLflow takes at a time
LOOK_S = 2.0
"""How often a running job is looked at [s]."""


def store_of(folder: Path) -> str:
    """Where a run folder is tracked unless another place is named: beside its other files."""
    return (folder.resolve() / "mlflow").as_uri()


def settings_of(job: Job) -> dict[str, str]:
    """The job's settings by dotted names, as MLflow's parameters."""
    return dict(_flat(job.model_dump(mode="json")))


def round_metrics(report: RoundReport) -> dict[str, float]:
    """Figures of a closed round: `mean/loss` over the sites that told it, `site/NAME/loss`, bytes, samples, seconds.

    What masks hide is not there.
    """
    found = {f"site/{site}/{name}": value for site, told in report.scalars.items() for name, value in told.items()}
    of_sites = [told for site, told in report.scalars.items() if site in report.samples]
    for name in sorted({name for told in of_sites for name in told}):
        values = [told[name] for told in of_sites if name in told]
        found[f"mean/{name}"] = sum(values) / len(values)
    for name, sizes in (("bytes_up", report.bytes_up), ("bytes_down", report.bytes_down), ("samples", report.samples)):
        found |= {f"site/{site}/{name}": float(size) for site, size in sizes.items() if size is not None}
    return {
        **found,
        "round/seconds": report.seconds,
        "round/refused": float(len(report.refused)),
        _LAST: float(len(report.samples)),
    }


def score_metrics(cross_site: Mapping[str, Any]) -> dict[str, float]:
    """What sites say of the model after the last round, named as in the rounds before it."""
    scores = {site: float(told["score"]) for site, told in cross_site["models"][0]["scores"].items()}
    if not scores:
        return {}
    by_site = {f"site/{site}/{SCORE}": score for site, score in scores.items()}
    return {**by_site, f"mean/{SCORE}": sum(scores.values()) / len(scores)}


def track(folder: Path, uri: str, experiment: str = "flame", clock: Callable[[], float] = time.time) -> str:
    """Bring a run of MLflow up to date with a job's folder, or make it.

    Args:
        folder: of a job, with at least one closed round.
        uri: of MLflow's store: `file:` and a folder, `sqlite:` (with all of MLflow installed), or a server.
        experiment: name of MLflow's experiment; made if it is not there.
        clock: seconds since 1970, for MLflow's own dates.

    Returns: MLflow's id of the run.
    Raises:
        ConfigError: if MLflow, or what it needs for this store, is not installed.
        DataError: if no round is closed yet, or the folder is damaged.
        EngineError: if the store can't be used or reached.
    """
    job, reports = read_job(folder / "job.toml"), history(folder)
    if not reports:
        raise DataError(f"{folder} has no closed round yet", "Wait for the first one, or use --follow.")
    mlflow = _load(uri)
    where = shown(uri)
    try:
        client = mlflow.tracking.MlflowClient(tracking_uri=uri)
        run = _run(client, experiment, _identity(job, reports[0]), job)
        _log_rounds(client, run, folder, reports, lambda: int(clock() * 1000))
        for name in _FILES:
            if (folder / name).exists():
                client.log_artifact(run, str(folder / name))
        if (folder / "model.json").exists():
            client.set_terminated(run, "FINISHED")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"MLflow needs {error.name} for {where}", "Install it, or all of MLflow, or name a folder: file:///…"
        ) from error
    except (mlflow.exceptions.MlflowException, OSError) as error:
        said = str(error).replace(uri, where)
        raise EngineError(f"MLflow can't keep the run in {where}: {said:.300}", "Look at the address.") from error
    return str(run)


def follow(
    folder: Path, uri: str, experiment: str = "flame", sleep: Callable[[float], None] = time.sleep
) -> Iterator[int]:
    """Track a running job until its model is there.

    Yields: the number of closed rounds, whenever there are more, and at the end.
    Raises: as `track`.
    """
    seen = 0
    while True:
        is_done = (folder / "model.json").exists()
        closed = len(history(folder))
        if closed > seen or (is_done and closed):
            track(folder, uri, experiment)
            seen = closed
            yield closed
        if is_done:
            return
        sleep(LOOK_S)


def _load(uri: str) -> Any:
    """MLflow's client, with its reports of use off.

    Raises: ConfigError: if it is not installed.
    """
    if find_spec("mlflow") is None:
        raise ConfigError("MLflow is not installed", "Run: pip install --constraint constraints.txt 'flame[track]'")
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # its own 7 take minutes to say that nobody answers
    if urlsplit(uri).scheme in ("", "file"):
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # no longer its first choice, and all that is needed here
    import mlflow.exceptions
    import mlflow.tracking

    return mlflow


def _identity(job: Job, first: RoundReport) -> str:
    """The same for a folder for ever; another for another attempt at the same job, or with other sites."""
    told = [first.samples, first.scalars, first.bytes_up, first.bytes_down, first.refused]
    return digest(canonical([job_hash(job), *told]))


def _run(client: Any, experiment: str, identity: str, job: Job) -> str:
    """The run that belongs to the folder, made if it is not there; with the job's settings."""
    found = client.get_experiment_by_name(experiment)
    number = client.create_experiment(experiment) if found is None else found.experiment_id
    runs = client.search_runs([number], f"tags.`{_IDENTITY}` = '{identity}'")
    if runs:
        return str(runs[0].info.run_id)
    name = f"{job.task} {job.model} {job_hash(job)[:8]}"
    tags = {_IDENTITY: identity, "flame.job": job_hash(job), "flame.version": flame.__version__}
    run = str(client.create_run(number, tags=tags, run_name=name).info.run_id)
    for key, value in settings_of(job).items():
        client.log_param(run, key, value)
    return run


def _log_rounds(client: Any, run: str, folder: Path, reports: Sequence[RoundReport], now_ms: Callable[[], int]) -> None:
    """Log the rounds that are not there yet, and of one that is there in part, what is missing."""
    whole = _steps(client, run, _LAST)
    steps = {report.round: round_metrics(report) for report in reports}
    cross_site = read_cross_site(folder)
    if cross_site is not None:
        scored = len(reports)
        steps[scored] = {**score_metrics(cross_site), _LAST: float(len(cross_site["models"][0]["scores"]))}
    is_first = True
    for step, metrics in steps.items():
        if step in whole:
            continue
        if is_first:
            metrics = {name: value for name, value in metrics.items() if step not in _steps(client, run, name)}
            is_first = False
        _log(client, run, step, metrics, now_ms())


def _log(client: Any, run: str, step: int, metrics: Mapping[str, float], at_ms: int) -> None:
    from mlflow.entities import Metric

    entries = [Metric(name, value, at_ms, step) for name, value in metrics.items()]
    for start in range(0, len(entries), _BATCH):
        client.log_batch(run, metrics=entries[start : start + _BATCH])


def _steps(client: Any, run: str, name: str) -> set[int]:
    return {int(one.step) for one in client.get_metric_history(run, name)}


def _flat(tables: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value if isinstance(value, str) else json.dumps(value)


def shown(uri: str) -> str:
    """The address without a password in it."""
    parts = urlsplit(uri)
    return uri if parts.password is None else uri.replace(f":{parts.password}@", ":…@")
