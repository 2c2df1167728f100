"""What of a job nobody on the line may read, as text and as arrays."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from nvflare.fuel.utils import fobs
from nvflare.private.fed.utils.fed_utils import fobs_initialize
from tests.scenarios.deployment import SITES, Deployment

from flame.federation.folder import read_model, read_state
from flame.federation.job import Job, job_hash
from flame.federation.local import SiteTraining, initial_arrays
from flame.federation.nvflare.messages import asking, refused
from flame.federation.rounds import first_state
from flame.federation.stages import question
from flame.federation.steps import answer
from flame.federation.update import decode
from flame.learning.samples import build_stores
from flame.records.dataset import read_site

__all__ = ["Secrets", "secrets_of"]


class Secrets:
    """What a job exchanged with a site.

    Attributes:
        words: names of arrays, files, folders and patients, and pieces of the job.
        arrays: models of the first and the last rounds, and the site's first update.
        messages: the same as the engine writes it before it is encrypted: question, update, and reason for a refusal.
    """

    def __init__(self, words: set[str], arrays: list[np.ndarray], messages: list[bytes]) -> None:
        self.words, self.arrays, self.messages = words, arrays, messages


def secrets_of(job: Job, run: Path, deployment: Deployment, site: str, folder: Path) -> Secrets:
    """Collect them for one site of a finished job; `folder` is for the samples that the site's update is made from."""
    data = deployment.trial / "sites" / site
    first = first_state(job, SITES, initial_arrays(job))
    build_stores(read_site(data), {job.context: folder}, job.crop)
    update = answer(SiteTraining(job, site, (folder,)), site, first)
    models = [first.arrays, read_state(run, job.rounds - 1).arrays, read_model(run)[1], decode(update).arrays]
    names = set(first.arrays) | set(_files(deployment, site)) | {one.id for one in read_site(data).patients}
    text = {job_hash(job), job.context, "batch_size", "max_update_norm", "flame-update/1"}
    fobs_initialize()
    named = "\n".join(sorted(names))
    messages = [fobs.dumps(asking(question(first))), update, fobs.dumps(refused(named))]
    return Secrets(names | text, [array for model in models for array in model.values()], messages)


def _files(deployment: Deployment, site: str) -> Iterator[str]:
    """Names of the site's files and folders that say something, and where they lie."""
    for root in (deployment.trial / "sites" / site, deployment.work(site)):
        yield str(root)
        yield from (path.name for path in root.rglob("*") if len(path.name) >= 6)
