"""What counts may leave a site: rounded at random but always alike, and never so that a cell can be computed.

`docs/adr/0012-counts-that-leave-a-site.md` argues for the rules that this file carries out.

A count n leaves as a multiple of the smallest cell k: k * floor((n + u) / k). The offset u in 0..k-1 belongs to the
name of the cell and is drawn from the site's secret key, so asking again gains nothing. Over keys the mean of what is
published is n exactly (Hermite's identity), the error lies in -(k-1)..k-1, and its variance is r * (k - r) with
r = n mod k, at most k**2 / 4. A published 0 stands for 0..k-1 and is `None`, hidden; a published m > 0 stands for
m-(k-1)..m+k-1.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from pydantic import ConfigDict, Field, ValidationError

from flame.errors import ConfigError, DataError, PolicyError
from flame.files import replacing
from flame.settings import Settings

__all__ = [
    "DRAWS",
    "History",
    "Release",
    "Rule",
    "changed",
    "earlier",
    "history_path",
    "leaves_open",
    "possible",
    "publish",
    "read_history",
    "read_key",
    "round_all",
    "rounded",
    "seal",
    "write_history",
]

DRAWS = 1000
"""How many sets of offsets are tried before a site rather says nothing."""

KEY_BYTES = 32


@dataclass(frozen=True)
class Rule:
    """What everybody knows of how cells belong together.

    Args:
        whole: name of a cell.
        parts: names of other cells, none of them twice.
        adds_up: whether the parts' counts sum to the whole's; if not, each is at most the whole's.
    """

    whole: str
    parts: tuple[str, ...]
    adds_up: bool


def rounded(count: int, offset: int, base: int) -> int:
    """A multiple of `base` next below or above a count, or the count itself if it is one.

    Args:
        count: of patients, >= 0; 0 stays 0.
        offset: 0 <= offset < base; uniform offsets make the mean of the result equal to `count`.
        base: >= 1; 1 changes nothing.
    """
    return base * ((count + offset) // base)


def possible(
    published: Mapping[str, int | None],
    rules: Sequence[Rule],
    min_cell: int,
    known: Mapping[str, int] | None = None,
) -> dict[str, tuple[int, int]]:
    """Least and largest count of each cell that fits with all that was published: what anyone can compute.

    Bounds are narrowed by every rule until none narrows further; a part that was told differently from its whole is
    less, for equal sets are told alike. Where rules form a tree, as those of `flame.federation.statistics` do, both
    bounds are part of a solution, so that no cleverer attacker does better.

    Args:
        published: by cell, a multiple of `min_cell`, or None if hidden.
        rules: about these cells.
        min_cell: k, >= 2.
        known: true counts that someone has from elsewhere.

    Raises: ValueError: if no counts fit; the message names a cell.
    """
    reach = min_cell - 1
    low = {name: max(0, (value or 0) - reach) for name, value in published.items()}
    high = {name: (value or 0) + reach for name, value in published.items()}
    low |= known or {}
    high |= known or {}
    before: tuple[dict[str, int], dict[str, int]] | None = None
    while before != (low, high):
        before = dict(low), dict(high)
        for rule in rules:
            (_narrow_sum if rule.adds_up else _narrow_bound)(rule, published, low, high)
        wrong = next((name for name in low if low[name] > high[name]), None)
        if wrong is not None:
            raise ValueError(f"no count of {wrong!r} fits the other cells")
    return {name: (low[name], high[name]) for name in published}


def _narrow_bound(rule: Rule, published: Mapping[str, int | None], low: dict[str, int], high: dict[str, int]) -> None:
    """A part is at most the whole, and less if it was told differently: equal sets are told alike."""
    for part in rule.parts:
        gap = int(published[part] != published[rule.whole])
        high[part] = min(high[part], high[rule.whole] - gap)
        low[rule.whole] = max(low[rule.whole], low[part] + gap)


def _narrow_sum(rule: Rule, published: Mapping[str, int | None], low: dict[str, int], high: dict[str, int]) -> None:
    """Parts sum to the whole, and a part that was told differently is not all of it."""
    alike = frozenset(part for part in rule.parts if published[part] == published[rule.whole])
    fits = [fit for nonzero, allowed in _cases(rule, alike, low) if (fit := _fit(rule, nonzero, allowed, low, high))]
    if not fits:
        raise ValueError(f"no count of {rule.whole!r} fits the other cells")
    for name in (rule.whole, *rule.parts):
        low[name], high[name] = min(fit[name][0] for fit in fits), max(fit[name][1] for fit in fits)


def _cases(
    rule: Rule, alike: frozenset[str], low: Mapping[str, int]
) -> Iterator[tuple[frozenset[str], frozenset[str]]]:
    """Parts that are not zero for sure and those that may be other than zero, case by case.

    Two parts are not zero, or one of `alike` is all of the whole.
    """
    everything = frozenset(rule.parts)
    sure = frozenset(part for part in rule.parts if low[part] > 0)
    if len(sure) >= 2 or sure & alike or alike == everything:
        yield sure, everything
        return
    for pair in combinations(rule.parts, 2):
        if sure <= set(pair):
            yield frozenset(pair), everything
    if not sure:
        for part in alike:
            yield frozenset({part}), frozenset({part})


def _fit(
    rule: Rule, nonzero: frozenset[str], allowed: frozenset[str], low: Mapping[str, int], high: Mapping[str, int]
) -> dict[str, tuple[int, int]] | None:
    """Bounds of the whole and its parts in one case; None if nothing fits."""
    lows = {part: max(low[part], int(part in nonzero)) for part in rule.parts}
    highs = {part: high[part] if part in allowed else 0 for part in rule.parts}
    least, most = sum(lows.values()), sum(highs.values())
    lowest, highest = max(low[rule.whole], least), min(high[rule.whole], most)
    if lowest > highest or any(lows[part] > highs[part] for part in rule.parts):
        return None
    return {rule.whole: (lowest, highest)} | {
        part: (max(lows[part], lowest - (most - highs[part])), min(highs[part], highest - (least - lows[part])))
        for part in rule.parts
    }


def publish(
    counts: Mapping[str, int], rules: Sequence[Rule], total: str, min_cell: int, key: bytes
) -> dict[str, int | None]:
    """Counts as they may leave; the same counts under the same key always leave alike, in whatever order they come.

    Offsets are drawn again, all of them, until what leaves `leaves_open` enough.

    Args:
        counts: true counts by cell, >= 0.
        rules: about these cells, a tree.
        total: the cell of all patients, whose count is > 0.
        min_cell: k, >= 2.
        key: of the site, 32 bytes.

    Returns: by cell, a multiple of `min_cell`, or None if hidden.
    Raises: PolicyError: if `DRAWS` sets of offsets were all refused.
    """
    for draw in range(DRAWS):
        offsets = {name: _offset(key, draw, name, min_cell) for name in counts}
        leaving = round_all(counts, rules, offsets, min_cell)
        if leaves_open(leaving, rules, min_cell, {total: counts[total]}):
            return leaving
    raise PolicyError(
        "These counts can't be told without telling about single patients", "Answer when the site has more patients."
    )


def round_all(
    counts: Mapping[str, int], rules: Sequence[Rule], offsets: Mapping[str, int], min_cell: int
) -> dict[str, int | None]:
    """Each count rounded with its own offset, but a part that is the whole with the whole's: one set, one answer."""
    wholes = {part: rule.whole for rule in rules for part in rule.parts if counts[part] == counts[rule.whole]}
    leaving: dict[str, int | None] = {}
    for name, count in counts.items():
        same = name
        while same in wholes:
            same = wholes[same]
        leaving[name] = rounded(count, offsets[same], min_cell) or None
    return leaving


