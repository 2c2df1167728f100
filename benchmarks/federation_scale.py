"""What 3, 30 and 300 sites cost the coordinator in a round; the limit is 1.2 times the memory from 3 to 300.

    python benchmarks/federation_scale.py [--parameters 1000 20000000] [--sites 3 30 300] [--forms plain masked]
                                          [--disk 30]

A round as the coordinator runs it, from the question to the next state on disk, in a process of its own, whose largest
resident memory counts, interpreter and all. Sites are made up one at a time in another process, so that neither their
time nor their memory is in the figures; nor is the engine's that carries messages. Updates stay on disk until the
round is closed: 300 of 20 million parameters take 24 GB, 42 GB under masks. A case that needs more than `--disk` GB, or
more than there is, is left out.

Under masks, sites leave out those that each pair has in common. They cancel in the sum when no site drops out, and at
the coordinator all is as it would be; 300 sites with 20 million parameters would draw them for hours. What grows there
is not what streams: the coordinator carries a letter between each two sites, 90,000 among 300, whatever the model.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from flame.federation.credentials import Passport, make_credential
from flame.federation.folder import encode_model
from flame.federation.job import Job, Limits, Privacy, job_hash
from flame.federation.letters import Member, Sharing, open_shares, share_secrets
from flame.federation.masks import encode_masked
from flame.federation.messages import decode_message, encode_message
from flame.federation.privacy import UnmaskRequest, answer_request, mask_update, secure_terms
from flame.federation.roster import OwnKeys, Roster, make_keys, make_roster
from flame.federation.rounds import State, first_state
from flame.federation.seat import CertifiedKeys, Directory, Letters
from flame.federation.secure_round import secure_round
from flame.federation.stages import KEYS, SHARES, TRAIN, UNMASK, UPDATE, Keep, Stage, question
from flame.federation.steps import begin, close, keep
from flame.federation.update import Update, encode
from flame.site.identity import Identity

LIMIT = 1.2
SHARES_OF_MODEL = {"wide": 0.5, "middle": 0.3, "small": 0.199, "bias": 0.001}
VALUE_BYTES = {"plain": 4, "masked": 7}
AUTHORITY, ASKED, SENT = "authority.pem", "asked", "sent"


@dataclass(frozen=True)
class Case:
    """What is measured: updates in the clear or under masks, of how many sites and parameters."""

    form: str
    parameters: int
    sites: int

    @property
    def disk_bytes(self) -> int:
        return self.sites * self.parameters * VALUE_BYTES[self.form]

    def state(self) -> State:
        """Before the first round; the model has four arrays."""
        job = Job(
            task="evolution",
            model="benchmark",
            context="pre_rt",
            seed=1,
            rounds=1,
            limits=Limits(quorum=self.sites, max_update_norm=10.0),
            privacy=Privacy(secure_aggregation=self.form == "masked"),
        )
        model = {
            name: np.zeros(max(1, int(share * self.parameters)), np.float32) for name, share in SHARES_OF_MODEL.items()
        }
        return first_state(job, [f"site-{number:03d}" for number in range(self.sites)], model)


class Sites:
    """All sites of a case, for the process beside the coordinator's: one answers at a time."""

    def __init__(self, state: State, folder: Path) -> None:
        self._state, draw = state, np.random.default_rng(1)
        scale = sum(array.size for array in state.arrays.values()) ** -0.5
        self._arrays = {
            name: scale * draw.standard_normal(array.size, np.float32) for name, array in state.arrays.items()
        }
        self._secrets: dict[str, OwnKeys | Sharing | Member] = {}
        self._roster: Roster | None = None
        self._identities: dict[str, Identity] = {}
        self._passports: dict[str, Passport] = {}
        if state.job.privacy.secure_aggregation:
            self._identities = {site: Identity(Ed25519PrivateKey.generate()) for site in state.sites}
            self._passports = passports(state.sites)
            (folder / AUTHORITY).write_bytes(self._passports[state.sites[0]].authority)

    def answer(self, stage: str, site: str, content: bytes) -> bytes:
        """A site's answer to the coordinator's question."""
        found = self._secrets.get(site)
        if stage == TRAIN.name:
            return encode(self._update(site))
        if stage == KEYS.name:
            own = make_keys(secure_terms(self._state), site, self._identities[site])
            self._secrets[site] = own
            credential = make_credential(site, self._identities[site].public_key, self._passports[site])
            return encode_message(CertifiedKeys(own.public, credential))
        if isinstance(found, OwnKeys):
            self._secrets[site], letters = share_secrets(found, self._shown(content))
            return encode_message(Letters(letters))
        if isinstance(found, Sharing):
            member = open_shares(found, decode_message(Letters, content).letters)
            alone = replace(member, held={site: member.held[site]})
            self._secrets[site] = replace(member, is_masked=True)
            return encode_masked(mask_update(alone, self._update(site))[1])
        assert isinstance(found, Member)
        return encode_message(answer_request(found, decode_message(UnmaskRequest, content))[1])

    def _update(self, site: str) -> Update:
        place = self._state.sites.index(site)
        arrays = {name: np.roll(array, place) for name, array in self._arrays.items()}
        return Update(job_hash(self._state.job), site, 0, arrays, 100 + place, {})

    def _shown(self, content: bytes) -> Roster:
        """The roster, which every site would make for itself out of the same bytes."""
        if self._roster is None:
            keys = [one.keys for one in decode_message(Directory, content).keys]
            enrolled = {site: identity.public_key for site, identity in self._identities.items()}
            self._roster = make_roster(secure_terms(self._state), keys, enrolled)
        return self._roster


