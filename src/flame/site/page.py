"""The page that a person reads before deciding about a job: what it learns, how often, what leaves, what is new.

`describe` says it, as sections of sentences and tables; `as_text` and `as_html` show it. What comes from outside, be it
a name or a setting, is shown with every character that is not plainly visible spelt out.
"""

import json
import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from html import escape
from typing import Any

from pydantic import ValidationError

from flame.learning.settings import TrainingSettings
from flame.site.budget import Cost, epsilon, rounds_within
from flame.site.policy import Policy, Request, refusals
from flame.site.proposal import OfferedArray, Proposal
from flame.site.wording import SENTENCES, Language, sentence

__all__ = ["Page", "Section", "Table", "as_html", "as_text", "describe", "differences", "visible"]

_FLOAT32 = 4
_WIDTH = 100
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; margin: 1rem 0 } th, td { border: 1px solid #999; padding: .2rem .6rem }
th { background: #eee; text-align: left } td { overflow-wrap: anywhere }
"""


@dataclass(frozen=True)
class Table:
    """Column names and rows of as many cells."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and a table below them."""

    heading: str
    sentences: tuple[str, ...]
    table: Table | None = None


@dataclass(frozen=True)
class Page:
    """A title, sentences below it, and sections; nothing in it is escaped."""

    language: Language
    title: str
    opening: tuple[str, ...]
    sections: tuple[Section, ...]


def describe(
    proposal: Proposal,
    policy: Policy,
    last: Proposal | None,
    now: datetime,
    language: Language = "en",
    spent: Sequence[Cost] = (),
) -> Page:
    """The page of a job.

    Args:
        proposal: the job, with the names and shapes of the arrays that it would send.
        policy: of the site; how many patients fit is not asked here.
        last: the job that was approved last; None if none was.
        now: local time at the site.
        language: of the sentences.
        spent: what noisy rounds have cost the site's patients so far.
    """
    sections = (
        Section(sentence("learns", language), tuple(_learns(proposal, language))),
        Section(sentence("rounds", language), tuple(_rounds(proposal, language))),
        _leaves(proposal, policy, language),
        Section(sentence("privacy", language), tuple(_privacy(proposal, policy, spent, language))),
        Section(sentence("policy", language), tuple(_policy(proposal, policy, now, language))),
        _differs(proposal, last, language),
        _settings(proposal, language),
    )
    opening = (
        sentence("asked", language, peer=visible(proposal.peer)),
        sentence("hash", language, job=proposal.job),
        *_sites(proposal, language),
    )
    return Page(language, sentence("title", language, job=proposal.job[:8]), opening, sections)


def differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[tuple[str, str | None, str | None], ...]:
    """Settings that differ between two jobs, in the order of their names.

    Args:
        was: settings of the earlier job, table by table.
        now: of the later one.

    Returns: name (`training.epochs_per_round`), value before and value now as JSON; None where it is not given.
    """
    before, after = dict(_flat(was)), dict(_flat(now))
    names = sorted(before.keys() | after.keys())
    return tuple((name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name))


def as_text(page: Page) -> str:
    """The page as plain text, at most 100 characters wide but for what can't be broken."""
    blocks = [f"{page.title}\n{'=' * len(page.title)}", *map(_wrapped, page.opening)]
    for section in page.sections:
        blocks.append(f"{section.heading}\n{'-' * len(section.heading)}")
        blocks += map(_wrapped, section.sentences)
        if section.table is not None:
            blocks.append(_text_table(section.table))
    return "\n\n".join(blocks) + "\n"


def as_html(page: Page) -> str:
    """The page as one HTML file that loads nothing and executes nothing."""
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="{page.language}"><head><meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(page.title)}</h1>",
        *(f"<p>{escape(text)}</p>" for text in page.opening),
    ]
    for section in page.sections:
        parts.append(f"<h2>{escape(section.heading)}</h2>")
        parts += [f"<p>{escape(text)}</p>" for text in section.sentences]
        if section.table is not None:
            parts.append(_html_table(section.table))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _learns(proposal: Proposal, language: Language) -> Iterator[str]:
    task, exams = f"task.{proposal.task}", f"context.{proposal.settings.get('context')}"
    if task in SENTENCES:
        yield sentence(task, language)
    else:
        yield sentence("task.unknown", language, task=_value(proposal.task))
    yield sentence(exams if exams in SENTENCES else "context.unknown", language)
    yield sentence("model", language, model=_value(proposal.model))


