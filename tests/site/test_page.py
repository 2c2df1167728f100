"""The page says what a job asks, in words, and what comes from outside can't make it say anything else."""

from datetime import datetime, time
from html.parser import HTMLParser

import pytest
from tests.site.consents import JOB, POLICY, TEXT, proposal

from flame.site.budget import Cost, epsilon
from flame.site.page import Page, Section, Table, as_html, as_text, describe, differences
from flame.site.policy import Hours, Policy
from flame.site.proposal import OfferedArray

NOON = datetime(2026, 3, 1, 12)
EVIL = "<script>alert(1)</script>"


class Checked(HTMLParser):
    """Reads HTML; every tag must be closed by its own."""

    VOID = ("meta",)

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def said(page: Page, heading: str) -> str:
    (section,) = [one for one in page.sections if one.heading == heading]
    return " ".join(section.sentences)


def rows(page: Page, heading: str) -> tuple[tuple[str, ...], ...]:
    (section,) = [one for one in page.sections if one.heading == heading]
    return section.table.rows


def page(policy: Policy = POLICY, last: object = None, **changes: object) -> Page:
    return describe(proposal(**changes), policy, last, NOON)


def test_it_says_what_is_learnt_and_how_often() -> None:
    found = page()
    assert found.title == f"Job {JOB[:8]}: may this hospital take part?"
    assert JOB in found.opening[1]
    assert "comes from coordinator." in found.opening[0]
    assert "which patients with glioblastoma will respond" in said(found, "What it learns")
    assert "last exam before radiotherapy." in said(found, "What it learns")
    assert said(found, "How often").startswith("30 rounds.")
    once = describe(proposal(TEXT.replace("rounds = 30", "rounds = 1")), POLICY, None, NOON)
    assert said(once, "How often").startswith("One round:")


def test_what_it_has_no_words_for_is_said_to_be_so() -> None:
    text = TEXT.replace("pre_rt", "everything").replace('"response"', '"survival"')
    strange = proposal().model_copy(update={"task": "survival", "text": text})
    found = said(describe(strange, POLICY, None, NOON), "What it learns")
    assert 'its task is "survival"' in found
    assert found.count("ask before you decide") == 2


def test_what_leaves_is_counted() -> None:
    """12 numbers and one, of 4 bytes each: 52 bytes a round, 1560 in 30."""
    found = page()
    assert said(found, "What leaves this hospital").startswith(
        "In each round: 13 numbers, 52 bytes; over the whole job 1.6 kB."
    )
    assert rows(found, "What leaves this hospital") == (
        ("head.weight", "3 x 4", "12", "48 bytes", "yes"),
        ("head.bias", "1", "1", "4 bytes", "yes"),
    )
    big = page(arrays=(OfferedArray(name="head.weight", shape=(1000, 1000, 5)),))
    assert "5,000,000 numbers, 20.0 MB; over the whole job 600.0 MB" in said(big, "What leaves this hospital")
    assert "does not say which" in said(page(arrays=()), "What leaves this hospital")


NOISY = f"{TEXT.partition('[training]')[0]}[training]\nbatch_size = 5\n[privacy]\nnoise_multiplier = 8.0\n"


def test_without_noise_it_says_that_nothing_hides_a_patient() -> None:
    assert "There is no bound on what they show of one patient." in said(page(), "What hides a single patient")
    told = said(page(), "What leaves this hospital")
    assert "figures on how the training went: its error, and, if the job holds patients back" in told


SCORED = f"{TEXT}[selection]\nheld_back = 0.2\n"


def test_what_leaves_after_the_last_round_is_told() -> None:
    heading = "What leaves this hospital"
    last = "After the last round the model that came out comes in once more"
    further = "ONE MORE THING LEAVES"
    for text, told in (
        (TEXT, (False, False)),
        (SCORED, (True, False)),
        (f'{SCORED}[evaluation]\ncross_site = "none"\n', (False, False)),
        (f'{SCORED}[evaluation]\ncross_site = "each_site"\n', (True, True)),
    ):
        found = said(page(text=text), heading)
        assert (last in found, further in found) == told, text


