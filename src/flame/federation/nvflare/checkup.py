"""A kit looked at from all sides before its process is started: what `flame doctor` tells."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509

from flame.errors import ConfigError, FlameError
from flame.federation.certificates import Papers, certificate_conditions, clock_condition
from flame.federation.connection import port_condition, reach
from flame.federation.doctor import (
    COORDINATOR_BYTES,
    KIT_BYTES,
    PATIENT_BYTES,
    Condition,
    available_memory,
    compare_versions,
    disk_condition,
    installed_versions,
    memory_condition,
    processor_condition,
)
from flame.federation.nvflare.record import LEDGER
from flame.federation.nvflare.study import COORDINATOR, Kit, SiteFolders, read_folders, read_kit
from flame.federation.readiness import (
    data_condition,
    last_signed,
    ledger_condition,
    people_condition,
    policy_condition,
    rehearsal_condition,
    taking_part,
)

__all__ = ["examine_kit", "kit_papers"]


_LISTENING = ("coordinator", "relay")
"""Kits of those that others connect to."""


def kit_papers(kit: Path) -> Papers:
    """Where a kit's certificate, key and root lie, as the engine names them."""
    startup = kit / "startup"
    name = "server" if read_kit(kit).kind in _LISTENING else "client"
    return Papers(startup / f"{name}.crt", startup / f"{name}.key", startup / "rootCA.pem")


def examine_kit(kit: Path, now: datetime) -> Iterator[Condition]:
    """Look at a kit of a site, of the coordinator or of a region, and at all that its process will need.

    Nothing is changed.

    Args:
        kit: folder.
        now: with a time zone.

    Raises: ConfigError: if it is no kit, or a person's, who has nothing to start.
    """
    found = read_kit(kit)
    if found.kind == "person":
        raise ConfigError(f"{kit} is the kit of a person, who has nothing to start", "Name a coordinator's or site's.")
    papers = kit_papers(kit)
    yield from certificate_conditions(papers, found.name, now)
    records: Path | None = kit / LEDGER
    if found.kind in _LISTENING:
        yield from _listening(kit, found, papers)
    else:
        above, address, port = found.study.entrance(found.name)
        yield from reach(address, port, papers, above)
    if found.kind == "site":
        folders = _folders(kit)
        records = folders.work if folders else None
        yield from _site(kit, folders)
    elif found.kind != "relay":
        yield disk_condition("space in the kit", kit, COORDINATOR_BYTES)
        yield ledger_condition(kit / LEDGER)
    yield clock_condition(now, _latest(papers, records))
    yield memory_condition(*available_memory())
    yield from compare_versions(installed_versions(), found.versions)


def _listening(kit: Path, found: Kit, papers: Papers) -> Iterator[Condition]:
    """The own port; a relay speaks to the coordinator too."""
    region = next((one for one in found.study.regions if one.relay == found.name), None)
    yield port_condition(found.study.port if region is None else region.port, papers)
    if region is not None:
        upward = Papers(kit / "startup" / "client.crt", kit / "startup" / "client.key", papers.root)
        yield from reach(found.study.address, found.study.port, upward, COORDINATOR)


def _site(kit: Path, folders: SiteFolders | None) -> Iterator[Condition]:
    yield disk_condition("space in the kit", kit, KIT_BYTES)
    yield processor_condition()
    if folders is None:
        what_to_do = f"Run: flame site enrol {kit} --data FOLDER --work FOLDER"
        yield Condition("enrolment", "error", "the kit does not say where data and work folder are", what_to_do)
        return
    work = folders.work
    yield Condition("enrolment", "ok", f"data {folders.data}, work folder {work}")
    told, site = data_condition(folders.data)
    yield told
    yield disk_condition("space in the work folder", work, PATIENT_BYTES * (len(site.patients) if site else 0))
    yield ledger_condition(work)
    yield people_condition(work)
    try:
        ready = taking_part(site, work) if site else None
    except FlameError as error:
        yield Condition("withdrawn patients", "error", error.message, error.hint)
        ready = None
    yield policy_condition(work, len(ready.patients) if ready else None)
    if ready:
        yield rehearsal_condition(ready, work)


def _folders(kit: Path) -> SiteFolders | None:
    try:
        return read_folders(kit)
    except ConfigError:
        return None


def _latest(papers: Papers, records: Path | None) -> datetime | None:
    """When something was last signed that lies here: the certificate by the authority, or an entry of the ledger."""
    times = [last_signed(records)] if records else []
    with contextlib.suppress(OSError, ValueError):
        times.append(x509.load_pem_x509_certificate(papers.certificate.read_bytes()).not_valid_before_utc)
    return max((one for one in times if one is not None), default=None)