def _sites(proposal: Proposal, language: Language) -> Iterator[str]:
    if proposal.sites:
        names = ", ".join(map(visible, proposal.sites))
        yield sentence("sites", language, sites=names)
        if proposal.masked:
            yield sentence("sites.summed", language, summed=str(proposal.summed))


def _rounds(proposal: Proposal, language: Language) -> Iterator[str]:
    key = "rounds.one" if proposal.rounds == 1 else "rounds.many"
    yield sentence(key, language, rounds=str(proposal.rounds))
    yield sentence("stop", language)


def _leaves(proposal: Proposal, policy: Policy, language: Language) -> Section:
    heading = sentence("leaves", language)
    constant = (sentence("stays", language), sentence("honest", language))
    if not proposal.arrays:
        return Section(heading, (sentence("leaves.unknown", language), *constant))
    numbers = sum(map(_count, proposal.arrays))
    total = sentence(
        _total(proposal),
        language,
        numbers=f"{numbers:,}",
        size=_size(numbers * _FLOAT32),
        total=_size(numbers * _FLOAT32 * proposal.rounds),
    )
    columns = tuple(sentence(key, language) for key in ("array", "shape", "count", "size", "may_leave"))
    rows = tuple(
        (
            visible(one.name),
            " x ".join(map(str, one.shape)) or "1",
            f"{_count(one):,}",
            _size(_count(one) * _FLOAT32),
            sentence("yes" if _may_leave(one, policy) else "no", language),
        )
        for one in proposal.arrays
    )
    return Section(heading, (total, *_at_the_end(proposal, numbers, language), *constant), Table(columns, rows))


def _at_the_end(proposal: Proposal, numbers: int, language: Language) -> Iterator[str]:
    """What leaves once the rounds are over."""
    if proposal.scored:
        yield sentence("leaves.scores", language)
    if proposal.passes_on:
        others = str(max(0, len(proposal.sites) - 1))
        yield sentence("leaves.own_model", language, size=_size(numbers * _FLOAT32), others=others)


def _total(proposal: Proposal) -> str:
    """Which sentence tells what leaves: under masks nothing but the sum is seen, and noise lets no figures out."""
    if proposal.masked:
        return "leaves.sum_masked"
    return "leaves.sum_noise" if proposal.noise_multiplier > 0 else "leaves.sum"


def _privacy(proposal: Proposal, policy: Policy, spent: Sequence[Cost], language: Language) -> Iterator[str]:
    """What hides a single patient, and what it costs; with the fewest patients allowed, for whom it is most."""
    noise, limit, delta = proposal.noise_multiplier, policy.max_epsilon, policy.delta
    yield sentence("privacy.masked" if proposal.masked else "privacy.seen", language)
    if noise == 0:
        yield sentence("privacy.none", language)
        return
    yield sentence("privacy.noise", language, noise=f"{noise:g}")
    yield sentence("privacy.epsilon", language, delta=f"{delta:g}")
    try:
        training = TrainingSettings.model_validate(proposal.settings.get("training", {}))
    except ValidationError:
        yield sentence("privacy.unknown", language)
        return
    round = _dearest(noise, training, policy)
    run = replace(round, steps=round.steps * proposal.rounds)
    yield sentence(
        "privacy.cost",
        language,
        patients=str(policy.min_patients),
        cost=f"{epsilon([run], delta):.3g}",
        before=f"{epsilon(spent, delta):.3g}",
        total=f"{epsilon([*spent, run], delta):.3g}",
    )
    if limit == 0:
        yield sentence("privacy.no_limit", language)
        return
    enough = rounds_within(spent, round, proposal.rounds, limit, delta)
    key = "privacy.enough" if enough == proposal.rounds else "privacy.short"
    yield sentence(key, language, limit=f"{limit:g}", enough=str(enough), rounds=str(proposal.rounds))


