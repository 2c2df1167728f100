"""`flame export`: a prediction back to the hospital, on the patient's own images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from flame.dicom.arrival.pacs import Peer

__all__ = ["export"]


def export(
    prediction: Annotated[Path, typer.Argument(help="Folder that flame predict wrote.")],
    site: Annotated[Path, typer.Argument(help="The patient's site, a BIDS folder made by flame prepare.")],
    patient: Annotated[str, typer.Argument(help="The site's own id of the patient.")],
    intake: Annotated[Path, typer.Option(help="The intake folder that the site was prepared from.")],
    source: Annotated[
        str, typer.Option(help="Where the patient came from: a folder, pacs://TITLE@host:port or https://host/path.")
    ],
    key: Annotated[Path | None, typer.Option(help="The site's key; by default INTAKE.key beside the folder.")] = None,
    response: Annotated[Path | None, typer.Option(help="A *_rano.json of flame rano, to be reported too.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to. IDENTIFIED: the hospital's own name.")] = None,
    send: Annotated[str | None, typer.Option(help="PACS to store to, as pacs://TITLE@host:port.")] = None,
    own_title: Annotated[str, typer.Option(help="This machine's title, as entered in the PACS.")] = "FLAME",
    own_port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the PACS sends to.")] = 11112,
    own_address: Annotated[
        str, typer.Option(help="Address that the PACS sends to; by default all of this machine.")
    ] = "",
    get: Annotated[bool, typer.Option("--get", help="Fetch by C-GET: the PACS needs no way to this machine.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificates (PEM) by which to know a DICOMweb service.")] = None,
) -> None:
    """Write masks (SEG), probabilities (parametric maps) and a report (SR) into the patient's own record.

    They carry the ORIGINAL patient's identity, found again by the site's key, and go nowhere but where you say.
    Exporting again makes the same objects. Research use only.
    """
    from flame.cli.sources import source_from
    from flame.dicom.arrival.send import send as store
    from flame.dicom.export import anchor_of, read_prediction, write_objects
    from flame.dicom.export import export as objects_of
    from flame.dicom.identity.pseudonym import Key
    from flame.dicom.ingest import key_beside
    from flame.dicom.quiet import quiet
    from flame.dicom.results.source import SourceDesk, fetch_source, stored_series
    from flame.evaluation.prediction import find_patient
    from flame.files import read_json
    from flame.records.dataset import read_site

    target = None if send is None else _target(send, own_title)
    secret = key or key_beside(intake)
    _refuse(secret, nowhere=target is None and out is None)
    found = read_prediction(prediction)
    record = find_patient(read_site(site), patient)
    anchor = anchor_of(found, site, record, intake)
    with quiet():
        keys = Key.load_or_create(secret)
        desk = SourceDesk(keys, record.id, stored_series(intake, record.id, anchor.image, anchor.grid))
        original = fetch_source(source_from(source, own_title, own_port, own_address, get, ca), desk)
        calls = None if response is None else read_json(response)
        objects = objects_of(found, original, anchor.to_source, keys, calls)
        if out is not None:
            write_objects(out, objects)
        if target is not None:
            store(objects, target)
    kinds = ", ".join(f"{sum(one.Modality == kind for one in objects)} {kind}" for kind in ("SEG", "OT", "SR"))
    places = " and ".join(place for place in (None if out is None else str(out), send) if place)
    typer.echo(f"{len(objects)} objects ({kinds}) of patient {record.id}, under the hospital's own identity: {places}")


def _target(address: str, own_title: str) -> "Peer":
    """The PACS to store to."""
    from flame.cli.sources import source_from
    from flame.dicom.arrival.pacs import Peer
    from flame.errors import ConfigError

    target = source_from(address, own_title, 0, "", False, None)
    if not isinstance(target, Peer):
        raise ConfigError(f"--send: {address!r} is not the address of a PACS", "Give it as pacs://TITLE@host:port.")
    return target


def _refuse(key: Path, nowhere: bool) -> None:
    """Refuse what would end in nothing, before anything is asked for."""
    from flame.errors import ConfigError

    if nowhere:
        raise ConfigError("Nobody said where the objects should go", "Give --out FOLDER or --send pacs://…")
    if not key.exists():
        raise ConfigError(f"There is no key at {key}", "Give --key: the key that took the patient in.")
