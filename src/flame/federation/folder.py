"""The folder of a job: which file holds what, and in which order files come and go so that a kill never loses a round.

    job.toml                          the job
    rounds/state-0003.safetensors     the state that round 3 begins with; the one before is kept too
    rounds/0003/site-1.safetensors    an update of the running round, checked
    rounds/0003/site-2.refused.json   why there is none
    rounds/0003/north.region          the sum of a region's updates, if sites are in regions (`regions`)
    rounds/0003/site-1.masked         an update under masks, of which only the sum can be read
    rounds/0003/survivors.json        of whose masked updates the sum was asked for: no other sum may be
    metrics.jsonl                     one line for each closed round, then one for each model that sites scored
    best.safetensors                  the state with the best model so far, if the job selects one by score
    cross_site.json                   every model at every site, if the job holds patients back (`closing`)
    model.safetensors, model.json     the model after the last round, or the best one if the job selects it

Every file is written under a temporary name and renamed. A line of metrics is written before the state that ends its
round, and lines of rounds that are not closed are dropped on resuming: no line is missing and none is there twice.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

import flame
from flame.errors import ConfigError, DataError, EngineError, UpdateRejected
from flame.federation.job import Job, read_job, write_job
from flame.federation.rounds import State, decode_state, encode_state
from flame.federation.store import decode_arrays, encode_arrays
from flame.federation.update import Update, open_update
from flame.files import read_json, write_bytes, write_json, write_text

__all__ = [
    "LONGEST",
    "RoundReport",
    "claimed",
    "clean",
    "discard_refusals",
    "encode_model",
    "forget_round",
    "history",
    "load_state",
    "masked_path",
    "read_best",
    "read_model",
    "read_refusal",
    "read_state",
    "read_survivors",
    "read_update",
    "region_path",
    "save_best",
    "save_refusal",
    "save_report",
    "save_scores",
    "save_state",
    "save_survivors",
    "save_update",
    "write_model",
]

_ROUNDS, _BEST = "rounds", "best.safetensors"
LONGEST = 500  # characters of a reason, which may quote what a site sent: its text must not fill the disk


@dataclass(frozen=True)
class RoundReport:
    """What happened in a closed round; one line of `metrics.jsonl`.

    Args:
        round: number of the round, from 0.
        samples: site -> samples behind its update, None where masks hide them.
        scalars: site -> what it reported.
        bytes_up: site -> size of its update, or of all that it sent in a round under masks [bytes].
        bytes_down: site -> size of the model, or of all that was sent to it in a round under masks [bytes].
        refused: site -> why its update does not count.
        seconds: wall time of the round; after a resumption, of the part since then.
    """

    round: int
    samples: Mapping[str, int | None]
    scalars: Mapping[str, Mapping[str, float]]
    bytes_up: Mapping[str, int]
    bytes_down: Mapping[str, int]
    refused: Mapping[str, str]
    seconds: float


def load_state(folder: Path, job: Job) -> State | None:
    """The newest whole state of the job in `folder`, None if it has not begun; writes `job.toml` if it is missing.

    Raises:
        ConfigError: if the folder holds another job; the message names the first setting that differs.
        DataError: if there are states but none can be read.
    """
    path = folder / "job.toml"
    if path.exists():
        _same_job(path, job)
    else:
        write_job(path, job)
    found = (folder / _ROUNDS).glob("state-*.safetensors")
    states = sorted(found, key=lambda state: (len(state.name), state.name), reverse=True)
    for candidate in states:
        try:
            return decode_state(candidate.read_bytes())
        except DataError:
            continue  # damaged by the disk: the round before is repeated
    if states:
        raise DataError(f"No state in {folder / _ROUNDS} can be read", "Restore one of them or start in a new folder.")
    return None


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes from working in `folder` while the block runs; a killed process's claim ends with it.

    Args:
        folder: a job's folder with its `job.toml`, on which the lock lies.

    Raises: EngineError: if another process is at work there.
    """
    with (folder / "job.toml").open("rb") as job:
        try:
            fcntl.flock(job, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EngineError(
                f"Another process is at work in {folder}", "Wait until it is done, or stop it."
            ) from error
        yield


def read_state(folder: Path, round: int) -> State:
    """The stored state that round `round` begins with.

    Raises: DataError: if it is damaged.
    """
    return decode_state(_state_path(folder, round).read_bytes())


def save_state(folder: Path, state: State) -> None:
    """Write the state that the next round begins with."""
    write_bytes(_state_path(folder, state.round), encode_state(state))


def save_best(folder: Path, state: State) -> None:
    """Keep the state whose model is the best so far."""
    write_bytes(folder / _BEST, encode_state(state))


def read_best(folder: Path) -> State | None:
    """The kept state of the best model, None if there is none.

    Raises: DataError: if it is damaged.
    """
    path = folder / _BEST
    return decode_state(path.read_bytes()) if path.exists() else None


def clean(folder: Path, round: int) -> None:
    """Remove what round `round` does not need: files that a killed process left half written, updates and states of
    closed rounds but the last state before this one, and metrics of rounds that are not closed."""
    rounds = folder / _ROUNDS
    for partial in [*folder.glob(".*.partial.*"), *rounds.rglob(".*.partial.*")]:
        partial.unlink(missing_ok=True)
    keep = {_state_path(folder, round).name, _state_path(folder, round - 1).name, f"{round:04d}"}
    for path in rounds.iterdir():
        if path.is_dir() and path.name not in keep:
            shutil.rmtree(path)
        elif path.name not in keep:
            path.unlink(missing_ok=True)
    lines = _lines(folder)
    if any(line["round"] >= round and _is_report(line) for line in lines):
        _write_lines(folder, [line for line in lines if line["round"] < round])


def save_update(folder: Path, round: int, site: str, content: bytes) -> None:
    """Store a checked update of the running round as it was sent."""
    write_bytes(_site_path(folder, round, site, ".safetensors"), content)


def read_update(folder: Path, round: int, site: str) -> tuple[Update, int] | None:
    """A stored update, its arrays still on disk, and its size [bytes]; None if there is none that is whole."""
    path = _site_path(folder, round, site, ".safetensors")
    if not path.exists():
        return None
    try:
        return open_update(path), path.stat().st_size
    except UpdateRejected:
        return None  # damaged by the disk: the site is asked again


def save_refusal(folder: Path, round: int, site: str, reason: str) -> None:
    """Store why the site's update of the running round does not count."""
    write_json(_site_path(folder, round, site, ".refused.json"), {"reason": reason[:LONGEST]})


def read_refusal(folder: Path, round: int, site: str) -> str | None:
    """The stored reason, or None."""
    path = _site_path(folder, round, site, ".refused.json")
    return str(read_json(path)["reason"]) if path.exists() else None


def discard_refusals(folder: Path, round: int) -> None:
    """Forget the refusals of a round, so that the sites are asked again when the job is started again."""
    for path in (folder / _ROUNDS / f"{round:04d}").glob("*.refused.json"):
        path.unlink()


def masked_path(folder: Path, round: int, site: str) -> Path:
    """Where a site's update under masks lies."""
    return _site_path(folder, round, site, ".masked")


def region_path(folder: Path, round: int, region: str) -> Path:
    """Where the sum of a region's updates lies."""
    return _site_path(folder, round, region, ".region")


def save_survivors(folder: Path, round: int, sites: Sequence[str]) -> None:
    """Store of whose updates the sum is about to be asked for; a later attempt at the round may ask for no other."""
    write_json(_survivors_path(folder, round), {"sites": list(sites)})


def read_survivors(folder: Path, round: int) -> tuple[str, ...] | None:
    """The stored survivors of the running round, None if there are none.

    Raises: DataError: if the file is damaged.
    """
    path = _survivors_path(folder, round)
    return tuple(str(site) for site in read_json(path)["sites"]) if path.exists() else None


def save_report(folder: Path, report: RoundReport) -> None:
    """Add the round's line to `metrics.jsonl`, in the place of an older one of that round or of later ones."""
    _write_lines(folder, [line for line in _lines(folder) if line["round"] < report.round] + [asdict(report)])


def save_scores(folder: Path, round: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add what sites say of the models that came out, a line each, in the place of what they said before.

    Args:
        folder: the job's.
        round: number of closed rounds.
        rows: of the models, see `closing`; a line holds `trained`, which no round's line does.
    """
    _write_lines(folder, [*filter(_is_report, _lines(folder)), *({"round": round, **row} for row in rows)])


def forget_round(folder: Path, round: int) -> None:
    """Remove what is left of questions that were asked after the last round, numbered as the round that never was."""
    shutil.rmtree(folder / _ROUNDS / f"{round:04d}", ignore_errors=True)


def history(folder: Path) -> list[RoundReport]:
    """The reports of all closed rounds, in their order.

    Raises: DataError: if `metrics.jsonl` is damaged.
    """
    try:
        return [RoundReport(**line) for line in filter(_is_report, _lines(folder))]
    except TypeError as error:
        raise DataError(f"{folder / 'metrics.jsonl'} is damaged: {error}", "Remove the damaged line.") from error


def write_model(folder: Path, state: State) -> None:
    """Write the final model: `model.safetensors` (arrays by name) and `model.json` (what it is)."""
    write_bytes(folder / "model.safetensors", encode_model(state.arrays))
    content = {"flame": flame.__version__, "rounds": state.round, "sites": list(state.sites)}
    write_json(folder / "model.json", {**content, "job": state.job.model_dump(mode="json")})


def read_model(folder: Path) -> tuple[Job, dict[str, NDArray[np.float32]]]:
    """The job and the final arrays of a finished job's folder.

    Raises: DataError: if `model.json` or `model.safetensors` is missing or damaged.
    """
    about, arrays = folder / "model.json", folder / "model.safetensors"
    content = read_json(about)
    if not arrays.exists():
        raise DataError(f"{arrays} does not exist", "Check the path, or start the job again: it goes on.")
    try:
        return Job.model_validate(content["job"]), decode_arrays(arrays.read_bytes())[1]
    except (KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{about} describes no model: {error}", "Restore the file or train again.") from error


def encode_model(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """The model as it goes to a site and as it is kept at the end."""
    return encode_arrays(arrays, "{}")


def _same_job(path: Path, job: Job) -> None:
    mine, found = _flat(job.model_dump(mode="json")), _flat(read_job(path).model_dump(mode="json"))
    for key in sorted(mine.keys() | found.keys()):
        if mine.get(key) != found.get(key):
            raise ConfigError(
                f"{path} is another job: {key} = {found.get(key)!r}, asked for {mine.get(key)!r}",
                "Choose an empty folder, or ask for the job that the folder holds.",
            )


def _flat(tables: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tables.items():
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {key: value}
    return flat


def _state_path(folder: Path, round: int) -> Path:
    return folder / _ROUNDS / f"state-{round:04d}.safetensors"


def _site_path(folder: Path, round: int, site: str, suffix: str) -> Path:
    return folder / _ROUNDS / f"{round:04d}" / f"{site}{suffix}"


def _survivors_path(folder: Path, round: int) -> Path:
    return folder / _ROUNDS / f"{round:04d}" / "survivors.json"


def _is_report(line: Mapping[str, Any]) -> bool:
    return "trained" not in line


def _lines(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", "Remove the damaged line.") from error


def _write_lines(folder: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(line, allow_nan=False, ensure_ascii=False) + "\n" for line in lines)
    write_text(folder / "metrics.jsonl", text)