def _dearest(noise: float, training: TrainingSettings, policy: Policy) -> Cost:
    """What a round costs at most, with as many patients as the policy allows, or more.

    More patients make each one rarer in a step, but a patient more than whole batches makes a step more.
    """
    least = policy.min_patients
    numbers = (least, training.batch_size * -(-least // training.batch_size) + 1)
    costs = [Cost(noise, training.sample_rate(patients), training.steps(patients)) for patients in numbers]
    return max(costs, key=lambda cost: epsilon([cost], policy.delta))


def _policy(proposal: Proposal, policy: Policy, now: datetime, language: Language) -> Iterator[str]:
    asked = proposal
    request = Request(
        asked.task,
        asked.model,
        asked.rounds,
        policy.min_patients,
        asked.masked,
        asked.noise_multiplier,
        passes_on=asked.passes_on,
    )
    reasons = refusals(policy.model_copy(update={"hours": ()}), request, now)
    stopped = sum(not _may_leave(one, policy) for one in proposal.arrays)
    size = sum(map(_count, proposal.arrays)) * _FLOAT32
    for reason in reasons:
        yield sentence("policy.forbids", language, reason=visible(reason))
    if stopped:
        yield sentence("policy.arrays", language, count=str(stopped))
    if size > policy.max_update_bytes:
        yield sentence("policy.bytes", language, size=_size(size), limit=_size(policy.max_update_bytes))
    if not reasons and not stopped and size <= policy.max_update_bytes:
        yield sentence("policy.allows", language)
    yield sentence("policy.patients", language, patients=str(policy.min_patients))
    if policy.hours:
        spans = (
            sentence("until", language, begin=f"{one.begin:%H:%M}", end=f"{one.end:%H:%M}") for one in policy.hours
        )
        yield sentence("policy.hours", language, hours=sentence("and", language).join(spans))


def _differs(proposal: Proposal, last: Proposal | None, language: Language) -> Section:
    heading = sentence("differs", language)
    if last is None:
        return Section(heading, (sentence("differs.first", language),))
    changed = differences(last.settings, proposal.settings)
    if not changed:
        return Section(heading, (sentence("differs.none", language, job=last.job[:8]),))
    absent = sentence("absent", language)
    rows = tuple((name, was or absent, now or absent) for name, was, now in changed)
    columns = (sentence("setting", language), sentence("was", language), sentence("is", language))
    some = sentence("differs.some", language, job=last.job[:8], count=str(len(changed)))
    return Section(heading, (some,), Table(columns, rows))


def _settings(proposal: Proposal, language: Language) -> Section:
    columns = (sentence("setting", language), sentence("is", language))
    return Section(sentence("settings", language), (), Table(columns, tuple(_flat(proposal.settings))))


def _flat(settings: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values as JSON, tables opened up."""
    for name, value in settings.items():
        place = within + visible(name)
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}.")
        else:
            yield place, _value(value)


def _count(array: OfferedArray) -> int:
    return math.prod(array.shape)


def _may_leave(array: OfferedArray, policy: Policy) -> bool:
    return any(fnmatchcase(array.name, pattern) for pattern in policy.arrays)


def _size(amount: int) -> str:
    """Bytes in words: `300 bytes`, `1.2 kB`, `3.4 MB`, `5.0 GB`."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if amount >= factor:
            return f"{amount / factor:.1f} {unit}"
    return f"{amount} bytes"


def _value(value: Any) -> str:
    """A setting as JSON in ASCII; dates, which JSON has no word for, as text."""
    return json.dumps(value, default=str)


def visible(text: str) -> str:
    """Text from outside without characters that move the cursor, colour the terminal or turn the direction."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _text_table(table: Table) -> str:
    lines = (table.columns, *table.rows)
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def _html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"