def test_a_job_that_passes_a_sites_own_model_on_is_forbidden_unless_the_policy_says_otherwise() -> None:
    text = f'{SCORED}[evaluation]\ncross_site = "each_site"\n'
    asked = proposal(text).model_copy(update={"sites": ("site-1", "site-2", "site-3")})
    found = describe(asked, POLICY, None, NOON)
    assert "52 bytes. The coordinator passes it on to the 2 other hospitals" in said(found, "What leaves this hospital")
    assert "It forbids this job" in said(found, "What this hospital's policy says")
    allowing = describe(asked, POLICY.model_copy(update={"own_model": True}), None, NOON)
    assert "does not forbid" in said(allowing, "What this hospital's policy says")


def test_noise_and_what_it_costs_are_told() -> None:
    """Six patients in steps of five cost the most: two steps in each of 30 rounds, epsilon 3.7 by `budget.epsilon`."""
    run, before = Cost(8.0, 5 / 6, 60), Cost(8.0, 1.0, 10)
    assert epsilon([run], 1e-5) > epsilon([Cost(8.0, 1.0, 30)], 1e-5)
    found = said(describe(proposal(NOISY), POLICY, None, NOON, spent=(before,)), "What hides a single patient")
    assert "random noise is added that is 8 times as large" in found
    cost, spent, total = (f"{epsilon(some, 1e-5):.3g}" for some in ([run], [before], [run, before]))
    assert "If 5 patients or more take part, the fewest" in found
    assert f"cost epsilon {cost} at most. Spent here before: {spent}. Both together: {total}." in found
    assert "sets no limit" in found
    assert "Figures on how the training went stay here" in said(page(text=NOISY), "What leaves this hospital")


@pytest.mark.parametrize(
    ("limit", "says"),
    [(100.0, "enough for all 30 rounds"), (2.0, "enough for 9 of 30 rounds. The others will be refused.")],
)
def test_a_budget_is_told_with_how_far_it_goes(limit: float, says: str) -> None:
    policy = POLICY.model_copy(update={"max_epsilon": limit})
    assert says in said(page(policy, text=NOISY), "What hides a single patient")


def test_noise_that_is_not_understood_is_said_to_be_so() -> None:
    odd = NOISY.replace("batch_size = 5", "batch_size = 0")
    assert "its epsilon can't be told" in said(page(text=odd), "What hides a single patient")


def test_the_policy_has_its_say() -> None:
    heading = "What this hospital's policy says"
    assert said(page(), heading).startswith("It does not forbid this job. At least 5 patients")
    forbidding = said(page(Policy(max_rounds=3)), heading)
    assert forbidding.count("It forbids this job") == 3
    assert "30 rounds are more than the 3 allowed" in forbidding
    assert "It stops 2 of the lists" in forbidding
    assert "does not forbid" not in forbidding
    small = said(page(POLICY.model_copy(update={"max_update_bytes": 51})), heading)
    assert "52 bytes are more than the 51 bytes allowed" in small
    assert "does not forbid" not in small
    one = page(POLICY.model_copy(update={"arrays": ("head.w*",)}))
    assert [row[-1] for row in rows(one, "What leaves this hospital")] == ["yes", "NO"]
    assert "It stops 1 of the lists" in said(one, heading)
    night = (Hours(begin=time(20), end=time(6)), Hours(begin=time(12), end=time(13)))
    hours = said(page(POLICY.model_copy(update={"hours": night})), heading)
    assert "from 20:00 to 06:00 and from 12:00 to 13:00, local time" in hours
    assert "does not forbid" in hours  # though it is noon: hours are for training, not for deciding


def test_what_is_new_is_told_setting_by_setting() -> None:
    heading = "What is different from the job approved last"
    assert "No other job" in said(page(), heading)
    assert "No setting differs" in said(page(last=proposal()), heading)
    before = proposal(
        TEXT.replace("30", "20").replace("epochs = 2", "epochs = 1\nwarmup = true").replace("seed = 3\n", "")
    )
    found = page(last=before)
    assert f"differ from those of job {before.job[:8]}: 4." in said(found, heading)
    assert rows(found, heading) == (
        ("rounds", "20", "30"),
        ("seed", "not given", "3"),
        ("training.epochs", "1", "2"),
        ("training.warmup", "true", "not given"),
    )
    assert ("training.epochs", "2") in rows(found, "All settings")


