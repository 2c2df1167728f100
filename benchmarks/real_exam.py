"""The whole way for a real exam: bring in, prepare, outline roughly, predict under three arms at three horizons.

    python -m benchmarks.real_exam EXAM RUN OUT

EXAM holds t1, t1c, t2 and flair as NIfTI; RUN is the run folder of a `flame compare` whose contexts include `pre_rt`,
and the federated models that never saw its last site predict. The outline is what is bright on FLAIR: rough on purpose,
said to be, and no evidence of accuracy. The picture is OUT/p/picture.png.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, binary_opening, distance_transform_edt, gaussian_filter, label
from typer.testing import CliRunner

from flame.cli import app
from flame.imaging.intensity import zscore
from flame.records.dataset import read_site
from flame.records.volume import Volume, read_volume, write_volume

FILES = {"T1w": "t1", "T1ce": "t1c", "T2w": "t2", "FLAIR": "flair"}
BRIGHT = 1.6
"""Of FLAIR, smoothed by 1.5 mm [standard deviations in the brain]."""


def flame(*words: object) -> None:
    done = CliRunner().invoke(app, [str(word) for word in words])
    print(done.output)
    if done.exit_code:
        raise SystemExit(done.exit_code)


def outlined(flair: NDArray[np.float32], brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest piece that is bright on FLAIR, 4 mm and more from the brain's surface, holes filled."""
    bright = gaussian_filter(zscore(flair, brain), 1.5) > BRIGHT
    pieces, count = label(binary_opening(bright & (distance_transform_edt(brain) > 4), iterations=2))
    if not count:
        raise SystemExit("nothing is bright on FLAIR")
    return np.asarray(binary_fill_holes(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()))


def bring_in(exam: Path, out: Path, outlines: dict[str, Path]) -> Path:
    """Import the exam and prepare it; returns the site's folder."""
    lines = ["patient\tday\tkind\tpath\tframe\tauthor"]
    for sequence, name in FILES.items():
        frame = "t1c" if sequence == "T1ce" else "n/a"
        lines.append(f"Real1\t0\t{sequence}\t{(exam / f'{name}.nii.gz').resolve()}\t{frame}\tn/a")
    lines += [f"Real1\t0\t{kind}\t{path}\tt1c\trough" for kind, path in outlines.items()]
    stage = out / ("outlined" if outlines else "plain")
    stage.mkdir(parents=True, exist_ok=True)
    (stage / "files.tsv").write_text("\n".join(lines) + "\n")
    flame("import", "nifti", stage / "files.tsv", stage / "intake")
    flame("prepare", stage / "intake", stage / "site", "--brain", "atlas")
    return stage / "site"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("exam", "run", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    out = given.out.resolve()
    exam = read_site(bring_in(given.exam, out, {})).patients[0].exams[0]
    assert exam.brain_mask is not None
    flair, brain = read_volume(exam.sequences["FLAIR"]), read_volume(exam.brain_mask).array > 0
    mask = outlined(flair.array.astype(np.float32), brain)
    outlines = {kind: out / f"outline-{kind}.nii.gz" for kind in ("GTV", "WT")}
    for path in outlines.values():
        write_volume(path, Volume(mask, flair.grid))
    print(f"outlined roughly from FLAIR: {mask.sum() * np.prod(flair.grid.spacing_mm) / 1000:.1f} ml")
    site = bring_in(given.exam, out, outlines)
    models = given.run / "models"
    evolution, response = (
        sorted(models.glob(f"{name}-pre_rt/federated-*"))[-1] for name in ("evolution-unet", "response-network")
    )
    flame("predict", evolution, site, "Real1", "--response", response, "--out", out / "p")
    facts = json.loads((out / "p" / "summary.json").read_text())
    for one in facts["familiarity"]["outside"]:
        print(f"{one['input']:<40}{one['deviations']:8.1f} SD")


if __name__ == "__main__":
    main()
