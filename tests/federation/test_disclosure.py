"""What is told of counts gives no cell away: by theory, by exhaustive search, and by attacks that are carried out."""

import itertools
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from flame.errors import ConfigError, DataError, PolicyError
from flame.federation.disclosure import (
    History,
    Release,
    Rule,
    changed,
    earlier,
    history_path,
    leaves_open,
    possible,
    publish,
    read_history,
    read_key,
    round_all,
    rounded,
    seal,
    write_history,
)
from flame.federation.statistics import ALL, rules_of, statistics_of

KEY = bytes(range(32))
TREE = (
    Rule("all", ("photon", "proton", "carbon"), adds_up=True),
    Rule("photon", ("early", "late"), adds_up=False),
    Rule("all", ("F", "M"), adds_up=True),
    Rule("all", ("T1w", "FLAIR"), adds_up=False),
)
CELLS = ("all", "photon", "proton", "carbon", "early", "late", "F", "M", "T1w", "FLAIR")


@st.composite
def patients(draw: st.DrawFn, most: int = 40) -> list[frozenset[str]]:
    """The cells of up to `most` patients; often all are alike, which is where cells are easiest to compute."""
    alike = draw(st.booleans())
    number = draw(st.integers(1, most))
    one = st.builds(
        lambda arm, sex, flags: frozenset(
            {"all", arm, sex} | {flag for flag in flags if flag in ("T1w", "FLAIR") or arm == "photon"}
        ),
        st.sampled_from(("photon", "proton", "carbon")),
        st.sampled_from("FM"),
        st.sets(st.sampled_from(("early", "late", "T1w", "FLAIR"))),
    )
    return [draw(one)] * number if alike else draw(st.lists(one, min_size=number, max_size=number))


def counts_of(found: list[frozenset[str]]) -> dict[str, int]:
    counted = Counter(name for own in found for name in own)
    return {name: counted[name] for name in CELLS}


@given(st.integers(0, 10_000), st.integers(1, 50))
def test_rounding_is_unbiased_bounded_and_of_known_variance(count: int, base: int) -> None:
    errors = [rounded(count, offset, base) - count for offset in range(base)]
    rest = count % base
    assert sum(errors) == 0
    assert max(map(abs, errors)) <= base - 1
    assert sum(error**2 for error in errors) == base * rest * (base - rest)
    assert rest * (base - rest) <= base**2 / 4
    assert rounded(0, base - 1, base) == 0


@settings(max_examples=40, deadline=None)
@given(patients(), st.integers(2, 12), st.binary(min_size=32, max_size=32), st.randoms())
def test_no_count_below_the_smallest_cell_leaves_and_none_is_further_away(
    found: list[frozenset[str]], min_cell: int, key: bytes, random: Random
) -> None:
    counts = counts_of(found)
    told = publish(counts, TREE, "all", min_cell, key)
    for name, value in told.items():
        assert value is None or (value >= min_cell and value % min_cell == 0)
        assert abs((value or 0) - counts[name]) <= min_cell - 1
    random.shuffle(found)
    shuffled = dict(reversed(counts_of(found).items()))
    assert publish(shuffled, TREE, "all", min_cell, key) == told


def extreme(
    told: dict[str, int | None], rules: Sequence[Rule], min_cell: int, name: str, sign: int, known: dict[str, int]
) -> int:
    """Least (sign 1) or largest (-1) count of a cell that fits with what was told, by an integer programme."""
    place = {cell: number for number, cell in enumerate(told)}
    rows, lows, highs = [], [], []

    def add(terms: dict[str, int], low: float, high: float) -> None:
        row = np.zeros(len(place))
        for cell, factor in terms.items():
            row[place[cell]] = factor
        rows.append(row)
        lows.append(low)
        highs.append(high)

    for rule in rules:
        if rule.adds_up:
            add({rule.whole: -1, **dict.fromkeys(rule.parts, 1)}, 0, 0)
        for part in rule.parts:
            add({rule.whole: 1, part: -1}, int(told[part] != told[rule.whole]), np.inf)
    low = [max(0, (value or 0) - min_cell + 1) for value in told.values()]
    high = [(value or 0) + min_cell - 1 for value in told.values()]
    for cell, count in known.items():
        low[place[cell]] = high[place[cell]] = count
    aim = np.zeros(len(place))
    aim[place[name]] = sign
    constraints = LinearConstraint(np.array(rows), lows, highs)
    found = milp(aim, integrality=np.ones(len(place)), bounds=Bounds(low, high), constraints=constraints)
    assert found.success, found.message
    return round(found.x[place[name]])


@settings(max_examples=10, deadline=None)
@given(patients(), st.sampled_from((2, 3, 5, 10)), st.binary(min_size=32, max_size=32))
def test_every_cell_has_two_solutions_that_an_integer_programme_finds(
    found: list[frozenset[str]], min_cell: int, key: bytes
) -> None:
    """An independent solver agrees with `possible`: its bounds are what an attacker can reach, and no more."""
    counts = counts_of(found)
    told = publish(counts, TREE, "all", min_cell, key)
    for known in ({}, {"all": counts["all"]}):
        bounds = possible(told, TREE, min_cell, known)
        for name in CELLS:
            low, high = (extreme(told, TREE, min_cell, name, sign, known) for sign in (1, -1))
            assert (low, high) == bounds[name]
            assert low <= counts[name] <= high
            assert known or high - low + 1 >= max(2, min_cell - 2)
            assert high > low or name in known


