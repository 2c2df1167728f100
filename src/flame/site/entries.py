"""What a ledger holds: one kind of entry for each thing that can enter or leave, or be decided.

An entry names jobs, arrays and people who decide; never a patient. `record` is the SHA-256 of the file behind an entry:
of the proposal that was offered, or of what a person signed; None where there is no such file, as where the site's
policy declines by itself.
"""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from flame.settings import Settings

__all__ = [
    "LONGEST_REASON",
    "Approved",
    "Carried",
    "Declined",
    "Denied",
    "Entry",
    "Event",
    "Offered",
    "Opened",
    "PatientWithdrawn",
    "Received",
    "Registered",
    "Sent",
    "SentArray",
    "Spent",
    "Unmasked",
    "Withdrawn",
    "canonical",
    "digest",
]

Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
LONGEST_REASON = 500
Carried = Literal[
    "model",
    "update",
    "keys",
    "shares",
    "masked update",
    "unmasking",
    "first model",
    "own model",
    "scored model",
    "score",
    "region sum",
]
"""What a message is; from "keys" to "unmasking" the steps of a secure round, then what follows the last round, and
what a region passes on."""


class Opened(Settings):
    """The ledger's first entry: whose it is, and the key that signs it."""

    event: Literal["opened"] = "opened"
    owner: Name
    public_key: Hash


class Registered(Settings):
    """From here on a person of the site may decide, with the key that belongs to `public_key`."""

    event: Literal["registered"] = "registered"
    person: Name
    public_key: Hash


class Offered(Settings):
    """A job arrived; nothing is done for it yet."""

    event: Literal["offered"] = "offered"
    job: Hash
    task: Name
    peer: Name
    record: Hash | None = None


class Approved(Settings):
    """A person allowed a job."""

    event: Literal["approved"] = "approved"
    job: Hash
    by: Name
    record: Hash | None = None


class Declined(Settings):
    """A person, or the site's policy, forbade a job."""

    event: Literal["declined"] = "declined"
    job: Hash
    by: Name
    reason: Name
    record: Hash | None = None


class Withdrawn(Settings):
    """A person took back what was approved, from the next round on."""

    event: Literal["withdrawn"] = "withdrawn"
    job: Hash
    by: Name
    record: Hash | None = None


class PatientWithdrawn(Settings):
    """A patient takes no part from the next round on.

    `keyed_digest` is HMAC-SHA-256 of the patient's id under a secret that stays at the site: without the secret nobody
    can try ids until one fits.
    """

    event: Literal["patient_withdrawn"] = "patient_withdrawn"
    keyed_digest: Hash
    by: Name


class Received(Settings):
    """A message came in, of a kind: a model at a site, an update at the coordinator.

    `peer_count` and `peer_head` are how many entries the sender's ledger had then, and the hash of its last: whoever
    holds them notices if the sender's ledger is cut short later.
    """

    event: Literal["received"] = "received"
    job: Hash
    round: int = Field(ge=0)
    peer: Name
    kind: Carried = "model"
    digest: Hash
    bytes: int = Field(ge=0)
    peer_count: int | None = Field(None, ge=1)
    peer_head: Hash | None = None


class Denied(Settings):
    """A question was not answered, and the peer is told why."""

    event: Literal["denied"] = "denied"
    job: Hash
    round: int = Field(ge=0)
    peer: Name
    reason: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_REASON)]


class Spent(Settings):
    """A round is about to be trained with noise, and costs its patients this much of their privacy (`budget`).

    `occasion` names the noise: the same round with the same model and the same patients gets the same, and pays once.
    """

    event: Literal["spent"] = "spent"
    job: Hash
    round: int = Field(ge=0)
    occasion: Hash
    noise_multiplier: float = Field(gt=0, allow_inf_nan=False)
    sample_rate: float = Field(gt=0, le=1)
    steps: int = Field(ge=1)


class Unmasked(Settings):
    """A site is about to help to unmask the sum of a round's updates, of these sites and of no others.

    `update` is the hash of its own update under the mask.
    """

    event: Literal["unmasked"] = "unmasked"
    job: Hash
    round: int = Field(ge=0)
    survivors: tuple[Name, ...]
    update: Hash


class SentArray(Settings):
    """One array of a message, without its values."""

    name: Name
    shape: tuple[int, ...]
    norm: float = Field(ge=0, allow_inf_nan=False)


class Sent(Settings):
    """A message left: what was in it, its size and hash.

    `noise` is the standard deviation of what was added to each number of the mean gradient of each training step.
    """

    event: Literal["sent"] = "sent"
    job: Hash
    round: int = Field(ge=0)
    peer: Name
    kind: Carried = "update"
    digest: Hash
    bytes: int = Field(ge=0)
    samples: int | None = Field(None, ge=0)
    arrays: tuple[SentArray, ...]
    scalars: dict[Name, float] = Field(default_factory=dict)
    noise: float | None = Field(None, ge=0, allow_inf_nan=False)


Event = (
    Opened
    | Registered
    | Offered
    | Approved
    | Declined
    | Denied
    | Withdrawn
    | PatientWithdrawn
    | Received
    | Spent
    | Unmasked
    | Sent
)


class Entry(Settings):
    """A numbered, dated event that names the hash of the entry before it, and is signed."""

    number: int = Field(ge=0)
    at: datetime
    what: Annotated[Event, Field(discriminator="event")]
    previous: Hash
    signature: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{128})?$")] = ""

    def signed_bytes(self) -> bytes:
        """What the signature stands for: all but itself."""
        return canonical(self.model_dump(mode="json", exclude={"signature"}))

    def line(self) -> bytes:
        """The entry as it stands in the file, without the end of the line."""
        return canonical(self.model_dump(mode="json"))


def canonical(content: Any) -> bytes:
    """JSON of one form only: sorted names, no spaces, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
