"""A secure round: the coordinator gets the plain mean and nothing else; every way around that is refused."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tests.federation.secure_rounds import names, play, terms, update

from flame.errors import EngineError, PolicyError, UpdateRejected
from flame.federation.aggregate import fedavg
from flame.federation.job import FedAdam, Job, Limits, job_hash
from flame.federation.masks import decode_masked, encode_masked, reduced
from flame.federation.privacy import (
    answer_request,
    check_masked,
    close_secure_round,
    mask_update,
    request_unmasking,
    secure_terms,
    unmask,
)
from flame.federation.rounds import close_round, first_state
from flame.federation.update import Update

TERMS = terms(5)
A, B, C, D, E = TERMS.sites
UPDATES = {site: update(TERMS, site, size=9.999) for site in TERMS.sites}
PLAYED = play(TERMS, UPDATES.values())


def as_bytes(mean):
    return {name: array.tobytes() for name, array in mean.arrays.items()}


def assert_close(agreed, mean, updates):
    """Equal to `fedavg` but for the error of fixed point and the rounding of both to float32."""
    plain = fedavg(updates)
    assert list(mean.arrays) == list(plain)
    assert mean.samples == sum(one.samples for one in updates)
    for name, array in plain.items():
        assert mean.arrays[name].dtype == np.float32
        assert mean.arrays[name].shape == array.shape
        allowed = agreed.fixed_point.error * (1 + 1e-9) + np.spacing(np.abs(array)).astype(float)
        assert np.all(np.abs(mean.arrays[name].astype(float) - array) <= allowed)


@st.composite
def rounds(draw):
    """Terms, updates of the sites that send one, and the sites that show no keys."""
    number = draw(st.integers(3, 6))
    shapes = draw(st.dictionaries(st.sampled_from("abc"), array_shapes(min_dims=0, max_dims=2, max_side=4), min_size=1))
    agreed = terms(number, shapes=shapes, max_norm=draw(st.sampled_from([1e-3, 1.0, 1e3])))
    most = number - agreed.threshold
    gone = draw(st.lists(st.sampled_from(agreed.sites), unique=True, max_size=most))
    silent = gone[: draw(st.integers(0, len(gone)))]
    values = st.floats(-1, 1, width=32)
    updates = []
    for site in agreed.sites:
        if site not in gone:
            drawn = {name: draw(arrays(np.float32, shape, elements=values)) for name, shape in shapes.items()}
            share = np.float32(agreed.max_norm / 16 / 3)  # at most 3 arrays of 16 values each
            scaled = {name: np.asarray(array * share, np.float32) for name, array in drawn.items()}
            updates.append(Update(agreed.job_hash, site, 3, scaled, draw(st.integers(1, 2**16)), {}))
    return agreed, updates, silent


@given(rounds())
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_mean_is_that_of_the_plain_updates_of_the_survivors(drawn):
    agreed, updates, silent = drawn
    mean = play(agreed, updates, silent).mean()
    assert mean.sites == tuple(one.site for one in updates)
    assert_close(agreed, mean, updates)


def test_no_order_and_no_choice_of_answers_changes_a_byte():
    request = PLAYED.request()
    masked, answers = list(PLAYED.masked.values()), PLAYED.answers(request)
    expected = unmask(PLAYED.roster, request, masked, answers.values())
    for size in (3, 4, 5):
        for some in combinations(answers.values(), size):
            found = unmask(PLAYED.roster, request, masked[::-1], some[::-1])
            assert as_bytes(found) == as_bytes(expected)
    assert as_bytes(play(TERMS, UPDATES.values(), seed=8).mean()) == as_bytes(expected)  # other keys, equal bytes


def test_a_site_that_drops_out_after_sharing_is_recovered_from():
    for dropped in [(A,), (E,), (B, D)]:
        left = [site for site in TERMS.sites if site not in dropped]
        mean = PLAYED.mean(left)
        assert mean.sites == tuple(left)
        assert_close(TERMS, mean, [UPDATES[site] for site in left])


def test_a_survivor_that_answers_no_more_is_recovered_from_too():
    assert_close(TERMS, PLAYED.mean([A, B, C, D], by=[A, C, D]), [UPDATES[site] for site in (A, B, C, D)])


def test_below_the_threshold_nothing_is_unmasked():
    with pytest.raises(EngineError, match="Round 3: masked updates of 2 sites, the threshold is 3"):
        PLAYED.request([A, B])
    with pytest.raises(EngineError, match="Round 3: answers of 2 sites, the threshold is 3"):
        PLAYED.mean(by=[A, B])


def test_masks_serve_once():
    """The difference of two updates under the same masks would lie open."""
    member = PLAYED.members[A]
    for again in (UPDATES[A], update(TERMS, A, seed=2)):
        with pytest.raises(UpdateRejected, match="'site-000' has already masked its update of round 3"):
            mask_update(member, again)


FRESH = play(TERMS, []).members[A]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (replace(UPDATES[A], job_hash="b" * 64), "belongs to job bbbb"),
        (replace(UPDATES[A], round=2), "belongs to round 2, not 3"),
        (UPDATES[B], "'site-000' can't mask the update of site 'site-001'"),
        (update(TERMS, A, size=10.001), "norm 10.001 is above the bound 10"),
        (replace(UPDATES[A], samples=2**16 + 1), "samples = 65537, the terms allow 65536"),
        (replace(UPDATES[A], samples=0), "samples = 0"),
        (replace(UPDATES[A], arrays={"w": UPDATES[A].arrays["w"]}), "names differ"),
        (replace(UPDATES[A], arrays=UPDATES[A].arrays | {"b": np.zeros(1, np.float32)}), "'b' is float32"),
        (replace(UPDATES[A], arrays=UPDATES[A].arrays | {"b": np.float32("nan") * np.ones(())}), "'b' is float64"),
        (replace(UPDATES[A], arrays=UPDATES[A].arrays | {"b": np.array(np.nan, np.float32)}), "'b' holds NaN"),
    ],
)
def test_bounds_are_enforced_at_the_site_before_anything_is_masked(wrong, message):
    with pytest.raises(UpdateRejected, match=message):
        mask_update(FRESH, wrong)


@pytest.mark.parametrize("sign", [1, -1])
def test_updates_at_every_limit_at_once_do_not_overflow(sign):
    agreed = terms(6, shapes={"w": (1,)}, max_norm=1000.0, max_samples=2**29)
    value = {"w": np.array([sign * 1000.0], np.float32)}
    updates = [Update(agreed.job_hash, site, 3, value, 2**29, {}) for site in agreed.sites]
    assert play(agreed, updates).mean().arrays["w"] == np.float32(sign * 1000)
    assert agreed.fixed_point.error <= 1e-6 * 1000


OTHER = play(terms(5, round=4), [update(terms(5, round=4), A)]).masked[A]
REKEYED = play(TERMS, [UPDATES[A]], seed=7).masked[A]
FEWER = play(TERMS, [UPDATES[A]], silent=(C,)).masked[A]
MASKED = PLAYED.masked[A]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (OTHER, "'site-000' sent a masked update of round 4, not 3"),
        (replace(MASKED, job_hash="b" * 64), "'site-000' sent a masked update of job bbbb"),
        (replace(OTHER, round=3), "'site-000' masked its update with another roster"),
        (REKEYED, "'site-000' masked its update with another roster"),
        (FEWER, "'site-000' masked its update with another roster"),
        (replace(MASKED, site="stranger"), "'stranger' is not on the roster"),
        (replace(MASKED, samples=2**56), "'site-000' sent masked samples outside the ring"),
        (replace(MASKED, arrays={"w": MASKED.arrays["w"]}), "'site-000' array names differ: 'b'"),
        (replace(MASKED, arrays=MASKED.arrays | {"b": np.zeros(2, np.uint64)}), r"'b' is uint64 \(2,\), expected 1"),
        (replace(MASKED, arrays=MASKED.arrays | {"b": np.zeros(1, np.int64)}), "'b' is int64"),
    ],
)
def test_masked_updates_that_would_spoil_the_sum_are_refused(wrong, message):
    with pytest.raises(UpdateRejected, match=message):
        check_masked(PLAYED.roster, wrong)
    request = PLAYED.request()
    rest = [PLAYED.masked[site] for site in (B, C, D, E)]
    with pytest.raises(UpdateRejected, match=message):
        unmask(PLAYED.roster, request, [wrong, *rest], PLAYED.answers(request).values())


def test_a_masked_update_counts_once_and_none_may_be_missing():
    request = PLAYED.request([A, B, C, D])
    answers = PLAYED.answers(request).values()
    masked = [PLAYED.masked[site] for site in (A, B, C, D)]
    for extra in (masked[1], PLAYED.masked[E]):
        with pytest.raises(UpdateRejected, match=f"{extra.site!r} is not among those asked for, or its masked update"):
            unmask(PLAYED.roster, request, [*masked, extra], answers)
    with pytest.raises(EngineError, match="masked update of site 'site-000' is missing"):
        unmask(PLAYED.roster, request, masked[1:], answers)


def test_a_stored_masked_update_gives_the_same_mean():
    request = PLAYED.request()
    stored = [decode_masked(encode_masked(one)) for one in PLAYED.masked.values()]
    mean = unmask(PLAYED.roster, request, stored, PLAYED.answers(request).values())
    assert as_bytes(mean) == as_bytes(PLAYED.mean())


def test_a_request_is_answered_once_and_again_only_if_it_is_the_same():
    request, other = PLAYED.request(), PLAYED.request([A, B, C, D])
    asked, answer = answer_request(PLAYED.members[A], request)
    assert answer_request(asked, request) == (asked, answer)
    with pytest.raises(PolicyError, match="'site-000' refuses to unmask round 3: the request is a second one"):
        answer_request(asked, other)


def test_a_round_that_is_attempted_again_shows_no_other_sum():
    """Training repeats to the byte, so that the sums of A to E and of A to D would differ by the update of E."""
    again = play(TERMS, UPDATES.values(), seed=9, answered=PLAYED.request().survivors)
    assert as_bytes(again.mean()) == as_bytes(PLAYED.mean())
    with pytest.raises(PolicyError, match="is a second one with another list"):
        again.mean([A, B, C, D])


def requests():
    good = PLAYED.request()
    return [
        (replace(good, round=2), "is of another job, round or roster"),
        (replace(good, job_hash="b" * 64), "is of another job, round or roster"),
        (replace(good, roster="b" * 64), "is of another job, round or roster"),
        (replace(good, survivors=(A, B)), "names 2 survivors, the threshold is 3"),
        (replace(good, survivors=(A, A, B)), "survivors that are not different sites of the roster in name order"),
        (replace(good, survivors=(C, B, A)), "survivors that are not different sites of the roster in name order"),
        (replace(good, survivors=(A, B, "stranger")), "survivors that are not different sites of the roster"),
        (replace(good, survivors=(B, C, D)), "leaves this site out"),
    ]


@pytest.mark.parametrize(("request_", "message"), requests())
def test_requests_that_would_show_more_than_the_sum_are_refused(request_, message):
    with pytest.raises(PolicyError, match=message):
        answer_request(PLAYED.members[A], request_)


def test_who_has_not_masked_is_not_a_survivor():
    with pytest.raises(PolicyError, match="comes before its update"):
        answer_request(FRESH, request_unmasking(FRESH.roster, TERMS.sites))


def test_no_answer_has_both_secrets_of_a_site():
    request = PLAYED.request([A, B, C])
    for answer in PLAYED.answers(request).values():
        assert set(answer.seed_shares) == {A, B, C}
        assert set(answer.key_shares) == {D, E}
        assert repr(answer.seed_shares[A]) not in repr(answer)


def test_a_coordinator_that_tells_two_stories_gets_one_secret_of_a_site_at_most():
    """Half the sites are told that A survived, half that it dropped out: neither half reaches the threshold."""
    with_a, without_a = PLAYED.request(), PLAYED.request([B, C, D, E])
    for number in range(5):
        for told in combinations((B, C, D, E), number):
            seeds = PLAYED.answers(with_a, [A, *told])
            key_holders = [site for site in (B, C, D, E) if site not in told]
            shares = PLAYED.answers(without_a, key_holders) if key_holders else {}
            assert all(A in answer.key_shares for answer in shares.values())
            assert min(len(seeds), len(shares)) < TERMS.threshold


def tampered(answer, kind, site):
    shares = dict(getattr(answer, kind))
    shares[site] = (int.from_bytes(shares[site], "big") ^ 1).to_bytes(66, "big")
    return replace(answer, **{kind: shares})


@pytest.mark.parametrize(
    ("kind", "site", "what"), [("seed_shares", B, "seed"), ("key_shares", E, "mask key"), ("key_shares", D, "mask key")]
)
def test_a_tampered_share_is_found_by_what_its_owner_has_signed(kind, site, what):
    request = PLAYED.request([A, B, C])
    answers = PLAYED.answers(request)
    answers[B] = tampered(answers[B], kind, site)
    with pytest.raises(UpdateRejected, match=f"{site!r} can't be unmasked: .*{what}") as caught:
        unmask(PLAYED.roster, request, [PLAYED.masked[one] for one in (A, B, C)], answers.values())
    assert str(int.from_bytes(getattr(answers[B], kind)[site], "big")) not in str(caught.value)


def test_answers_to_other_requests_are_refused():
    request = PLAYED.request([A, B, C, D])
    answers = PLAYED.answers(request)
    late = play(terms(5, round=4), [update(terms(5, round=4), site) for site in TERMS.sites])
    wrong = [
        (PLAYED.answers(PLAYED.request())[A], "'site-000' answers another request"),
        (replace(answers[A], site=E), "'site-004' answers another request"),
        (replace(answers[A], key_shares={}), "'site-000' gives shares of other sites"),
        (replace(answers[A], seed_shares=answers[A].seed_shares | {E: b""}), "'site-000' gives shares of other sites"),
        (late.answers(late.request())[A], "'site-000' sent an answer of round 4, not 3"),
        (answers[B], "'site-001' answered twice"),
    ]
    masked = [PLAYED.masked[site] for site in (A, B, C, D)]
    for answer, message in wrong:
        with pytest.raises(UpdateRejected, match=message):
            unmask(PLAYED.roster, request, masked, [answer, *(answers[site] for site in (B, C, D))])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": (MASKED.samples + 2**40) % 2**56}, "the samples of all sites are impossible"),
        (
            {"arrays": MASKED.arrays | {"b": reduced(MASKED.arrays["b"] + np.uint64(2**54))}},
            "norm of the mean is above",
        ),
    ],
)
def test_a_sum_that_no_honest_sites_could_have_is_refused(change, message):
    request = PLAYED.request()
    masked = PLAYED.masked | {A: replace(MASKED, **change)}
    with pytest.raises(EngineError, match=message):
        unmask(PLAYED.roster, request, masked.values(), PLAYED.answers(request).values())


def state(**fields):
    job = Job(task="response", model="m", context="pre_rt", seed=1, rounds=2, **fields)
    return first_state(job, names(5), {"w": np.ones((2, 3), np.float32), "b": np.zeros((), np.float32)})


def test_a_secure_round_ends_in_the_state_of_a_plain_one():
    begun = state(aggregation=FedAdam(), limits=Limits(max_update_norm=10.0))
    agreed = secure_terms(begun)
    assert (agreed.job_hash, agreed.round, agreed.threshold) == (job_hash(begun.job), 0, 3)
    updates = [update(agreed, site, size=9.999) for site in agreed.sites]
    mean = play(agreed, updates).mean()
    secure, plain = close_secure_round(begun, mean), close_round(begun, updates)
    assert (secure.round, secure.sites, set(secure.moments)) == (1, plain.sites, set(plain.moments))
    for name, array in plain.arrays.items():
        np.testing.assert_allclose(secure.arrays[name], array, rtol=0, atol=1e-6)
    with pytest.raises(UpdateRejected, match="the mean belongs to round 0"):
        close_secure_round(secure, mean)
    quorum = state(limits=Limits(quorum=5))
    fewer = replace(mean, job_hash=job_hash(quorum.job), sites=mean.sites[:4])
    with pytest.raises(EngineError, match="4 sites are in the mean, the quorum is 5"):
        close_secure_round(quorum, fewer)


def test_the_threshold_is_the_quorum_if_that_is_more_than_half():
    assert secure_terms(state(limits=Limits(quorum=4))).threshold == 4
    assert secure_terms(state(limits=Limits(quorum=1))).threshold == 3