def leaves_open(
    published: Mapping[str, int | None], rules: Sequence[Rule], min_cell: int, total: Mapping[str, int]
) -> bool:
    """Whether no cell is given away.

    Of every cell at least `min_cell - 2` counts, and never fewer than two, must fit with all that leaves; and two must
    fit for someone who also knows `total`, the exact number of patients, except of that number itself. The verdict
    depends on nothing but what this someone knows, so that nothing follows from its having been passed.
    """
    to_all = possible(published, rules, min_cell).values()
    if any(high - low + 1 < max(2, min_cell - 2) for low, high in to_all):
        return False
    to_knowing = possible(published, rules, min_cell, total)
    return all(low < high for name, (low, high) in to_knowing.items() if name not in total)


def _offset(key: bytes, draw: int, name: str, base: int) -> int:
    """Uniform in 0..base-1 up to 2**-250: 256 bits of a keyed hash, modulo a small base."""
    return int.from_bytes(_mac(key, f"offset\n{draw}\n{base}\n{name}")) % base


def _mac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), hashlib.sha256)


def read_key(path: Path) -> bytes:
    """The secret key of a site's counts, 32 random bytes; made on first use, for its owner's eyes only (mode 600).

    Raises: ConfigError: if it can't be made, others may read it, or it has another length.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_key(path)
    except PermissionError as error:
        raise ConfigError(f"{path} can't be written", "Name a place for the key with --key.") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    if not path.is_file():
        raise ConfigError(f"{path} is not a file", "Name the file of the key.")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others", f"Run: chmod 600 {path}")
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ConfigError(f"{path} holds {len(key)} bytes, a key has {KEY_BYTES}", "Restore it from a copy.")
    return key


class Release(Settings):
    """An answer that has left, and about whom, in a form that only the site's key can read.

    Args:
        min_cell: k of the answer.
        facts: for each patient, by a keyed hash of the id, a keyed hash of all cells that the patient counts in.
        extra: the same of cells that were asked for in addition; empty if none were.
        answer: what left, as text.
    """

    model_config = ConfigDict(strict=True)

    min_cell: int = Field(ge=2)
    facts: dict[str, str]
    extra: dict[str, str] = Field(default_factory=dict)
    answer: str = ""


class History(Settings):
    """All answers of a site, oldest first. It stays at the site, beside the key."""

    format: str = Field(default="flame-cohort-history/1", pattern="^flame-cohort-history/1$")
    releases: tuple[Release, ...] = ()


def seal(key: bytes, cells: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Keyed hashes: patient -> cells that the patient counts in."""
    return {
        _mac(key, f"patient\n{name}").hex(): _mac(key, "\n".join(["cells", name, *sorted(own)])).hex()
        for name, own in sorted(cells.items())
    }


