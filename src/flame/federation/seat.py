"""A site's side of rounds under masks: the site's own rules first, then keys, shares, the masked update, unmasking.

All secrets of a round stay in memory: a site whose process ends has dropped out of the round. What must outlive it is
in the ledger: whose sum the site has helped to unmask.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pydantic import with_config

from flame.errors import PolicyError, UpdateRejected
from flame.federation.credentials import Credential, Passport, check_credential, make_credential
from flame.federation.gate import (
    Admission,
    Answer,
    House,
    Refused,
    admit,
    note_refusal,
    record_sent,
    site_ledger,
    trained,
)
from flame.federation.job import job_hash
from flame.federation.letters import Letter, Member, Sharing, open_shares, share_secrets
from flame.federation.masks import encode_masked
from flame.federation.messages import WIRE, decode_message, encode_message
from flame.federation.privacy import UnmaskRequest, answer_request, mask_update, secure_terms
from flame.federation.roster import OwnKeys, PublicKeys, make_keys, make_roster
from flame.federation.rounds import State
from flame.federation.stages import KEYS, SHARES, UNMASK, UPDATE, Stage, read_question
from flame.federation.update import encode
from flame.site.entries import Received, Sent, Unmasked, digest
from flame.site.history import recorded
from flame.site.identity import read_identity

__all__ = ["CertifiedKeys", "Directory", "Letters", "Seat"]

_log = logging.getLogger(__name__)

_KEPT_BACK = "its update is not within the job's bounds or its own rules; the site's own log says more"
"""Nothing of an update under masks is told, nor of why it is kept back: a norm, a number of samples."""


@with_config(WIRE)
@dataclass(frozen=True)
class CertifiedKeys:
    """A site's keys of a round, and the proof that the identity that signed them is the site's."""

    keys: PublicKeys
    credential: Credential


@with_config(WIRE)
@dataclass(frozen=True)
class Directory:
    """The keys of all sites of a round, as the coordinator passes them on."""

    keys: tuple[CertifiedKeys, ...]


@with_config(WIRE)
@dataclass(frozen=True)
class Letters:
    """Letters from one site to all others, or to one site from all others."""

    letters: tuple[Letter, ...]


@dataclass(frozen=True)
class _Round:
    """The round that a site is in: its leave to train, its secrets so far, the hash of the update under its mask."""

    admission: Admission
    secrets: OwnKeys | Sharing | Member
    update: str = ""

    @property
    def about(self) -> dict[str, object]:
        """Job and number, as the ledger names them."""
        return {"job": job_hash(self.admission.state.job), "round": self.admission.state.round}


class Seat:
    """A site's seat in the rounds of its process.

    Args:
        house: the site.
        passport: of its start-up kit.
        study: names of the study's sites, by its start-up kit.
    """

    def __init__(self, house: House, passport: Passport, study: Collection[str]) -> None:
        self._house, self._passport, self._study = house, passport, frozenset(study)
        self._round: _Round | None = None

    def answer(self, stage: Stage, content: bytes, now: datetime) -> Answer | Refused:
        """Answer a question of a round.

        Args:
            stage: which question; `KEYS` opens a round, and ends an earlier one or an earlier attempt.
            content: the message.
            now: local time.

        Returns: what leaves; or why nothing does, in words that may leave, and the site is out of the round.
        Raises: as `gate.admit`.
        """
        found, self._round = self._round, None
        if stage == KEYS:
            state = read_question(content)
            return self._told(state, self._keys(state, now))
        if found is None:
            return self._lost()
        return self._told(found.admission.state, self._further(found, stage, content, now))

    def _told(self, state: State, answer: Answer | Refused) -> Answer | Refused:
        """The answer, after the ledger has the reason if it is none."""
        if isinstance(answer, Refused):
            note_refusal(state, self._house, answer)
        return answer

    def _further(self, found: _Round, stage: Stage, content: bytes, now: datetime) -> Answer | Refused:
        """The stages after the keys."""
        if not isinstance(found.secrets, _SECRETS[stage]):
            return self._lost()
        try:
            self._note_received(found, stage, content)
            match found.secrets:
                case OwnKeys() as own:
                    return self._shares(found, own, content, now)
                case Sharing() as sharing:
                    return self._masked(found, sharing, content)
                case Member() as member:
                    return self._unmasking(found, member, content)
        except UpdateRejected as error:
            return Refused(error.message)

    def _lost(self) -> Refused:
        return Refused(f"{self._house.site} has no secrets of this round: its process was started anew")

    def _keys(self, state: State, now: datetime) -> Answer | Refused:
        if not state.job.privacy.secure_aggregation:
            return Refused("the job asks for no secure aggregation, and was asked as if it did")
        strangers = sorted(set(state.sites) - self._study)
        if strangers or self._house.site not in state.sites:
            return Refused(f"the sum would be of {', '.join(state.sites)}, not of sites of this study with this one")
        admission = admit(state, self._house, now)
        if isinstance(admission, Refused):
            return admission
        identity, site = read_identity(self._house.work), self._house.site
        own = make_keys(secure_terms(state), site, identity)
        keys = CertifiedKeys(own.public, make_credential(site, identity.public_key, self._passport))
        return self._sent(_Round(admission, own), KEYS, encode_message(keys))

    def _shares(self, found: _Round, own: OwnKeys, content: bytes, now: datetime) -> Answer:
        keys = decode_message(Directory, content).keys
        moment, authority = now.astimezone(UTC), self._passport.authority
        enrolled = {one.keys.site: check_credential(one.credential, one.keys.site, authority, moment) for one in keys}
        roster = make_roster(secure_terms(found.admission.state), [one.keys for one in keys], enrolled)
        sharing, letters = share_secrets(own, roster)
        return self._sent(replace(found, secrets=sharing), SHARES, encode_message(Letters(letters)))

    def _masked(self, found: _Round, sharing: Sharing, content: bytes) -> Answer | Refused:
        earlier = self._earlier(found)
        survivors = None if earlier is None else earlier.survivors
        member = open_shares(sharing, decode_message(Letters, content).letters, survivors)
        update = trained(found.admission)
        if isinstance(update, Refused):
            _log.warning("round %d: %s", found.admission.state.round, update.reason)
            return Refused(_KEPT_BACK)
        plain = digest(encode(update))
        if earlier is not None and earlier.update != plain:
            return Refused("the round was unmasked before with another update of this site; its data have changed")
        try:
            member, masked = mask_update(member, update)
        except UpdateRejected as error:
            _log.warning("round %d: %s", found.admission.state.round, error.message)
            return Refused(_KEPT_BACK)
        self._round = _Round(found.admission, member, plain)
        sent = encode_masked(masked)
        return Answer(sent, record_sent(found.admission, update, sent, UPDATE.answer))

    def _unmasking(self, found: _Round, member: Member, content: bytes) -> Answer | Refused:
        self._round = found  # it may be asked again, as after a lost connection
        try:
            member, answer = answer_request(member, decode_message(UnmaskRequest, content))
        except PolicyError as error:
            return Refused(error.message)
        with site_ledger(self._house) as ledger:  # another process of this site may be in the same round
            earlier = self._earlier(found)
            if earlier is not None and (earlier.survivors, earlier.update) != (answer.survivors, found.update):
                return Refused("another sum of this round was unmasked before")
            if earlier is None:
                about = {"survivors": answer.survivors, "update": found.update}
                ledger.append(Unmasked.model_validate({**found.about, **about}))
        return self._sent(replace(found, secrets=member), UNMASK, encode_message(answer))

    def _earlier(self, found: _Round) -> Unmasked | None:
        """What the site has unmasked of this round already, if anything."""
        same = (found.about["job"], found.about["round"])
        events = [one for one in recorded(self._house.work) if isinstance(one, Unmasked)]
        return next((one for one in events if (one.job, one.round) == same), None)

    def _note_received(self, found: _Round, stage: Stage, content: bytes) -> None:
        what = {"peer": self._house.peer, "kind": stage.question, "digest": digest(content), "bytes": len(content)}
        with site_ledger(self._house) as ledger:
            ledger.append(Received.model_validate({**found.about, **what}))

    def _sent(self, after: _Round, stage: Stage, content: bytes) -> Answer:
        """Note what is about to leave; the site is in the round as `after` says."""
        what = {"peer": self._house.peer, "kind": stage.answer, "digest": digest(content), "bytes": len(content)}
        with site_ledger(self._house) as ledger:
            ledger.append(Sent.model_validate({**after.about, **what, "arrays": ()}))
            self._round = after
            return Answer(content, ledger.known_head)


_SECRETS: Mapping[Stage, type] = {SHARES: OwnKeys, UPDATE: Sharing, UNMASK: Member}
"""What a site must hold to be asked a question."""
