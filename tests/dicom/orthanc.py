"""A real PACS for tests: Orthanc on a host of its own, from which nothing but the test's other host can be reached.

This Orthanc listens on every interface whatever its configuration says, so it runs in a network namespace. Needs root,
iproute2, and the Debian packages orthanc and orthanc-dicomweb.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE
from tests.scenarios.hosts import Host, make_hosts

from flame.dicom.arrival.pacs import ASKING

__all__ = ["DICOM_PORT", "OWN_PORT", "WEB_PORT", "Orthanc", "inside", "orthanc_and_site"]

DICOM_PORT, WEB_PORT, OWN_PORT = 4242, 8042, 11112
_DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
_NEW_NETWORK = 0x40000000


@dataclass
class Orthanc:
    """A PACS on `host`, for a site on another host; its database and configuration lie in `folder`."""

    host: Host
    site: Host
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def web(self) -> str:
        """Its DICOMweb service, as the site sees it."""
        return f"http://{self.host.address}:{WEB_PORT}/dicom-web"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.folder.mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "orthanc.json"
        configuration.write_text(json.dumps(self._configuration()))
        self.process = self.host.start(["Orthanc", configuration], self.folder, self.folder / "orthanc.log")
        end = time.monotonic() + 300
        while not (self._listens(DICOM_PORT) and self._listens(WEB_PORT)):
            if self.process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"Orthanc did not start: {(self.folder / 'orthanc.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send it a signal; a killed one is waited for."""
        assert self.process is not None
        self.process.send_signal(number)
        if number in (signal.SIGKILL, signal.SIGTERM):
            self.process.wait(60)

    def fill(self, instances: Sequence[Dataset]) -> None:
        """Store instances in it, as a scanner does."""
        entity = AE("SCANNER")
        for kind in {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in instances}:
            entity.add_requested_context(*kind)
        with inside(self.site):
            association = entity.associate(
                self.host.address, DICOM_PORT, ae_title="PACS", max_pdu=1 << 18, evt_handlers=[*ASKING]
            )
            assert association.is_established
            for one in instances:
                assert association.send_c_store(one).Status == 0
            association.release()

    def _listens(self, port: int) -> bool:
        with inside(self.site), contextlib.suppress(OSError):
            socket.create_connection((self.host.address, port), 1).close()
            return True
        return False

    def _configuration(self) -> dict[str, object]:
        return {
            "Name": "PACS",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomAet": "PACS",
            "DicomPort": DICOM_PORT,
            "DicomCheckCalledAet": True,
            "DicomModalities": {"site": ["FLAME", self.site.address, OWN_PORT]},
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowMove": True,
            "HttpPort": WEB_PORT,
            "RemoteAccessAllowed": True,
            "AuthenticationEnabled": False,
            "OverwriteInstances": False,
            "StableAge": 1,
            "Plugins": [str(_DICOMWEB)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }


@contextlib.contextmanager
def inside(host: Host) -> Iterator[None]:
    """Let this thread, and threads that it starts, use the host's network while the block runs."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{host.namespace}") as there:  # noqa: PTH123
        if libc.setns(there.fileno(), _NEW_NETWORK) != 0:
            raise OSError(ctypes.get_errno(), "cannot enter the network of a host")
        try:
            yield
        finally:
            libc.setns(home.fileno(), _NEW_NETWORK)


@contextlib.contextmanager
def orthanc_and_site(folder: Path) -> Iterator[Orthanc]:
    """A running, empty Orthanc, and beside it the host of a site; both are gone when the block ends."""
    if shutil.which("Orthanc") is None or not _DICOMWEB.exists():
        if os.environ.get("CI"):
            pytest.fail("CI must run this with the Debian packages orthanc and orthanc-dicomweb")
        pytest.skip("needs the Debian packages orthanc and orthanc-dicomweb")
    with make_hosts(("pacs", "site")) as hosts:
        orthanc = Orthanc(hosts["pacs"], hosts["site"], folder)
        orthanc.start()
        yield orthanc