def changed(before: Release, now: Release) -> int:
    """How many patients came, went, or count in other cells; extra cells count only where both releases have them."""
    different = {name for name in before.facts | now.facts if before.facts.get(name) != now.facts.get(name)}
    if before.extra and now.extra:
        different |= {name for name in before.extra | now.extra if before.extra.get(name) != now.extra.get(name)}
    return len(different)


def earlier(history: History, now: Release) -> Release | None:
    """The last answer that must be given again, or None if a new one may be made.

    A new answer differs from every one before it by no patient or by at least `min_cell` of them, so that no two
    answers can be subtracted to see a few.

    Raises: PolicyError: if the site has answered with another smallest cell, or must repeat itself but has never
        answered this kind of question.
    """
    other = next((one.min_cell for one in history.releases if one.min_cell != now.min_cell), None)
    if other is not None:
        raise PolicyError(
            f"This site has answered with a smallest cell of {other}; answers with {now.min_cell} could be compared",
            f"Use --min-cell {other}.",
        )
    if not any(0 < changed(one, now) < now.min_cell for one in history.releases):
        return None
    alike = [one for one in history.releases if bool(one.extra) == bool(now.extra)]
    if not alike:
        raise PolicyError(
            f"Since an earlier answer the records of fewer than {now.min_cell} patients have changed",
            "Ask for the same tables as before, or wait until more patients have come.",
        )
    return alike[-1]


def history_path(key_path: Path) -> Path:
    """Where the history of a key's answers is kept: beside the key."""
    return key_path.with_name(f"{key_path.name}.history.json")


def read_history(path: Path) -> History:
    """All answers so far; none if the file does not exist yet.

    Raises: DataError: if the file is damaged. It is not made anew: forgotten answers can be subtracted.
    """
    if not path.exists():
        return History()
    try:
        return History.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise DataError(f"{path} is damaged: {first['msg']}", "Restore it from a copy; don't delete it.") from error


def write_history(path: Path, history: History) -> None:
    """Keep all answers, atomically, for the owner's eyes only."""
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(history.model_dump_json(indent=1) + "\n")
