"""A virtual multi-site trial on disk: settings, workers, and going on where an interrupted one stopped.

`OUT/trial.json` holds the settings, `OUT/sites/<site>/` a BIDS folder per site (all that anybody may learn from), and
`OUT/truth/<site>/<patient>/` what really happened and would have happened.
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from flame.errors import ConfigError
from flame.files import read_json, write_json
from flame.records.dataset import Site, write_site
from flame.settings import Settings
from flame.virtual.assignment import make_site
from flame.virtual.chart import load_chart
from flame.virtual.simulation import patient_id
from flame.virtual.truth import truth_path
from flame.virtual.writing import PatientJob, write_patient
from flame.workers import run

__all__ = ["Progress", "TrialSettings", "site_folder", "site_names", "write_trial"]

Progress = Callable[[int, int, str], None]
"""Called with patients done, patients in all, and the site of the one that was just finished."""


class TrialSettings(Settings):
    """What a virtual trial is made of.

    Attributes:
        sites: number of sites.
        patients: patients per site.
        seed: everything random follows from it.
        spacing_mm: voxel size of all images, a whole number [mm].
        confounding: 0 randomises the arm at every site, 1 fixes it by site. The default, 0.5, gives two thirds of a
            site's patients the site's own arm: sites prefer what they are equipped for, but arms overlap.
        workers: processes; they change nothing but the time it takes.
        counterfactuals: sites for whose patients the futures under the other arms are simulated; `all` or names.
    """

    sites: int = Field(5, ge=1, le=50)
    patients: int = Field(24, ge=1, le=999)
    seed: int = Field(7, ge=0)
    spacing_mm: float = Field(2.0, ge=1.0, le=6.0, multiple_of=1.0)
    confounding: float = Field(0.5, ge=0.0, le=1.0)
    workers: int = Field(2, ge=1)
    counterfactuals: Literal["all"] | tuple[str, ...] = "all"


def site_names(settings: TrialSettings) -> tuple[str, ...]:
    """Names of the trial's sites: site-1, site-2, …"""
    return tuple(f"site-{index + 1}" for index in range(settings.sites))


def site_folder(out: Path, site: str) -> Path:
    """The BIDS folder of a site."""
    return out / "sites" / site


def _open(out: Path, settings: TrialSettings) -> None:
    """Start a trial folder, or go on with one that was started with the same settings."""
    path = out / "trial.json"
    described = settings.model_dump(mode="json", exclude={"workers"})
    if not path.exists():
        if out.exists() and any(out.iterdir()):
            raise ConfigError(f"{out} is not empty and holds no trial", "Choose a new folder.")
        write_json(path, {"settings": described, "version": version("flame")})
        return
    try:
        earlier = TrialSettings.model_validate(read_json(path)["settings"]).model_dump(mode="json")
    except (KeyError, TypeError, ValidationError) as error:
        raise ConfigError(f"{path} does not describe a trial", "Choose a new folder.") from error
    for name, value in described.items():
        if earlier[name] != value:
            raise ConfigError(
                f"{out} holds a trial with {name} = {earlier[name]!r}, not {value!r}",
                "Use the same settings to go on with it, or choose a new folder.",
            )


def _jobs(out: Path, settings: TrialSettings) -> list[PatientJob]:
    """One job per patient, in order of site and number."""
    everywhere = settings.counterfactuals == "all"
    jobs = []
    for index, name in enumerate(site_names(settings)):
        profile = make_site(settings.seed, index)
        for number in range(settings.patients):
            jobs.append(
                PatientJob(
                    out=out,
                    seed=settings.seed,
                    site=profile,
                    patient_id=patient_id(index, number),
                    spacing_mm=settings.spacing_mm,
                    confounding=settings.confounding,
                    all_arms=everywhere or name in settings.counterfactuals,
                )
            )
    return jobs


def write_trial(out: Path, settings: TrialSettings, progress: Progress = lambda _done, _total, _site: None) -> None:
    """Simulate and write a trial; patients that are already complete are left as they are.

    Raises: ConfigError: if `out` holds something else or a trial with other settings, or a site to simulate the other
        arms for does not exist.
    """
    unknown = set(settings.counterfactuals) - set(site_names(settings)) if settings.counterfactuals != "all" else set()
    if unknown:
        raise ConfigError(
            f"There is no site {sorted(unknown)[0]!r} in a trial of {settings.sites} sites",
            f"Choose counterfactuals from {', '.join(site_names(settings))}.",
        )
    _open(out, settings)
    jobs = _jobs(out, settings)
    todo = [job for job in jobs if not truth_path(out, job.site.name, job.patient_id).exists()]
    done = len(jobs) - len(todo)

    def count(site: str) -> None:
        nonlocal done
        done += 1
        progress(done, len(jobs), site)

    if todo and settings.workers > 1:
        # The first patient alone fills the caches of compiled code and tissue maps for the workers.
        run(write_patient, todo[:1], 1, count)
        todo = todo[1:]
    run(write_patient, todo, settings.workers, count)
    for name in site_names(settings):
        patients = (load_chart(truth_path(out, name, job.patient_id)) for job in jobs if job.site.name == name)
        write_site(Site(name, site_folder(out, name), tuple(patients)))