def passports(sites: Sequence[str]) -> dict[str, Passport]:
    """Certificates of one authority, one for each site; all have one key, which saves minutes."""
    key, root_key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    now = datetime.now(UTC)

    def certified(name: str, owner: rsa.RSAPrivateKey) -> bytes:
        subject, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "authority"))
        builder = x509.CertificateBuilder(issuer, subject, owner.public_key(), x509.random_serial_number())
        dated = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        return dated.sign(root_key, SHA256()).public_bytes(serialization.Encoding.PEM)

    form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private, root = key.private_bytes(serialization.Encoding.PEM, form, secret), certified("authority", root_key)
    return {site: Passport(certified(site, key), private, root) for site in sites}


def serve(case: Case, folder: Path) -> None:
    """Be the sites: a line names stage and site, `asked` holds the question, `sent` is the answer."""
    sites = Sites(case.state(), folder)
    print("ready", flush=True)
    for line in sys.stdin:
        stage, site = line.split()
        content = (folder / ASKED).read_bytes() if stage in (SHARES.name, UPDATE.name, UNMASK.name) else b""
        (folder / SENT).write_bytes(sites.answer(stage, site, content))
        print("sent", flush=True)


@dataclass
class Carrier:
    """Carries questions to the sites' process and answers back; an `Ask` that notes times and bytes.

    `waited` is the time that passed at the sites, `kept` that of checking and storing what they train.
    """

    folder: Path
    sites: subprocess.Popen[str]
    waited: float = 0.0
    kept: list[float] = field(default_factory=list)
    up: int = 0
    down: int = 0

    def __call__(
        self, state: State, stage: Stage, messages: Mapping[str, bytes], keep: Keep, limits: Limits, before: int = 0
    ) -> None:
        """Ask one site after the other."""
        del state, limits, before  # every site answers
        for site, message in messages.items():
            content = self._answer(stage, site, message)
            self.up, self.down = self.up + len(content), self.down + len(message)
            started = time.perf_counter()
            reason = keep(site, content)
            assert reason is None, reason
            if stage in (TRAIN, UPDATE):
                self.kept.append(time.perf_counter() - started)

    def _answer(self, stage: Stage, site: str, message: bytes) -> bytes:
        started = time.perf_counter()
        if stage not in (TRAIN, KEYS):
            (self.folder / ASKED).write_bytes(message)
        assert self.sites.stdin
        assert self.sites.stdout
        self.sites.stdin.write(f"{stage.name} {site}\n")
        self.sites.stdin.flush()
        assert self.sites.stdout.readline() == "sent\n"
        content = (self.folder / SENT).read_bytes()
        (self.folder / SENT).unlink()
        self.waited += time.perf_counter() - started
        return content


