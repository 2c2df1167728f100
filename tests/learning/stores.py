"""Sample stores in memory, made of small patients, for tests."""

import numpy as np
from tests.models.patients import patient

from flame.imaging.prepare import Context
from flame.learning.endpoint import is_responder
from flame.learning.samples import SampleStore
from flame.learning.views import views
from flame.models.encoding import encode_exams


def store(
    radii_mm: list[tuple[float, ...]],
    days: tuple[int, ...] = (-14, 70, 133, 224),
    context: Context = "first_post_rt",
    site: str = "site-1",
) -> SampleStore:
    """One patient for each series of radii."""
    patients = [patient(f"p{n}", radii, days[: len(radii)], seed=n) for n, radii in enumerate(radii_mm)]
    found = [views(one, one.courses[0], context) for one in patients]
    seen = [(n, of_one[0]) for n, of_one in enumerate(found)]
    seen += [(n, view) for n, of_one in enumerate(found) for view in of_one[1:]]
    inputs = [encode_exams(patients[n], patients[n].courses[0], view.exams) for n, view in seen]
    known = [is_responder(one, one.courses[0]) for one in patients]
    return SampleStore(
        site=site,
        context=context,
        patients=tuple(one.patient.id for one in patients),
        arms=("photon",) * len(patients),
        excluded=(),
        owner=np.array([n for n, _ in seen]),
        volumes=np.stack([one.volumes for one in inputs]),
        scalars=np.stack([one.scalars for one in inputs]),
        labels=np.stack([view.labels for _, view in seen]),
        days=np.stack([view.days for _, view in seen]),
        halved=np.stack([one.halved for one in inputs[: len(patients)]]),
        responder=np.array([np.nan if one is None else one for one in known], np.float32),
    )