@pytest.mark.parametrize("number", [4, 13])
def test_the_tables_of_an_answer_are_such_that_bounds_are_exact(number: int) -> None:
    """The tables of `flame cohort` themselves, where a third of the patients differ from the others."""
    one = {ALL, "arm/photon", "photon/28 days", "sequence/T1w", "age/50 to 59", "sex/F", "mgmt/methylated"}
    other = {ALL, "arm/carbon", "carbon/28 days", "sequence/T1w", "age/60 to 69", "sex/M", "mgmt/unknown"}
    cells = [frozenset((one if place % 3 else other) | {"resection/biopsy"}) for place in range(number)]
    answer = statistics_of("A", cells, 5, KEY)
    told, rules = answer.published, rules_of(answer.tables)
    for known in ({}, {ALL: number}):
        for name, bounds in possible(told, rules, 5, known).items():
            assert tuple(extreme(told, rules, 5, name, sign, known) for sign in (1, -1)) == bounds


@pytest.mark.parametrize("min_cell", [2, 3])
def test_nobody_who_knows_the_rules_and_the_total_can_compute_a_cell(min_cell: int) -> None:
    """Exhaustive: every table of up to seven patients, every offset. What was told, with the total, fits several."""
    rules = (Rule("all", ("a", "b", "c"), adds_up=True), Rule("a", ("x",), adds_up=False))
    names = ("all", "a", "b", "c", "x")

    @cache
    def passes(told: tuple[int | None, ...], total: int) -> bool:
        return leaves_open(dict(zip(names, told, strict=True)), rules, min_cell, {"all": total})

    fitting = defaultdict(set)
    unanswered = 0
    for a, b, c in itertools.product(range(8), repeat=3):
        if not 1 <= a + b + c <= 7:
            continue
        for x in range(a + 1):
            truth = (a + b + c, a, b, c, x)
            answered = False
            for offsets in itertools.product(range(min_cell), repeat=5):
                drawn = dict(zip(names, offsets, strict=True))
                told = tuple(round_all(dict(zip(names, truth, strict=True)), rules, drawn, min_cell).values())
                if passes(told, truth[0]):
                    fitting[told, truth[0]].add(truth)
                    answered = True
            unanswered += not answered
    assert unanswered == 0
    assert len(fitting) > 50
    for truths in fitting.values():
        assert all(len({truth[place] for truth in truths}) >= 2 for place in range(1, 5))


def test_four_small_cells_are_not_given_away_by_their_sum() -> None:
    """Cells of k-1 are at the end of their range: a total told exactly would give them away."""
    rules = (Rule("all", ("a", "b", "c", "d", "e"), adds_up=True),)
    hidden = dict.fromkeys("abcde")
    assert not leaves_open({"all": 20, **hidden}, rules, 5, {"all": 20})  # type: ignore[dict-item]
    counts = {"all": 20, **dict.fromkeys("abcde", 4)}
    for seed in range(50):
        told = publish(counts, rules, "all", 5, seed.to_bytes(32))
        bounds = possible(told, rules, 5, {"all": 20})
        assert all(bounds[name][0] < bounds[name][1] for name in "abcde")


def test_a_cell_must_stay_open_by_more_than_two_counts() -> None:
    """Three hidden cells of at most 9 with a total of 21 or more: each is 3 to 9, which is 7 counts and not 8."""
    rules = (Rule("all", ("a", "b", "c"), adds_up=True),)
    hidden: dict[str, int | None] = dict.fromkeys("abc")
    assert possible({"all": 30, **hidden}, rules, 10)["a"] == (3, 9)
    assert not leaves_open({"all": 30, **hidden}, rules, 10, {"all": 22})
    assert leaves_open({"all": 20, **hidden}, rules, 10, {"all": 17})


def test_counts_that_contradict_each_other_are_told() -> None:
    rules = (Rule("all", ("a", "b"), adds_up=True),)
    with pytest.raises(ValueError, match="no count of"):
        possible({"all": 50, "a": 5, "b": None}, rules, 5)


def test_over_many_keys_the_mean_error_is_near_zero() -> None:
    """With the redraws that keep cells open: 1000 keys, a site of 43 patients, k = 5."""
    counts = {"all": 43, "photon": 24, "proton": 12, "carbon": 7, "early": 21, "late": 13}
    counts |= {"F": 18, "M": 25, "T1w": 43, "FLAIR": 41}
    told = [publish(counts, TREE, "all", 5, number.to_bytes(32)) for number in range(1000)]
    for name, count in counts.items():
        errors = np.array([(one[name] or 0) - count for one in told])
        rest = count % 5
        assert abs(errors.mean()) < 0.25, name  # the standard error of this mean is 0.08
        assert errors.var() == pytest.approx(rest * (5 - rest), abs=0.6), name
        assert np.abs(errors).max() <= 4


