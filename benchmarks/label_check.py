"""How well the label check of `flame import` sees swapped labels, on the label maps and images of a virtual trial.

    flame trial TRIAL --patients 4
    python benchmarks/label_check.py TRIAL

Every exam with T1w and T1ce and as many enhancing voxels as the check asks for is checked as it is, and with the labels
NETC, SNFH and ET in each other order. `refused`: the check calls the map swapped. `warned`: it is doubtful. `passes`:
it fits, or there are too few voxels of what is called ET.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np

from flame.records.dataset import read_site
from flame.records.patient import LABELS
from flame.records.sources.label_check import LabelOrder, brightening, relabelled, swap_check
from flame.records.volume import read_volume

NAMES = ("NETC", "SNFH", "ET")


def orders() -> dict[str, LabelOrder]:
    """All orders of three labels by what they make of NETC, SNFH, ET; the right one first. The cavity stays."""
    found: dict[str, LabelOrder] = {}
    for said in permutations(NAMES):
        found[" ".join(said)] = {LABELS[name]: LABELS[one] for name, one in zip(NAMES, said)} | {
            LABELS["RC"]: LABELS["RC"]
        }
    return found


def exams(trial: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Label map, T1w, T1ce and brain of each exam that has them."""
    for folder in sorted((trial / "sites").iterdir()):
        for patient in read_site(folder).patients:
            for exam in patient.exams:
                if (
                    {"T1w", "T1ce"} <= set(exam.sequences)
                    and exam.label_map is not None
                    and exam.brain_mask is not None
                ):
                    t1w, t1ce = (read_volume(exam.sequences[name]).array for name in ("T1w", "T1ce"))
                    brain = read_volume(exam.brain_mask).array > 0
                    yield read_volume(exam.label_map).array.astype(np.uint8), t1w, t1ce, brain


def main() -> None:
    """Check all exams in all orders; print a line for each order."""
    rises: dict[str, list[float]] = {name: [] for name in orders()}
    verdicts: dict[str, Counter[str]] = {name: Counter() for name in orders()}
    seen = 0
    for labels, t1w, t1ce, brain in exams(Path(sys.argv[1])):
        if LABELS["ET"] not in brightening(labels, t1w, t1ce, brain):
            continue
        seen += 1
        for name, order in orders().items():
            found = brightening(relabelled(labels, order), t1w, t1ce, brain)
            verdicts[name][swap_check(found)] += 1
            if LABELS["ET"] in found:
                rises[name].append(found[LABELS["ET"]])
    print(
        f"{seen} exams with enough enhancing tumour; rise of what is called ET from T1w to T1ce, in deviations of brain"
    )
    print(
        f"{'NETC SNFH ET called':20} {'least':>6} {'median':>7} {'most':>6} {'refused':>8} {'warned':>7} {'passes':>7}"
    )
    for name, all_of_them in rises.items():
        count = verdicts[name]
        passes = (count["fits"] + count["unknown"]) / seen
        figures = (min(all_of_them), float(np.median(all_of_them)), max(all_of_them)) if all_of_them else (np.nan,) * 3
        shown = f"{figures[0]:6.2f} {figures[1]:7.2f} {figures[2]:6.2f}"
        print(f"{name:20} {shown} {count['swapped'] / seen:8.0%} {count['doubtful'] / seen:7.0%} {passes:7.0%}")


if __name__ == "__main__":
    main()
