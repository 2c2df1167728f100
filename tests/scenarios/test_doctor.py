"""`flame doctor` and `flame service` as a hospital calls them, from the kit's arrival until all is well."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.command import flame
from tests.federation.papers import held_port, listening

from flame.federation.certificates import Papers
from flame.records.dataset import read_site

STUDY = """
name = "rt"
address = "127.0.0.1"
port = {port}
sites = [{{ name = "site-1", organisation = "h1" }}, {{ name = "site-2", organisation = "h2" }}]
people = [{{ email = "ada@c.org", organisation = "c", role = "coordinator_admin" }}]
"""

POLICY = 'tasks = ["evolution"]\nmodels = ["unet"]\nmin_patients = 2\narrays = ["*"]\n'


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


def test_a_hospital_is_led_from_an_unpacked_kit_to_a_site_without_errors(
    port: int, trial: Path, tmp_path: Path
) -> None:
    (tmp_path / "study.toml").write_text(STUDY.format(port=port))
    assert flame("coordinator", "provision", tmp_path / "study.toml", "--out", tmp_path / "study").returncode == 0
    kits = tmp_path / "study" / "kits"
    kit, startup = kits / "site-1", kits / "coordinator" / "startup"
    first = flame("doctor", kit)
    assert first.returncode == 3, first.stderr
    assert "2 errors" in first.stdout  # nobody listens, and the site has not been enrolled
    assert "flame site enrol" in " ".join(first.stdout.replace("│", " ").split())
    data, work, key = trial / "sites" / "site-1", tmp_path / "work", tmp_path / "key"
    assert flame("site", "enrol", kit, "--data", data, "--work", work).returncode == 0
    with listening(Papers(startup / "server.crt", startup / "server.key", startup / "rootCA.pem"), port):
        second = flame("doctor", kit)
        assert second.returncode == 3, second.stderr
        assert "2 errors" in second.stdout  # no policy, and nobody who may decide
        assert flame("site", "key", key).returncode == 0
        assert flame("site", "register", work, "ada", key / "identity.pub", "--site", "site-1").returncode == 0
        (work / "policy.toml").write_text(POLICY)
        last = flame("doctor", kit)
    assert last.returncode == 0, last.stdout + last.stderr
    assert "0 errors" in last.stdout
    assert "rehearsed" in last.stdout
    told = first.stdout + second.stdout + last.stdout
    assert not [patient.id for patient in read_site(data).patients if patient.id in told]
    for kind, words in (("systemd", "ReadWritePaths="), ("compose", "read_only: true")):
        done = flame("service", kit, "--kind", kind)
        assert done.returncode == 0, done.stderr
        assert words in done.stdout
        assert str(work) in done.stdout


def test_what_is_no_kit_of_a_site_or_coordinator_is_refused(tmp_path: Path) -> None:
    for words in (("doctor", tmp_path), ("service", tmp_path, "--kind", "systemd")):
        done = flame(*words)
        assert done.returncode == 4
        assert "no start-up kit" in done.stderr