def test_differences_are_those_of_all_settings_at_any_depth() -> None:
    assert differences({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1.5}}}) == (("a.b.c", "1", "1.5"),)
    assert differences({"a": 1}, {"a": {"x": 1}}) == (("a", "1", None), ("a.x", None, "1"))
    assert differences({"a": [1, "x"], "b": 2}, {"b": 2, "a": [1, "x"]}) == ()


def test_as_text_it_fits_a_terminal_and_says_everything() -> None:
    found = page(last=proposal(TEXT.replace("30", "20")))
    text = as_text(found)
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for section in found.sections:
        assert section.heading in text
        for one in section.sentences:
            assert one in flat
    assert "rounds   20   30" in text
    assert text.splitlines()[1] == "=" * len(found.title)


def test_as_html_it_is_one_file_that_loads_nothing() -> None:
    found = page(last=proposal(TEXT.replace("30", "20")))
    text = as_html(found)
    read = Checked(text)
    assert not {"script", "img", "link", "iframe", "object", "form"} & set(read.tags)
    assert not [name for name in read.attributes if name in ("src", "href", "style") or name.startswith("on")]
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text
    assert read.tags.count("tr") == 1 + 2 + 1 + 1 + 1 + 6  # the head and rows of three tables
    for section in found.sections:
        for one in (section.heading, *section.sentences):
            assert one in read.text


@pytest.mark.parametrize("evil", [EVIL, '"><img src=x onerror=alert(1)>', "</table></body>&lt;"])
def test_what_comes_from_outside_is_shown_and_not_done(evil: str) -> None:
    text = TEXT + f"'{evil}' = '{evil}'\n"
    found = page(text=text, peer=evil, arrays=(OfferedArray(name=evil, shape=(2,)),))
    html = as_html(found)
    assert evil not in html
    read = Checked(html)
    assert not {"script", "img"} & set(read.tags)
    assert read.tags.count("table") == 2
    assert read.text.count(evil) >= 3


def test_what_moves_the_cursor_or_turns_the_direction_is_spelt_out() -> None:
    tricky = "co\x1b[2Jordi\u202enator\r"
    found = page(
        text=TEXT + '"a\\u001b" = "\\u202e\\u009b"\n', peer=tricky, arrays=(OfferedArray(name=tricky, shape=()),)
    )
    for shown in (as_text(found), as_html(found)):
        assert not {"\x1b", "\u202e", "\u009b", "\r"} & set(shown)
    assert "co\\x1b[2Jordi\\u202enator\\r." in as_text(found)
    assert "\\u202e\\u009b" in as_text(found)


def test_what_is_in_a_page_is_escaped_wherever_it_stands() -> None:
    odd = Page("en", "<t>", ("<o>",), (Section("<h>", ("<s>",), Table(("<c>",), (("<r>",),))),))
    html = as_html(odd)
    for mark in ("<t>", "<o>", "<h>", "<s>", "<c>", "<r>"):
        assert mark not in html
        assert mark in Checked(html).text


MASKED = f"{TEXT.partition('[training]')[0]}[privacy]\nsecure_aggregation = true\n"


def test_masks_and_what_they_leave_open_are_told() -> None:
    found = page(text=MASKED)
    assert "the coordinator can read neither" in said(found, "What leaves this hospital")
    assert "cancel only in the sum over the hospitals" in said(found, "What hides a single patient")
    assert "sees what this hospital alone has sent" in said(page(), "What hides a single patient")


def test_a_policy_that_wants_masks_forbids_a_job_without() -> None:
    wants = POLICY.model_copy(update={"masked": True})
    heading = "What this hospital's policy says"
    assert "no secure aggregation, without which no update leaves" in said(page(wants), heading)
    assert "It does not forbid this job." in said(page(wants, text=MASKED), heading)
