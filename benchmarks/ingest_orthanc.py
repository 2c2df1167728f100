"""Time and peak memory of `flame ingest` for an exam of 126 instances from an Orthanc; limits are 15 s and 500 MB.

python -m benchmarks.ingest_orthanc    as root, with iproute2 and the Debian packages orthanc and orthanc-dicomweb

The PACS and the site are network namespaces of this machine. The command is measured as a user runs it, from its start
to its end: C-MOVE, C-GET and DICOMweb, each into a new folder, then once more with nothing new.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.dicom.orthanc import DICOM_PORT, Orthanc, orthanc_and_site
from tests.dicom.scans import mr_series

SECONDS, MEGABYTES = 15.0, 500.0
INSTANCES = 126


def measure(orthanc: Orthanc, source: str, intake: Path, *options: str) -> tuple[float, float, float]:
    """Wall-clock time [s], time on the processor [s] and peak resident memory [MB] of one call."""
    words = [sys.executable, "-m", "flame", "ingest", source, str(intake), *options]
    begun = time.perf_counter()
    process = subprocess.Popen(
        ["ip", "netns", "exec", orthanc.site.namespace, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    stored = len(list(intake.glob("dicom/*/*/*/*.dcm")))
    if process.returncode != 0 or stored != INSTANCES:
        sys.exit(f"{stored} instances were stored, exit code {process.returncode}:\n{said}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary, orthanc_and_site(Path(temporary) / "orthanc") as orthanc:
        orthanc.fill([one for series in (1, 2) for one in mr_series(1, INSTANCES // 2, 256, series=series)])
        pacs = f"pacs://PACS@{orthanc.host.address}:{DICOM_PORT}"
        for name, source, options in (
            ("C-MOVE", pacs, ()),
            ("C-GET", pacs, ("--get",)),
            ("DICOMweb", orthanc.web, ()),
        ):
            intake = Path(temporary) / name
            for what in (name, f"{name}, nothing new"):
                seconds, computing, megabytes = measure(orthanc, source, intake, *options)
                ratios = seconds / SECONDS, megabytes / MEGABYTES
                worst = max(worst, *ratios)
                print(
                    f"{what:24} {seconds:5.1f} s ({ratios[0]:.2f} of {SECONDS:g} s; {computing:.1f} s computing) "
                    f"{megabytes:5.0f} MB ({ratios[1]:.2f} of {MEGABYTES:g} MB)"
                )
    sys.exit(f"over the limit: {worst:.2f}" if worst > 1 else 0)


if __name__ == "__main__":
    main()