@dataclass(frozen=True)
class Cost:
    """Of a round at the coordinator: largest resident memory [bytes], seconds, and bytes of all sites together."""

    resident: int
    keep: float
    rest: float
    processor: float
    up: int
    down: int


@contextmanager
def beside(case: Case, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The sites' process."""
    command = [*_command(case, folder), "--serve"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process


def coordinate(case: Case, folder: Path) -> Cost:
    """Run the round in this process, as the engine's controller does."""
    with beside(case, folder) as sites:
        run, carrier = folder / "run", Carrier(folder, sites)
        run.mkdir()
        begun, started = time.process_time(), time.perf_counter()
        state = begin(run, case.state())
        if case.form == "masked":
            secure_round(state, run, (folder / AUTHORITY).read_bytes(), carrier, lambda: 0.0)
        else:
            messages = dict.fromkeys(state.sites, question(state))
            carrier(state, TRAIN, messages, lambda site, content: keep(run, state, site, content), state.job.limits)
            close(state, run, len(encode_model(state.arrays)), lambda: 0.0)
        seconds, processor = time.perf_counter() - started, time.process_time() - begun
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    rest = seconds - carrier.waited - sum(carrier.kept)
    return Cost(resident, sum(carrier.kept), rest, processor, carrier.up, carrier.down)


def measured(case: Case) -> Cost:
    """Run a case in a process of its own and clear up behind it."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(_command(case, Path(folder)), check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(done.stdout))


def _command(case: Case, folder: Path) -> list[str]:
    return [sys.executable, __file__, "--case", case.form, str(case.parameters), str(case.sites), str(folder)]


def too_large(case: Case, disk_gb: float) -> str | None:
    """Why a case is left out, None if it is not."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if case.disk_bytes > disk_gb * 1e9:
        return f"needs {case.disk_bytes / 1e9:.0f} GB of disk, --disk allows {disk_gb:g}"
    if case.disk_bytes > 0.8 * free:
        return f"needs {case.disk_bytes / 1e9:.0f} GB of disk, {free / 1e9:.0f} are free"
    return None


def show(cases: Sequence[Case], disk_gb: float) -> float:
    """Measure cases that differ in their sites alone; returns the worst ratio of memory to the first."""
    base, worst = 0.0, 0.0
    for case in cases:
        about = f"{case.form:8}{case.parameters:12,}{case.sites:7}"
        reason = too_large(case, disk_gb)
        if reason:
            print(f"{about}   left out: {reason}", flush=True)
            continue
        cost = measured(case)
        base = base or cost.resident
        worst = max(worst, cost.resident / base)
        print(
            f"{about}{cost.resident / 1e6:10.0f}{cost.resident / base:8.2f}{1e3 * cost.keep / case.sites:12.1f}"
            f"{cost.keep:10.2f}{cost.rest:9.2f}{cost.processor:11.2f}{cost.up / 1e6:11.2f}{cost.down / 1e6:11.2f}",
            flush=True,
        )
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parameters", type=int, nargs="+", default=[1_000, 20_000_000])
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 30, 300])
    parser.add_argument("--forms", nargs="+", choices=list(VALUE_BYTES), default=list(VALUE_BYTES))
    parser.add_argument("--disk", type=float, default=30.0, help="most that a case may take [GB]")
    parser.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        form, parameters, sites, folder = arguments.case
        case = Case(form, int(parameters), int(sites))
        if arguments.serve:
            serve(case, Path(folder))
        else:
            print(json.dumps(asdict(coordinate(case, Path(folder)))))
        return 0
    print(f"{os.cpu_count()} cores; MB of memory, seconds at the coordinator, MB of all sites together")
    print(
        f"{'form':8}{'parameters':>12}{'sites':>7}{'memory':>10}{'ratio':>8}{'keep ms/one':>12}{'keep':>10}{'rest':>9}"
        f"{'processor':>11}{'up':>11}{'down':>11}"
    )
    kept = True
    for form in arguments.forms:
        models = [[Case(form, size, sites) for sites in arguments.sites] for size in arguments.parameters]
        worst = max(show(cases, arguments.disk) for cases in models)
        kept &= worst <= LIMIT
        print(f"{form}: worst ratio {worst:.2f}, limit {LIMIT}: {'kept' if worst <= LIMIT else 'BROKEN'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
