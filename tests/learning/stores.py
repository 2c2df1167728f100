"""Sample stores in memory, made of small patients, for tests."""

import numpy as np
from tests.models.patients import patient

from flame.imaging.prepare import Context
from flame.learning.endpoint import is_responder
from flame.learning.samples import SampleStore
from flame.learning.targets import horizons_of, targets
from flame.models.encoding import encode, halved


def store(
    radii_mm: list[tuple[float, ...]],
    days: tuple[int, ...] = (-14, 70, 133, 224),
    context: Context = "first_post_rt",
    site: str = "site-1",
) -> SampleStore:
    """One patient for each series of radii."""
    patients = [patient(f"p{n}", radii, days[: len(radii)], seed=n) for n, radii in enumerate(radii_mm)]
    seen = [encode(one, one.courses[0], context) for one in patients]
    horizons = horizons_of(context)
    labels = np.zeros((len(patients), len(horizons), *patients[0].grid.shape), np.uint8)
    when = np.full((len(patients), len(horizons)), np.nan, np.float32)
    for number, one in enumerate(patients):
        for target in targets(one, one.courses[0], horizons):
            at = horizons.index(target.nominal)
            labels[number, at], when[number, at] = target.label_map, target.horizon
    known = [is_responder(one, one.courses[0]) for one in patients]
    return SampleStore(
        site=site,
        patients=tuple(one.patient.id for one in patients),
        arms=("photon",) * len(patients),
        excluded=(),
        volumes=np.stack([one.volumes for one in seen]),
        halved=np.stack([halved(one.volumes) for one in seen]),
        scalars=np.stack([one.scalars for one in seen]),
        labels=labels,
        days=when,
        responder=np.array([np.nan if one is None else one for one in known], np.float32),
    )
