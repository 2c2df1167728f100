"""The coordinator's side of a round under masks: keys, shares, masked updates, and the unmasking of their sum.

A function of the state and of whatever carries messages (`stages.Ask`). What the coordinator must know after a kill is
on disk before it asks: of whose updates it has asked for the sum. Everything else is begun again, with new keys.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from flame.errors import EngineError, UpdateRejected
from flame.federation import folder as files
from flame.federation.credentials import check_credential
from flame.federation.folder import RoundReport
from flame.federation.job import Limits
from flame.federation.letters import Letter, deliver
from flame.federation.masks import decode_masked, open_masked
from flame.federation.messages import decode_message, encode_message
from flame.federation.privacy import (
    SecureMean,
    UnmaskAnswer,
    UnmaskRequest,
    check_answer,
    check_masked,
    close_secure_round,
    request_unmasking,
    secure_terms,
    unmask,
)
from flame.federation.roster import Roster, Terms, check_keys, make_roster, rejected, require_threshold
from flame.federation.rounds import State
from flame.federation.seat import CertifiedKeys, Directory, Letters
from flame.federation.stages import KEYS, SHARES, UNMASK, UPDATE, Ask, Stage, question
from flame.federation.steps import explained, refusals
from flame.files import write_bytes

__all__ = ["secure_round"]

_LETTERS_S = 30.0
"""How long sites have at least for what takes them no time, before a round goes on without the silent ones [s]."""


def secure_round(
    state: State, folder: Path, authority: bytes, ask: Ask, seconds: Callable[[], float]
) -> tuple[State, RoundReport]:
    """Run the running round, and save its report and the next state.

    Args:
        state: the running round.
        folder: the job's.
        authority: certificate of the study's authority, PEM.
        ask: carries messages.
        seconds: since the round began.

    Raises: EngineError: if too few sites answer, or the sum can't be unmasked. A new start goes on in this round.
    """
    files.discard_refusals(folder, state.round)  # of an earlier attempt
    gathering = _Gathering(state, folder, authority, ask)
    with explained(folder, state.round, partial(refusals, folder, state, ())):
        mean = gathering.mean()
    following = close_secure_round(state, mean)
    report = RoundReport(
        round=state.round,
        samples=dict.fromkeys(mean.sites),
        scalars={"all": {"samples": float(mean.samples)}},
        bytes_up=dict(gathering.up),
        bytes_down=dict(gathering.down),
        refused=refusals(folder, state, mean.sites),
        seconds=round(seconds(), 3),
    )
    files.save_report(folder, report)
    files.save_state(folder, following)
    return following, report


@dataclass(frozen=True)
class _Gathering:
    """One round's messages, counted."""

    state: State
    folder: Path
    authority: bytes
    ask: Ask
    up: Counter[str] = field(default_factory=Counter)
    down: Counter[str] = field(default_factory=Counter)

    def mean(self) -> SecureMean:
        """All four stages."""
        terms, bound = secure_terms(self.state), files.read_survivors(self.folder, self.state.round)
        roster, inboxes = self._roster(terms, bound)
        arrived = self._masked(roster, inboxes, len(bound) if bound else terms.threshold)
        if bound and arrived != set(bound):
            raise _not_again(terms.round, set(bound) - arrived)
        request = request_unmasking(roster, arrived)
        files.save_survivors(self.folder, terms.round, request.survivors)
        answers = self._answers(roster, request)
        paths = [files.masked_path(self.folder, terms.round, site) for site in request.survivors]
        try:
            return unmask(roster, request, map(open_masked, paths), answers)
        except UpdateRejected as error:
            raise EngineError(
                f"Round {terms.round} can't be unmasked: {error.message}", "Begin the job anew without this site."
            ) from error

    def _roster(self, terms: Terms, bound: Collection[str] | None) -> tuple[Roster, Mapping[str, tuple[Letter, ...]]]:
        """Keys and letters of sites that wrote to all others; who does not is left out, and all begin again."""
        sites = list(bound or terms.sites)
        while True:
            keys = self._keys(terms, sites, bound is not None)
            if bound and set(keys) != set(bound):
                raise _not_again(terms.round, set(bound) - set(keys))
            roster = make_roster(
                terms,
                [one.keys for one in keys.values()],
                {site: one.credential.public_key for site, one in keys.items()},
            )
            letters = self._letters(roster, Directory(tuple(keys[site] for site in roster.keys)))
            if set(letters) == set(roster.keys):
                return roster, deliver(roster, [one for box in letters.values() for one in box])
            sites = sorted(letters)
            require_threshold(terms, len(sites), "shares")

    def _keys(self, terms: Terms, sites: list[str], needs_all: bool) -> dict[str, CertifiedKeys]:
        keys: dict[str, CertifiedKeys] = {}

        def keep(site: str, content: bytes) -> None:
            one = decode_message(CertifiedKeys, content)
            _same(site, one.keys.site)
            public_key = check_credential(one.credential, site, self.authority, datetime.now(UTC))
            check_keys(terms, one.keys, {site: public_key})
            keys[site] = one

        quorum = len(sites) if needs_all else terms.threshold
        self._ask(KEYS, dict.fromkeys(sites, question(self.state)), keep, self._limits(quorum))
        require_threshold(terms, len(keys), "keys")
        return keys

    def _letters(self, roster: Roster, directory: Directory) -> dict[str, tuple[Letter, ...]]:
        letters: dict[str, tuple[Letter, ...]] = {}
        terms = roster.terms

        def keep(site: str, content: bytes) -> None:
            box = decode_message(Letters, content).letters
            if any((one.job_hash, one.round, one.sender) != (terms.job_hash, terms.round, site) for one in box):
                raise rejected(site, "sent letters of another round or site")
            if sorted(one.receiver for one in box) != [one for one in roster.keys if one != site]:
                raise rejected(site, "did not write to every other site once")
            letters[site] = box

        self._ask(
            SHARES,
            dict.fromkeys(roster.keys, encode_message(directory)),
            keep,
            self._quick(terms.threshold, for_all=True),
        )
        return letters

    def _masked(self, roster: Roster, inboxes: Mapping[str, tuple[Letter, ...]], quorum: int) -> set[str]:
        """Sites whose masked updates are stored."""
        arrived = set()

        def keep(site: str, content: bytes) -> None:
            masked = decode_masked(content)
            _same(site, masked.site)
            check_masked(roster, masked)
            write_bytes(files.masked_path(self.folder, self.state.round, site), content)
            arrived.add(site)

        messages = {site: encode_message(Letters(inbox)) for site, inbox in inboxes.items()}
        self._ask(UPDATE, messages, keep, self._limits(quorum))
        return arrived

    def _answers(self, roster: Roster, request: UnmaskRequest) -> list[UnmaskAnswer]:
        answers = []

        def keep(site: str, content: bytes) -> None:
            answer = decode_message(UnmaskAnswer, content)
            _same(site, answer.site)
            check_answer(roster, request, answer)
            answers.append(answer)

        messages = dict.fromkeys(request.survivors, encode_message(request))
        self._ask(UNMASK, messages, keep, self._quick(roster.terms.threshold))
        return answers

    def _limits(self, quorum: int) -> Limits:
        return self.state.job.limits.model_copy(update={"quorum": quorum})

    def _quick(self, quorum: int, for_all: bool = False) -> Limits:
        """For what takes a site no time: a short wait, which ends with the quorum, or when all have answered."""
        wait_s = max(self.state.job.limits.grace_s, _LETTERS_S)
        return Limits(quorum=quorum, grace_s=wait_s if for_all else 0, deadline_s=wait_s)

    def _ask(
        self, stage: Stage, messages: Mapping[str, bytes], keep: Callable[[str, bytes], None], limits: Limits
    ) -> None:
        def count(site: str, content: bytes) -> str | None:
            self.up[site] += len(content)
            try:
                keep(site, content)
            except UpdateRejected as error:
                files.save_refusal(self.folder, self.state.round, site, error.message)
                return error.message
            return None

        for site, message in messages.items():
            self.down[site] += len(message)
        self.ask(self.state, stage, messages, count, limits)


def _same(sender: str, named: str) -> None:
    if named != sender:
        raise rejected(sender, f"says that it is {named!r}")


def _not_again(number: int, missing: Collection[str]) -> EngineError:
    return EngineError(
        f"Round {number} was about to be unmasked for sites of which {', '.join(sorted(missing))} did not come back",
        "Hand the job in again when they are there; if one never comes back, begin a job anew: a sum over other sites "
        "would show a single update.",
    )
