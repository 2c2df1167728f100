"""The sentences of the page that asks for consent, in one table, so that another language is another column.

Written for a data protection officer: no word of machine learning is left unexplained. A place in braces is filled in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

__all__ = ["SENTENCES", "Language", "sentence"]

Language = Literal["en"]

SENTENCES: Mapping[str, Mapping[Language, str]] = MappingProxyType(
    {
        "title": {"en": "Job {job}: may this hospital take part?"},
        "asked": {
            "en": "This job comes from {peer}. Nothing is done for it until a person of this hospital approves it."
        },
        "hash": {"en": "The job's full number, which is different if any of its settings is: {job}"},
        "sites": {"en": "Those that take part: {sites}. If others did, it would have to be approved again."},
        "sites.summed": {"en": "The coordinator learns no sum of fewer than {summed} of them."},
        "learns": {"en": "What it learns"},
        "task.response": {
            "en": "It learns to tell, early after radiotherapy, which patients with glioblastoma will respond to it."
        },
        "task.evolution": {
            "en": "It learns to tell where a glioblastoma will be on MRI at a given day after radiotherapy."
        },
        "task.unknown": {
            "en": "It says that its task is {task}. This page has no words for that: ask before you decide."
        },
        "context.pre_rt": {"en": "It looks at each patient's last exam before radiotherapy."},
        "context.first_post_rt": {
            "en": "It looks at each patient's last exam before radiotherapy and the first one 14 to 60 days after it."
        },
        "context.unknown": {
            "en": "It does not say in words known here which exams it looks at: ask before you decide."
        },
        "model": {"en": "What is trained is the model {model}, a part of the FLAME that this hospital has installed."},
        "rounds": {"en": "How often"},
        "rounds.many": {
            "en": "{rounds} rounds. In each, a model comes in, is trained on this hospital's patients inside this "
            "hospital, and what the training changed in the model is sent back."
        },
        "rounds.one": {
            "en": "One round: a model comes in, is trained on this hospital's patients inside this hospital, and what "
            "the training changed in the model is sent back."
        },
        "stop": {"en": "Any person of this hospital who may decide can stop it from the next round on."},
        "leaves": {"en": "What leaves this hospital"},
        "leaves.sum": {
            "en": "In each round: {numbers} numbers, {size}; over the whole job {total}. The lists that they come in "
            "are below. With them go the number of training samples and figures on how the training went: its error, "
            "and, if the job holds patients back (settings, held_back), how well the model does on them."
        },
        "leaves.sum_noise": {
            "en": "In each round: {numbers} numbers, {size}; over the whole job {total}. The lists that they come in "
            "are below. With them goes the number of training samples. Figures on how the training went stay here."
        },
        "leaves.sum_masked": {
            "en": "In each round: {numbers} numbers, {size}; over the whole job {total}. The lists that they come in "
            "are below. They leave under masks, and with them the number of training samples; the coordinator can read "
            "neither. Figures on how the training went stay here."
        },
        "leaves.scores": {
            "en": "After the last round the model that came out comes in once more, and at most one earlier one. How "
            "well each does on the patients who were held back, and how many they are, is sent back."
        },
        "leaves.own_model": {
            "en": "ONE MORE THING LEAVES, AND GOES FURTHER: a model that is trained here on this hospital's patients "
            "alone, {size}. The coordinator passes it on to the {others} other hospitals, which measure it on their "
            "patients; their models come in here and are measured in the same way."
        },
        "leaves.unknown": {"en": "The job does not say which lists of numbers it would send. Ask before you decide."},
        "stays": {"en": "Images, names, dates, identifiers and tables of patients are no part of it and stay here."},
        "honest": {
            "en": "The numbers are worked out from this hospital's patients. They are not readable, but someone with "
            "skill may learn something about single patients from them, the more so the fewer patients there are."
        },
        "array": {"en": "list"},
        "shape": {"en": "rows and columns"},
        "count": {"en": "numbers"},
        "size": {"en": "size"},
        "may_leave": {"en": "policy lets it leave"},
        "yes": {"en": "yes"},
        "no": {"en": "NO"},
        "privacy": {"en": "What hides a single patient"},
        "privacy.masked": {
            "en": "Masks hide what this hospital sends: random numbers that cancel only in the sum over the hospitals "
            "that take part. The coordinator learns that sum and no hospital's part of it, unless it works together "
            "with hospitals, or lies about who took part (with many hospitals it can then learn the sum of a few)."
        },
        "privacy.seen": {"en": "No masks are used: the coordinator sees what this hospital alone has sent."},
        "privacy.none": {
            "en": "No noise is added to the numbers that leave. There is no bound on what they show of one patient."
        },
        "privacy.noise": {
            "en": "In each step of the training no patient counts for more than a fixed bound, and random noise is "
            "added that is {noise} times as large. It is drawn from a secret that never leaves this hospital."
        },
        "privacy.epsilon": {
            "en": "How much can still be learnt of one patient is measured by a number, epsilon: 0 is nothing, 1 is "
            "little, above 10 there is hardly a bound left. It grows with each round of each job. But for a chance of "
            "{delta} it holds whoever looks at the numbers, and whatever else they know."
        },
        "privacy.unknown": {
            "en": "The job's settings of training are not in words known here, so its epsilon can't be told: ask "
            "before you decide."
        },
        "privacy.cost": {
            "en": "If {patients} patients or more take part, the fewest that this hospital's policy allows, all rounds "
            "of this job cost epsilon {cost} at most. Spent here before: {before}. Both together: {total}."
        },
        "privacy.no_limit": {"en": "This hospital's policy sets no limit to epsilon."},
        "privacy.enough": {
            "en": "This hospital's policy allows {limit}, which is enough for all {rounds} rounds ({enough})."
        },
        "privacy.short": {
            "en": "This hospital's policy allows {limit}: that is enough for {enough} of {rounds} rounds. The others "
            "will be refused."
        },
        "policy": {"en": "What this hospital's policy says"},
        "policy.allows": {"en": "It does not forbid this job."},
        "policy.forbids": {"en": "It forbids this job, which can't be approved: {reason}."},
        "policy.arrays": {"en": "It stops {count} of the lists above: every round would fail here."},
        "policy.bytes": {"en": "It stops what is sent each round: {size} are more than the {limit} allowed."},
        "policy.patients": {
            "en": "At least {patients} patients here must fit the job; that is checked when it is approved."
        },
        "policy.hours": {"en": "Training may run from {hours}, local time."},
        "differs": {"en": "What is different from the job approved last"},
        "differs.first": {"en": "No other job was approved here before."},
        "differs.none": {"en": "No setting differs from job {job}."},
        "differs.some": {"en": "Settings that differ from those of job {job}: {count}."},
        "settings": {"en": "All settings"},
        "setting": {"en": "setting"},
        "was": {"en": "was"},
        "is": {"en": "is"},
        "absent": {"en": "not given"},
        "until": {"en": "{begin} to {end}"},
        "and": {"en": " and from "},
    }
)


def sentence(key: str, language: Language, **places: str) -> str:
    """An entry of `SENTENCES` with its places filled.

    Raises: KeyError: if there is no such entry, or a place is not given.
    """
    return SENTENCES[key][language].format_map(places)
