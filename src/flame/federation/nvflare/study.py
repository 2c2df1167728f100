"""A study: who takes part, as data, and the kits that are made of it."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from flame.errors import ConfigError
from flame.federation.credentials import NOT_SITES
from flame.federation.update import SITE_NAME
from flame.files import write_text
from flame.records.dataset import read_site
from flame.settings import Settings, read_toml
from flame.site.identity import make_identity

__all__ = [
    "COORDINATOR",
    "Kind",
    "Kit",
    "Person",
    "Region",
    "Role",
    "Site",
    "SiteFolders",
    "Study",
    "disenrol",
    "enrol",
    "read_folders",
    "read_kit",
    "read_study",
]

COORDINATOR = "coordinator"
"""What the coordinator is called in every study."""

Kind = Literal["coordinator", "region", "relay", "site", "person"]
"""Whose kit it is; a region has two: its coordinator's, and that of the end of its sites' connections, the relay."""

Role = Literal["coordinator_admin", "site_admin", "researcher", "auditor"]
"""Who may do what: run the coordinator and all jobs; look after one's own site; submit jobs; look on."""

_Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")]
_Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]


class Site(Settings):
    """A hospital taking part, and the organisation that it belongs to."""

    name: str = Field(pattern=SITE_NAME)
    organisation: _Name


class Person(Settings):
    """Somebody with a certificate of their own."""

    email: str = Field(pattern=r"^[A-Za-z0-9._-]+@[A-Za-z0-9.-]+$")
    organisation: _Name
    role: Role


class Region(Settings):
    """Sites that have a coordinator of their own, which passes on the sum of their updates.

    Args:
        name: of the region.
        organisation: that runs the region's coordinator.
        address: host name or address of that coordinator, as its sites reach it.
        port: the one port that its sites connect to.
        sites: names of the region's sites.
    """

    name: str = Field(pattern=SITE_NAME)
    organisation: _Name
    address: _Address
    port: int = Field(default=8443, ge=1, le=65535)
    sites: tuple[str, ...] = Field(min_length=1)

    @property
    def relay(self) -> str:
        """What the region's end of its sites' connections is called; it is a process of its own, with a kit."""
        return f"{self.name}-relay"


class Study(Settings):
    """Who takes part.

    Args:
        name: of the study.
        address: host name or address of the coordinator, as the sites or the regions' coordinators reach it.
        port: the one port that they and people connect to.
        sites: at least two.
        people: at least one coordinator's administrator among them.
        regions: none, or several that hold each site once.
    """

    name: _Name
    address: _Address
    port: int = Field(default=8443, ge=1, le=65535)
    organisation: _Name = "coordinator"
    sites: tuple[Site, ...] = Field(min_length=2)
    people: tuple[Person, ...] = Field(min_length=1)
    regions: tuple[Region, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> "Study":
        sites, regions = [site.name for site in self.sites], [region.name for region in self.regions]
        names = [*sites, *regions, *(one.relay for one in self.regions), *(person.email for person in self.people)]
        wrong = sorted({*sites, *regions} & set(NOT_SITES))
        if wrong:
            raise ValueError(f"{wrong[0]!r} can't be the name of a site or region")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} is there twice")
        if not any(person.role == "coordinator_admin" for person in self.people):
            raise ValueError("nobody has the role coordinator_admin")
        members = sorted(site for region in self.regions for site in region.sites)
        if self.regions and members != sorted(sites):
            odd = sorted(set(members) ^ set(sites)) or [one for one in members if members.count(one) > 1]
            raise ValueError(f"the regions don't hold every site once: {odd[0]!r}")
        return self

    def region_of(self, site: str) -> Region | None:
        """The region that a site is in, None if there are no regions."""
        return next((region for region in self.regions if site in region.sites), None)

    def entrance(self, name: str) -> tuple[str, str, int]:
        """Where a site or a region's coordinator connects to: the other side's name, its address and its port."""
        mine = (one for one in self.regions if name == one.name or name in one.sites)
        return next(((one.relay, one.address, one.port) for one in mine), (COORDINATOR, self.address, self.port))

    def members(self, sites: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Region -> those of `sites` that are in it, without regions that hold none of them."""
        found = {one.name: tuple(site for site in one.sites if site in sites) for one in self.regions}
        return {region: members for region, members in found.items() if members}


class Kit(Settings):
    """What a start-up kit says of its owner; `kit.json` in the kit's folder.

    Args:
        kind: whose it is.
        name: of the owner.
        organisation: of the owner.
        study: that the kit is of.
        versions: of what is installed where the kit was made, see `federation.doctor`; none in an older FLAME's kit.
    """

    kind: Kind
    name: str
    organisation: str
    study: Study
    versions: dict[str, str] = Field(default_factory=dict)


class SiteFolders(Settings):
    """Where a site keeps what the engine needs; the site's own file `flame.toml` in its kit, never sent.

    Args:
        data: the site's BIDS folder.
        work: folder for prepared samples, consent and ledger.
    """

    data: Path
    work: Path


def read_study(path: Path) -> Study:
    """Read a `study.toml`. Raises ConfigError if it can't be used; the message names the key."""
    return read_toml(path, Study)


def read_kit(folder: Path) -> Kit:
    """What the kit in `folder` is.

    Raises: ConfigError: if it is no kit.
    """
    path = folder / "kit.json"
    try:
        return Kit.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(
            f"{folder} is no start-up kit", "Name the folder that the coordinator handed out; it holds kit.json."
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is damaged", "Unpack the kit again.") from error


def read_folders(kit: Path) -> SiteFolders:
    """The folders that the site named when it enrolled.

    Raises: ConfigError: if it has not.
    """
    path = kit / "flame.toml"
    if not path.exists():
        raise ConfigError(f"{kit} has not been enrolled", "Run: flame site enrol KIT --data FOLDER --work FOLDER")
    return read_toml(path, SiteFolders)


def enrol(kit: Path, data: Path, work: Path) -> None:
    """Note where a site's folders are, in its kit, and give the site the identity that signs its ledger.

    Raises: ConfigError: if the kit is not a site's; DataError: if `data` is not a site's BIDS folder.
    """
    found = read_kit(kit)
    if found.kind != "site":
        raise ConfigError(f"{kit} is the kit of a {found.kind}", "Name the kit of a site.")
    read_site(data)
    if not (work / "identity.key").exists():
        make_identity(work)
    work.chmod(0o700)  # prepared images will lie there
    folders = {"data": str(data.resolve()), "work": str(work.resolve())}
    lines = [f"{name} = {json.dumps(path, ensure_ascii=False)}" for name, path in folders.items()]
    write_text(kit / "flame.toml", "\n".join(lines) + "\n")


def disenrol(kit: Path) -> None:
    """Forget where a site's folders are: its kit starts no more until it is enrolled again.

    Raises: ConfigError: if it has not been enrolled.
    """
    read_folders(kit)
    (kit / "flame.toml").unlink()
