"""A hospital's archive by DICOMweb: QIDO-RS to ask, WADO-RS to fetch, over HTTP or HTTPS."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from flame.dicom.reading import MALFORMED
from flame.dicom.receive import Away, Desk, Series, Wanted
from flame.errors import ConfigError

__all__ = ["PASSWORD", "USER", "Service", "open_web"]

USER, PASSWORD = "FLAME_DICOMWEB_USER", "FLAME_DICOMWEB_PASSWORD"
"""Environment variables with the account at the service; never options, which others on the machine could see."""

_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_PATIENT, _MODALITY, _COUNT = "00100020", "00080060", "00201209"
_REFUSED = (401, 403)
_LATER = (408, 429, 502, 503, 504)
"""Answers of a service that is too busy or not quite there."""

_PLAIN, _AS_STORED = (("application/dicom", "1.2.840.10008.1.2.1"),), (("application/dicom", "*"),)
"""Instances are asked for uncompressed, for a service can unpack what cannot be read here; else as they are stored."""

_PAGE = 1000
_ASKED_ALONE = 16
"""Up to so many missing instances are fetched one by one; of more, the whole series comes in one stream."""


class _NotSent(Away):
    """The service is there, but what was asked for did not come, or not whole: asking for something else may help."""


@dataclass(frozen=True)
class Service:
    """A DICOMweb service.

    Attributes:
        url: as `https://pacs.example/dicom-web`.
        ca: certificates (PEM) by which to know the service; None for those that the system trusts.
        quiet_s: how long nothing may come before the service counts as away [s].
    """

    url: str
    ca: Path | None = None
    quiet_s: float = 60.0


@contextmanager
def open_web(service: Service) -> Iterator["Web"]:
    """Yield the archive; its connections are closed at the end.

    Raises: ConfigError: if the address or the file of certificates is not usable.
    """
    if service.ca is not None and not service.ca.is_file():
        raise ConfigError(f"The file of certificates {service.ca} does not exist", "Check the path.")
    with requests.Session() as connections:
        connections.verify = True if service.ca is None else str(service.ca)
        if os.environ.get(USER):
            connections.auth = (os.environ[USER], os.environ.get(PASSWORD, ""))
        try:
            client = DICOMwebClient(
                service.url, session=connections, timeout=(min(service.quiet_s, 30.0), service.quiet_s)
            )
        except ValueError:
            raise ConfigError(
                f"{service.url} is not the address of a DICOMweb service", "Give it as https://host:port/path."
            ) from None
        client.set_http_retry_params(retry=False)
        yield Web(client)


class Web:
    """An archive (`receive.Archive`) behind a `Service`; made by `open_web`."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def series(self, wanted: Wanted) -> list[Series]:
        """All series that match, study by study. Raises: Away, ConfigError."""
        found: list[Series] = []
        for patient in wanted.patients or ("",):
            filters = {"PatientID": patient} if patient else {}
            if wanted.dates:
                filters["StudyDate"] = wanted.dates
            for study in self._all("search_for_studies", search_filters=filters, fields=["PatientID"]):
                if patient and (_value(study, _PATIENT) or patient).strip() != patient:
                    continue  # a service may take * and ? in an id for a pattern
                uid = _value(study, _STUDY)
                found += (
                    self._series_of(uid, wanted) if uid else []
                )  # without one, those of everybody would be asked for
        return list(dict.fromkeys(found))

    def instances(self, series: Series) -> list[str]:
        """UIDs of the instances that the service has of a series, each once. Raises: Away, ConfigError."""
        answers = self._all("search_for_instances", study_instance_uid=series.study, series_instance_uid=series.uid)
        return list(dict.fromkeys(uid for answer in answers if (uid := _value(answer, _INSTANCE))))

    def fetch(self, series: Series, instances: Sequence[str], desk: Desk) -> None:
        """Hand instances in at the desk as they arrive; see `receive.Archive`. Raises: Away, ConfigError."""
        alone = instances
        if not instances or len(instances) > _ASKED_ALONE:
            if _came_whole(self._stream(series), desk):
                return
            alone = [uid for uid in instances or self.instances(series) if not desk.knows(uid)]
        for uid in alone:
            if not _came_whole(self._one(series, uid, _PLAIN), desk):
                _came_whole(self._one(series, uid, _AS_STORED), desk)

    def _stream(self, series: Series) -> Iterator[Dataset]:
        yield from self._client.iter_series(series.study, series.uid, _PLAIN)

    def _one(self, series: Series, uid: str, syntax: Any) -> Iterator[Dataset]:
        yield self._client.retrieve_instance(series.study, series.uid, uid, syntax)

    def _series_of(self, study: str, wanted: Wanted) -> list[Series]:
        answers = self._all("search_for_series", study_instance_uid=study, fields=["NumberOfSeriesRelatedInstances"])
        return [
            Series(study, uid, _value(answer, _MODALITY) or "", _count(answer))
            for answer in answers
            if (uid := _value(answer, _SERIES)) and _value(answer, _MODALITY) in wanted.modalities
        ]

    def _all(self, question: str, **words: Any) -> list[dict[str, Any]]:
        """All answers to a question: services limit how many come at once, so ask on until none is new."""
        answers: dict[tuple[str | None, ...], dict[str, Any]] = {}
        while True:
            with _answering():
                page = getattr(self._client, question)(**words, limit=_PAGE, offset=len(answers))
            before = len(answers)
            answers |= {tuple(_value(one, tag) for tag in (_STUDY, _SERIES, _INSTANCE)): one for one in page}
            if len(answers) == before:
                return list(answers.values())


@contextmanager
def _answering() -> Iterator[None]:
    """Turn what the libraries raise into `Away`; their messages quote addresses, which hold identifiers."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status in _REFUSED:
            raise ConfigError(
                f"The service refuses this account (status {status})", f"Set {USER} and {PASSWORD} in the environment."
            ) from None
        raise (Away if status in _LATER else _NotSent)(f"it answered with status {status}") from None
    except requests.exceptions.SSLError:
        raise ConfigError(
            "The service does not prove who it is (TLS)",
            "Give the certificates to trust with --ca, and its right name.",
        ) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError):
        raise Away("it cannot be reached, or broke off") from None
    except MALFORMED:
        raise _NotSent("its answer is not what DICOMweb sends") from None


def _came_whole(answers: Iterator[Dataset], desk: Desk) -> bool:
    """Hand in what comes; False if something of it cannot be read or was not sent. Raises: Away, ConfigError."""
    try:
        while True:
            with _answering():
                dataset = next(answers, None)
                whole = dataset is None or _is_whole(dataset)
            if dataset is None or not whole:
                return whole
            desk.take(dataset)
    except _NotSent:
        return False


def _is_whole(dataset: Dataset) -> bool:
    """Whether all pixels are there; a stream that is cut may end in half of an instance."""
    stored = dataset.get("PixelData")
    bits = int(dataset.get("BitsAllocated") or 0) * int(dataset.get("SamplesPerPixel") or 1)
    voxels = int(dataset.get("Rows") or 0) * int(dataset.get("Columns") or 0) * int(dataset.get("NumberOfFrames") or 1)
    compressed = dataset.file_meta.TransferSyntaxUID.is_compressed
    return stored is None or compressed or len(stored) >= voxels * bits // 8


def _value(answer: dict[str, Any], tag: str) -> str | None:
    values: Iterable[Any] = answer.get(tag, {}).get("Value", ())
    return next((str(value) for value in values), None)


def _count(answer: dict[str, Any]) -> int | None:
    value = _value(answer, _COUNT)
    return int(value) if value and value.isdigit() else None
