"""`flame predict`: where one patient's tumour will be, under each arm."""

from pathlib import Path
from typing import Annotated

import typer

from flame.records.patient import ARMS, Arm

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(help="Folder of an evolution model: model.safetensors and model.json.")],
    site: Annotated[Path, typer.Argument(help="The patient's site, a BIDS folder.")],
    patient: Annotated[str, typer.Argument(help="The site's own id of the patient.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("prediction"),
    arms: Annotated[str, typer.Option(help="Arms, separated by commas.")] = "photon,proton,carbon",
    horizons: Annotated[str, typer.Option(help="Days since the end of radiotherapy, by commas.")] = "91,182,365",
    response: Annotated[
        Path | None, typer.Option(help="Folder of a response model, to ask for the probability of response too.")
    ] = None,
) -> None:
    """Write probability maps as NIfTI, a JSON summary and a picture. Research use only."""
    from flame.evaluation.prediction import predict_patient, write_maps
    from flame.files import write_json
    from flame.records.dataset import read_site
    from flame.report.picture import prediction_picture

    found = predict_patient(model, read_site(site), patient, _arms(arms), _horizons(horizons), response)
    maps = write_maps(out, found)
    write_json(out / "summary.json", {**found.facts, "maps": [path.name for path in maps]})
    picture = prediction_picture(found.arrays, found.facts, out / "picture.png")
    for arm, facts in found.facts["arms"].items():
        volumes = ", ".join(f"{ml:.1f}" for ml in facts["predicted_ml"]["WT"])
        typer.echo(f"{arm:<8} {facts['support']:<28} whole tumour {volumes} ml at days {horizons}")
    if "response" in found.facts:
        shares = ", ".join(f"{arm} {share:.0%}" for arm, share in found.facts["response"]["probability"].items())
        typer.echo(f"response: {shares} ({found.facts['response']['endpoint']})")
    known = [part["familiarity"] for part in (found.facts, found.facts.get("response")) if part is not None]
    for statement in dict.fromkeys(one["statement"] for one in known if one["unlike_training"]):
        typer.echo(f"Warning: {statement}")
    typer.echo(f"{len(maps)} maps, summary.json and {picture.name}: {out}\n{found.facts['intended_use']}")


def _arms(text: str) -> list[Arm]:
    from flame.errors import ConfigError

    found = []
    for name in text.split(","):
        arm = next((arm for arm in ARMS if arm == name.strip()), None)
        if arm is None:
            raise ConfigError(f"--arms: {name.strip()!r} is not an arm", f"Choose from {', '.join(ARMS)}.")
        found.append(arm)
    return found


def _horizons(text: str) -> list[int]:
    from flame.errors import ConfigError

    found = []
    for word in text.split(","):
        if not word.strip().isdigit() or not 1 <= int(word) <= 730:
            raise ConfigError(f"--horizons: {word.strip()!r} is not a day from 1 to 730", "Give days, as 91,182,365.")
        found.append(int(word))
    return found
