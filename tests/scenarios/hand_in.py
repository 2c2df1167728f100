"""Hands in what no command of FLAME's would make, and says how it ended.

python -m tests.scenarios.hand_in KIT FOLDER...    KIT is a person's; each FOLDER is a job as the engine takes it
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from flame.federation.nvflare.job import connected

__all__ = ["main"]


def main(kit: Path, folders: Sequence[str]) -> None:
    """Hand in one folder after the other, each when the one before has ended."""
    with connected(kit) as connection:
        for folder in folders:
            number = connection.submit_job(folder)
            connection.wait_for_job(number, timeout=500)
            print("ended", connection.get_job_meta(number)["status"])


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
