"""Kits: identities of one authority, and no door that the engine leaves open by itself."""

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from flame.errors import ConfigError
from flame.federation.doctor import installed_versions
from flame.federation.nvflare.provision import provision
from flame.federation.nvflare.start import settle
from flame.federation.nvflare.study import Person, Region, Site, Study, read_kit

STUDY = Study(
    name="rt",
    address="127.0.0.1",
    sites=(Site(name="site-1", organisation="h1"), Site(name="site-2", organisation="h2")),
    people=(
        Person(email="ada@c.org", organisation="c", role="coordinator_admin"),
        Person(email="rae@h1.org", organisation="h1", role="researcher"),
        Person(email="sam@h1.org", organisation="h1", role="site_admin"),
        Person(email="aud@c.org", organisation="c", role="auditor"),
    ),
)
SITES = ("site-1", "site-2")
IN_REGIONS = STUDY.model_copy(
    update={
        "sites": (*STUDY.sites, Site(name="site-3", organisation="h3")),
        "regions": (
            Region(name="north", organisation="n", address="127.0.0.2", port=9443, sites=SITES),
            Region(name="south", organisation="s", address="127.0.0.3", sites=("site-3",)),
        ),
    }
)


@pytest.fixture(scope="module")
def kits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return provision(STUDY, tmp_path_factory.mktemp("study"))


def local(kit: Path, name: str) -> dict[str, object]:
    content: dict[str, object] = json.loads((kit / "local" / name).read_text())
    return content


def test_everybody_gets_a_kit_of_their_own(kits: dict[str, Path]) -> None:
    assert set(kits) == {"coordinator", *SITES, *(person.email for person in STUDY.people)}
    kinds = {name: read_kit(folder).kind for name, folder in kits.items()}
    assert kinds["coordinator"] == "coordinator"
    assert {kinds[site] for site in SITES} == {"site"}
    assert {kinds[person.email] for person in STUDY.people} == {"person"}


def test_each_certificate_names_its_owner_and_is_signed_by_the_one_authority(kits: dict[str, Path]) -> None:
    serials = set()
    for name, folder in kits.items():
        (path,) = [path for path in (folder / "startup").glob("*.crt") if path.stem in ("server", "client")]
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        authority = x509.load_pem_x509_certificate((folder / "startup" / "rootCA.pem").read_bytes())
        (common,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert common.value == name
        key, algorithm = authority.public_key(), certificate.signature_hash_algorithm
        assert isinstance(key, rsa.RSAPublicKey)
        assert algorithm is not None
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), algorithm)
        serials.add(certificate.serial_number)
    assert len(serials) == len(kits)


@pytest.mark.parametrize("owner", ["coordinator", *SITES])
def test_only_installed_classes_run_and_nobody_brings_code(kits: dict[str, Path], owner: str) -> None:
    resources = local(kits[owner], "resources.json")
    (allowed,) = resources["class_allow_list"]  # type: ignore[misc]
    assert allowed.endswith("RoundController" if owner == "coordinator" else "SiteExecutor")
    assert resources["class_list_enforcement_mode"] == "enforce"
    assert resources["allow_log_streaming"] is False
    assert "site_log_streamer" not in json.dumps(resources)
    permissions = local(kits[owner], "authorization.json")["permissions"]
    assert isinstance(permissions, dict)
    for role in ("project_admin", "org_admin", "lead"):
        assert permissions[role]["byoc"] == "none"
        assert permissions[role]["shell_commands"] == "none"
    assert permissions["lead"]["operate"] == "none"
    assert permissions["member"] == {"view": "any"}


def test_jobs_have_to_be_signed(kits: dict[str, Path]) -> None:
    for owner, name in (("coordinator", "fed_server.json"), ("site-1", "fed_client.json")):
        settings = json.loads((kits[owner] / "startup" / name).read_text())
        assert settings["require_signed_jobs"] is True


def test_a_site_outlives_its_training_process(kits: dict[str, Path]) -> None:
    components = local(kits["site-1"], "resources.json")["components"]
    assert isinstance(components, list)
    (launcher,) = [one for one in components if one["id"] == "process_launcher"]
    assert launcher["path"] == "flame.federation.nvflare.launcher.TolerantLauncher"


def test_kits_say_what_was_installed_where_they_were_made(kits: dict[str, Path]) -> None:
    for folder in kits.values():
        assert read_kit(folder).versions == installed_versions()
        assert read_kit(folder).versions["nvflare"] == "2.9.0"


def test_kits_are_not_made_twice_in_one_place(kits: dict[str, Path]) -> None:
    out = kits["coordinator"].parent.parent
    with pytest.raises(ConfigError, match="holds kits already"):
        provision(STUDY, out)


def test_the_coordinator_keeps_the_engines_files_in_its_kit(kits: dict[str, Path]) -> None:
    settle(kits["coordinator"])
    text = json.dumps(local(kits["coordinator"], "resources.json"))
    assert str(kits["coordinator"] / "storage" / "jobs") in text
    assert "/tmp/nvflare" not in text


@pytest.fixture(scope="module")
def kits_in_regions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return provision(IN_REGIONS, tmp_path_factory.mktemp("regions"))


def test_a_region_has_two_kits_and_runs_its_own_class(kits_in_regions: dict[str, Path]) -> None:
    kinds = {name: read_kit(folder).kind for name, folder in kits_in_regions.items()}
    assert {name for name, kind in kinds.items() if kind == "region"} == {"north", "south"}
    assert {name for name, kind in kinds.items() if kind == "relay"} == {"north-relay", "south-relay"}
    resources = local(kits_in_regions["north"], "resources.json")
    assert resources["class_allow_list"] == ["flame.federation.nvflare.region.RegionExecutor"]
    assert resources["class_list_enforcement_mode"] == "enforce"
    assert local(kits_in_regions["site-3"], "resources.json")["class_allow_list"] != resources["class_allow_list"]


def test_every_line_of_a_region_is_encrypted_with_certificates_on_both_sides(kits_in_regions: dict[str, Path]) -> None:
    relay = kits_in_regions["north-relay"]
    assert local(relay, "comm_config.json")["internal"] == {
        "scheme": "tcp",
        "resources": {"host": "127.0.0.2", "port": 9443, "connection_security": "mtls"},
    }
    upward = json.loads((relay / "startup" / "fed_relay.json").read_text())["connect_to"]
    assert (upward["address"], upward["connection_security"]) == ("127.0.0.1:8443", "mtls")
    for owner in ("north", *SITES):
        line = local(kits_in_regions[owner], "relay__resources.json")["relay_config"]
        assert isinstance(line, dict)
        assert (line["address"], line["connection_security"]) == ("127.0.0.2:9443", "mtls")
        assert local(kits_in_regions[owner], "comm_config.json")["streaming_chunk_size"] == 262144
    for key in relay.glob("startup/*.key"):
        assert key.stat().st_mode & 0o077 == 0
