"""Runs `flame prepare` in child processes that are killed in the middle of a write.

python killed_prepare.py INTAKE SITE [OPTION ...]    prints a digest of the site's folder for each run

The command runs undisturbed twice: into an empty folder, and into a copy of SITE as it was. Then, in turn from both, it
is killed when half of a file is written, and runs again to its end. Children are forks of this process, which has read
the libraries, so that starting one costs little.
"""

import importlib
import os
import runpy
import shutil
import signal
import sys
from hashlib import blake2b
from pathlib import Path

READ_ONCE = (
    "flame.cli.prepare",
    "flame.imaging.intake",
    "flame.report.alignment",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "nibabel",
    "rich.table",
    "typer.rich_utils",
)


MOMENTS = {"from nothing": (0.0, 0.5, 1.0), "from before": (0.25, 0.75)}
"""When it is killed, in shares of its writes."""


def main(intake, site, options):
    for name in READ_ONCE:
        importlib.import_module(name)
    before = site.with_name(f"{site.name}-before")
    site.rename(before)
    for start, moments in MOMENTS.items():
        _renew(site, before if start == "from before" else None)
        writes = _run(intake, site, options)
        print(_digest(site), flush=True)
        for moment in moments:
            _renew(site, before if start == "from before" else None)
            _run(intake, site, options, 1 + int(moment * (writes - 1)))
            _expect_whole(site)
            _run(intake, site, options)
            print(_digest(site), flush=True)


def _renew(site, before):
    if site.exists():
        shutil.rmtree(site)
    if before is not None:
        shutil.copytree(before, site)


def _run(intake, site, options, moment=None):
    """Run the command in a child; returns the number of its writes. With a `moment`, it must not survive that write."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        _command(["prepare", str(intake), str(site), "--workers", "1", *options], moment, theirs)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        writes = len(pipe.read())
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != (0 if moment is None else -signal.SIGKILL):
        sys.exit(f"write {moment}: the command ended with {code}")
    return writes


def _command(arguments, moment, pipe):
    rename = Path.replace
    done = 0

    def replace(path, target):
        nonlocal done
        done += 1
        if done == moment:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(pipe, b".")
        return rename(path, target)

    Path.replace = replace
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["flame", *arguments]
    code = 1
    try:
        runpy.run_module("flame", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _expect_whole(site):
    """Whom the site's table names, is there."""
    from flame.records.dataset import read_site

    for patient in read_site(site).patients if (site / "participants.tsv").exists() else ():
        if not list(site.glob(f"derivatives/flame/sub-{patient.id}/*_desc-prepared.json")):
            sys.exit(f"{patient.id} is in the table and not whole")


def _digest(folder):
    """Of all names and contents below a folder."""
    found = blake2b(digest_size=16)
    for path in sorted(folder.rglob("*")):
        found.update(str(path.relative_to(folder)).encode() + b"\0")
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
