"""A FLAME job as the engine takes it: a folder of configuration, no code, and handing it in as a person."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nvflare.fuel.flare_api.api_spec import AuthorizationError, InternalError, NoConnection, NoReply, SessionClosed
from nvflare.fuel.flare_api.flare_api import new_secure_session
from nvflare.fuel.utils.config_service import ConfigService

from flame.errors import ConfigError, EngineError
from flame.federation.job import Job, job_hash
from flame.federation.local import initial_arrays
from flame.federation.nvflare.messages import STOP
from flame.federation.nvflare.study import read_kit
from flame.federation.privacy import secure_terms
from flame.federation.region_round import require_region_job
from flame.federation.rounds import first_state
from flame.federation.stages import STAGES, TRAIN
from flame.files import write_json

__all__ = ["ask_status", "connected", "is_active", "pause", "stop", "submit", "write_engine_job"]

_POLL_S = 0.25
"""How often a site that waits asks for the next question [s]; the engine's own 2 s would be paid at each stage."""

_POLLS_A_SECOND = 40
"""What all sites together may ask; each poll costs the coordinator about 10 ms of a processor."""

_CONTROLLER = "flame.federation.nvflare.controller.RoundController"
_EXECUTOR = "flame.federation.nvflare.executor.SiteExecutor"
_REGION_EXECUTOR = "flame.federation.nvflare.region.RegionExecutor"
_NO_REGIONS: Mapping[str, Sequence[str]] = MappingProxyType({})
_LISTS: Mapping[str, list[Any]] = {"components": [], "task_data_filters": [], "task_result_filters": []}


def write_engine_job(
    job: Job, sites: Sequence[str], out: Path, regions: Mapping[str, Sequence[str]] = _NO_REGIONS
) -> Path:
    """Write a job as the engine's folder: names of FLAME's own classes, and the job as their argument.

    Args:
        job: the job.
        sites: that take part.
        out: the folder is made below it.
        regions: name -> its sites that take part, if the study has regions.

    Returns: the folder.
    """
    folder = out / job_hash(job)[:16]
    controller = {
        "id": "rounds",
        "path": _CONTROLLER,
        "args": {
            "job": job.model_dump_json(),
            "sites": list(sites),
            "regions": {region: list(members) for region, members in regions.items()},
        },
    }
    # Sites that drop out are missed soon, and their certificates let them come back.
    patience = {"dead_client_grace_period": 10.0, "dead_client_check_lead_time": 5.0}
    write_json(
        folder / "app" / "config" / "config_fed_server.json",
        {
            "format_version": 2,
            "server": {"task_request_interval": max(_POLL_S, len(sites) / _POLLS_A_SECOND)},
            **patience,
            "workflows": [controller],
            **_LISTS,
        },
    )
    _write_client(folder / "app", list(STAGES), _EXECUTOR)
    deployed: dict[str, list[str]] = {"app": ["@ALL"]}
    if regions:
        _write_client(folder / "region", [TRAIN.name], _REGION_EXECUTOR)
        deployed = {"app": ["server", *sites], "region": list(regions)}
    about = {"name": folder.name, "resource_spec": {}, "min_clients": job.limits.quorum}
    write_json(folder / "meta.json", {**about, "deploy_map": deployed})
    return folder


def _write_client(app: Path, tasks: list[str], executor: str) -> None:
    executors = [{"tasks": tasks, "executor": {"path": executor, "args": {}}}]
    write_json(app / "config" / "config_fed_client.json", {"format_version": 2, "executors": executors, **_LISTS})


