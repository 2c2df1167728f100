"""A site's side of a round on the engine: ask whether it may, train, look at what leaves, answer."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import FlameError
from flame.federation.gate import House, Refused, gated_answer
from flame.federation.nvflare.messages import TRAIN, accepted, read_question, refused
from flame.federation.nvflare.study import read_folders, read_kit

__all__ = ["SiteExecutor"]

_log = logging.getLogger(__name__)


class SiteExecutor(Executor):
    """Runs in the site's training process. All code is the installed FLAME's; a job brings names and numbers."""

    def execute(self, task_name: str, shareable: Any, fl_ctx: Any, abort_signal: Any) -> Any:  # noqa: ARG002
        """Answer the coordinator's question; see `messages`."""
        if task_name != TRAIN:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        try:
            kit = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
            site, folders = read_kit(kit).name, read_folders(kit)
            house = House(site, folders.data, folders.work)
            found = gated_answer(read_question(shareable, site), house, datetime.now())
        except Exception as error:  # noqa: BLE001  the engine's border: what is raised here stays here
            # Messages name paths and patients, so only their kind is told.
            _log.exception("no update. %s", error.hint if isinstance(error, FlameError) else "")
            return refused(f"no update for {type(error).__name__}; the site's own log says more")
        if isinstance(found, Refused):
            _log.warning("no update: %s", found.reason)
            return refused(found.reason)
        return accepted(found)
