"""How a site answers a question of the coordinator's with its own folders."""

from flame.federation.local import SiteTraining
from flame.federation.nvflare.study import SiteFolders
from flame.federation.rounds import State
from flame.federation.steps import answer

__all__ = ["answer_question"]


def answer_question(state: State, site: str, folders: SiteFolders) -> bytes:
    """Prepare the site's samples if that was not done before, train for the round, and say what changed.

    Raises: DataError: if the site's data can't be used.
    """
    from flame.learning.samples import build_stores
    from flame.records.dataset import read_site

    job = state.job
    store = folders.work / "samples" / job.context
    build_stores(read_site(folders.data), {job.context: store}, job.crop)
    return answer(SiteTraining(job, site, (store,)), site, state)