@contextmanager
def connected(kit: Path, timeout_s: float = 20.0) -> Iterator[Any]:
    """A person's connection to the coordinator, closed at the end of the block.

    Raises:
        ConfigError: if the kit is not a person's.
        EngineError: if the coordinator can't be reached.
    """
    found = read_kit(kit)
    if found.kind != "person":
        raise ConfigError(f"{kit} is the kit of a {found.kind}", "Name the kit of a person.")
    where = f"{found.study.address}:{found.study.port}"
    ConfigService.initialize({}, [str(kit / "startup")])  # or it takes what lies anywhere below the working folder
    try:
        connection = new_secure_session(found.name, str(kit), timeout=timeout_s, command_timeout=timeout_s)
    except NoConnection as error:
        raise EngineError(
            f"The coordinator at {where} does not answer",
            "Start it, or look at name, port and firewall.",
        ) from error
    try:
        yield connection
    except (NoConnection, SessionClosed, InternalError, NoReply) as error:
        raise EngineError(f"The coordinator at {where} went away", "Try again when it is back.") from error
    except AuthorizationError as error:
        raise ConfigError(f"{found.name} may not do this in the study", "Ask a person with another role.") from error
    finally:
        connection.close()


def submit(kit: Path, job: Job, sites: Sequence[str]) -> str:
    """Hand a job in.

    Returns: the engine's id of the job.
    Raises: ConfigError: if a site is not in the study, masks are not possible with these sites and bounds, or the
        study has regions and the job does not go with them;
        EngineError: if the coordinator can't be reached.
    """
    study = read_kit(kit).study
    known = {site.name for site in study.sites}
    unknown = sorted(set(sites) - known)
    if unknown:
        raise ConfigError(
            f"There is no site {unknown[0]!r} in the study",
            f"Choose from {', '.join(sorted(known))}.",
        )
    if job.privacy.secure_aggregation:
        secure_terms(first_state(job, sites, initial_arrays(job)))
    regions = study.members(sites)
    if regions:
        require_region_job(job)
    with connected(kit) as connection, tempfile.TemporaryDirectory() as folder:
        return str(connection.submit_job(str(write_engine_job(job, sites, Path(folder), regions))))


def pause(kit: Path, job: Job) -> None:
    """Ask a running job to end after its present round.

    Raises: ConfigError: if it is not running; EngineError: if the coordinator can't be reached.
    """
    with connected(kit) as connection:
        connection.do_app_command(_running(connection, job), STOP, {})


def stop(kit: Path, job: Job) -> None:
    """End a running job at once; its present round is done again when it is handed in again, which nobody but a person
    then does.

    Raises: ConfigError: if it is not running; EngineError: if the coordinator can't be reached.
    """
    with connected(kit) as connection:
        number = _running(connection, job)
        connection.do_app_command(number, STOP, {})  # leaves a word for the supervisor
        connection.abort_job(number)


def is_active(kit: Path, job: Job) -> bool:
    """Whether the engine is running a job, or is about to.

    Raises: EngineError: if the coordinator can't be reached.
    """
    with connected(kit) as connection:
        return any(not _has_ended(one["status"]) for one in _handed_in(connection, job))


def _running(connection: Any, job: Job) -> str:
    """The engine's id of a job that runs."""
    found = [str(one["job_id"]) for one in _handed_in(connection, job) if not _has_ended(one["status"])]
    if not found:
        raise ConfigError("The job is not running", "Look at: flame coordinator status KIT")
    return found[-1]


def _handed_in(connection: Any, job: Job) -> list[dict[str, Any]]:
    return list(connection.list_jobs(name_prefix=job_hash(job)[:16]))


def _has_ended(status: str) -> bool:
    return status.startswith("FINISHED")


def ask_status(kit: Path) -> tuple[set[str], list[tuple[str, str, str]]]:
    """Sites that are connected; and name, engine's status and time of handing in of every job.

    Raises: EngineError: if the coordinator can't be reached.
    """
    with connected(kit) as connection:
        sites = {one.name for one in connection.get_connected_client_list()}
        jobs = connection.list_jobs()
    return sites, [(str(one["job_name"]), str(one["status"]), str(one.get("submit_time", ""))) for one in jobs]