def advantage(tell_one: Callable[[int, int], int | None], sizes: range, keys: int) -> float:
    """Of an attacker who sees a cell before and after one patient came: P(changed | in it) - P(changed | not in it).

    Guessing "in it" upon a change is right with probability (1 + advantage) / 2 when both are as likely.
    """
    inside = [tell_one(key, size) != tell_one(key, size + 1) for key in range(keys) for size in sizes]
    outside = [tell_one(key, size) != tell_one(key, size) for key in range(keys) for size in sizes]
    return float(np.mean(inside) - np.mean(outside))


def test_a_pair_of_counts_tells_less_than_with_cell_keys() -> None:
    """Where two answers may be subtracted at all: one in k changes shows, of the refused cell keys nearly every one."""
    rules = (Rule("all", ("a", "b"), adds_up=True),)

    def ours(key: int, size: int) -> int | None:
        counts = {"all": 60, "a": size, "b": 60 - size}  # the whole stays: the attacker looks at one cell
        return round_all(counts, rules, offsets[key], 5)["a"]

    def cell_key(key: int, size: int) -> int:
        """A cell's key is the sum of its patients' keys modulo 1; it chooses a perturbation of -2 to 2."""
        chosen = record_keys[key, :size].sum() % 1
        return int(size + np.searchsorted((0.1, 0.3, 0.7, 0.9), chosen) - 2)

    generator = np.random.default_rng(12)
    record_keys = generator.random((100, 60))
    offsets = [{name: int(generator.integers(5)) for name in ("all", "a", "b")} for _ in range(100)]
    assert advantage(ours, range(5, 45), 100) == pytest.approx(0.2, abs=0.02)
    assert advantage(cell_key, range(5, 45), 100) > 0.7


def release(cells: dict[str, set[str]], min_cell: int = 5, extra: dict[str, set[str]] | None = None) -> Release:
    return Release(
        min_cell=min_cell,
        facts=seal(KEY, {name: frozenset(own) for name, own in cells.items()}),
        extra=seal(KEY, {name: frozenset(own) for name, own in (extra or {}).items()}),
        answer="{}",
    )


def people(number: int, **changes: str) -> dict[str, set[str]]:
    return {f"p{one}": {changes.get(f"p{one}", "photon")} for one in range(number)}


def test_who_came_went_or_changed_is_counted() -> None:
    before = release(people(9))
    assert changed(before, release(people(9))) == 0
    assert changed(before, release(people(12))) == 3
    assert changed(before, release(people(7, p3="proton"))) == 3


def test_an_answer_is_given_again_until_enough_patients_have_changed() -> None:
    history = History(releases=(release(people(20)),))
    assert earlier(history, release(people(20))) is None
    for number in range(21, 25):
        assert earlier(history, release(people(number))) == history.releases[0]
    assert earlier(history, release(people(20, p3="proton"))) == history.releases[0]
    assert earlier(history, release(people(25))) is None


def test_answers_that_are_not_neighbours_are_compared_too() -> None:
    """Twenty patients; then five more; then the five are gone again and one of the twenty has changed."""
    history = History(releases=(release(people(20)), release(people(25))))
    assert earlier(history, release(people(20, p3="proton"))) == history.releases[1]


def test_another_smallest_cell_or_more_tables_are_no_way_around() -> None:
    history = History(releases=(release(people(20)),))
    with pytest.raises(PolicyError, match="smallest cell of 5"):
        earlier(history, release(people(20), min_cell=4))
    assert earlier(history, release(people(20), extra=people(20))) is None
    with pytest.raises(PolicyError, match="fewer than 5 patients"):
        earlier(history, release(people(21), extra=people(21)))
    more = History(releases=(release(people(20), extra=people(20)),))
    assert earlier(more, release(people(20), extra=people(20, p3="large"))) == more.releases[0]


def test_a_sealed_record_shows_neither_patient_nor_cells() -> None:
    sealed = seal(KEY, {"p1": frozenset({"photon"}), "p2": frozenset({"photon"})})
    assert all(len(bytes.fromhex(text)) == 32 for pair in sealed.items() for text in pair)
    assert len(set(sealed.values())) == 2  # equal cells of two patients look different
    assert not set(sealed) & set(seal(bytes(32), {"p1": frozenset({"photon"})}))


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "cohort.key"
    key = read_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == key
    assert read_key(tmp_path / "other.key") != key
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="read by others"):
        read_key(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes"):
        read_key(path)
    with pytest.raises(ConfigError, match="not a file"):
        read_key(tmp_path)


def test_the_history_comes_back_and_is_not_started_anew_when_damaged(tmp_path: Path) -> None:
    path = history_path(tmp_path / "cohort.key")
    assert read_history(path) == History()
    history = History(releases=(release(people(3)),))
    write_history(path, history)
    assert read_history(path) == history
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text()[:50])
    with pytest.raises(DataError, match="damaged"):
        read_history(path)
