"""A site's side of a round on the engine: ask whether it may, train, look at what leaves, answer."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import FlameError
from flame.federation.gate import House, gated_answer
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
            return accepted(gated_answer(read_question(shareable, site), house, datetime.now()))
        except FlameError as error:
            _log.warning("no update: %s", error.message)
            return refused(error.message)
        except Exception as error:  # noqa: BLE001  the engine's border: what a site's training raises stays at the site
            _log.exception("no update")
            return refused(f"training failed with {type(error).__name__}; the site's own log says more")
