"""A site's answer once the rounds are over, under its own rules: a score of a model, or a model trained alone."""

from datetime import datetime

from flame.federation.gate import (
    Admission,
    Answer,
    House,
    Refused,
    admit,
    allowed,
    has_changed,
    note_refusal,
    record_sent,
    site_ledger,
)
from flame.federation.local import SiteTraining
from flame.federation.messages import encode_message
from flame.federation.rounds import State
from flame.federation.scores import NOBODY, scored, trained_alone
from flame.federation.selection import SCORE
from flame.federation.stages import ALONE, Stage
from flame.federation.stages import SCORE as SCORING
from flame.federation.update import encode
from flame.site.entries import Sent, digest

__all__ = ["gated_closing"]


def gated_closing(stage: Stage, state: State, house: House, now: datetime) -> Answer | Refused:
    """Answer a question that is asked after the last round, if the site's rules allow it.

    Args:
        stage: `ALONE` or `SCORE`.
        state: the question, with the model that it is about.
        house: the site.
        now: local time.

    Returns: what leaves; or why nothing does, in words that may leave.
    Raises: as `gate.admit`.
    """
    admission = admit(state, house, now, stage)
    if isinstance(admission, Refused):
        found: Answer | Refused = admission
    else:
        found = _own_model(admission) if stage == ALONE else _score(admission)
    if isinstance(found, Refused):
        note_refusal(state, house, found)
    return found


def _own_model(admission: Admission) -> Answer | Refused:
    update = allowed(admission, trained_alone(_training(admission), admission.house.site, admission.state))
    if isinstance(update, Refused):
        return update
    content = encode(update)
    return Answer(content, record_sent(admission, update, content, ALONE.answer))


def _score(admission: Admission) -> Answer | Refused:
    house = admission.house
    found = scored(_training(admission), house.site, admission.state)
    if found is None:
        return Refused(NOBODY)
    if has_changed(admission):
        return Refused("the site's patients changed while the model was scored")
    content = encode_message(found)
    sent = Sent(
        job=found.job,
        round=admission.state.round,
        peer=house.peer,
        kind=SCORING.answer,
        digest=digest(content),
        bytes=len(content),
        samples=found.patients,
        arrays=(),
        scalars={SCORE: found.score},
    )
    with site_ledger(house) as ledger:
        ledger.append(sent)
        return Answer(content, ledger.known_head)


def _training(admission: Admission) -> SiteTraining:
    return SiteTraining(admission.state.job, admission.house.site, (admission.store,))
