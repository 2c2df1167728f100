"""A site's side of a round on the engine: ask whether it may, train, look at what leaves, answer."""

import logging
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.shareable import make_reply

from flame.errors import EngineError, FlameError
from flame.federation.closing_gate import gated_closing
from flame.federation.gate import Answer, House, Refused, gated_answer
from flame.federation.nvflare.messages import accepted, read_asking, refused, sealed
from flame.federation.nvflare.passport import read_passport
from flame.federation.nvflare.study import COORDINATOR, read_folders, read_kit
from flame.federation.seal import make_seal
from flame.federation.seat import Seat
from flame.federation.stages import ALONE, SCORE, STAGES, TRAIN, Stage, read_question
from flame.site.identity import read_identity

__all__ = ["SiteExecutor"]

_log = logging.getLogger(__name__)


class SiteExecutor(Executor):
    """Runs in the site's training process. All code is the installed FLAME's; a job brings names and numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._seat: Seat | None = None

    def execute(self, task_name: str, shareable: Any, fl_ctx: Any, abort_signal: Any) -> Any:  # noqa: ARG002
        """Answer the coordinator's question; see `stages` and `messages`."""
        stage = STAGES.get(task_name)
        if stage is None:
            return make_reply(ReturnCode.TASK_UNKNOWN)
        try:
            content = read_asking(shareable)
        except EngineError as error:
            return refused(error.message)
        kit = Path(fl_ctx.get_engine().get_workspace().get_root_dir())
        reply, found = self._reply(stage, content, kit), read_kit(kit)
        if found.study.region_of(found.name) is None:
            return reply
        identity, passport = read_identity(read_folders(kit).work), read_passport(kit)
        return sealed(reply, partial(make_seal, found.name, identity, passport, content))

    def _reply(self, stage: Stage, content: bytes, kit: Path) -> Any:
        try:
            found = self._answer(stage, content, kit)
        except Exception as error:  # noqa: BLE001  the engine's border: what is raised here stays here
            # Messages name paths and patients, so only their kind is told.
            _log.exception("no answer. %s", error.hint if isinstance(error, FlameError) else "")
            return refused(f"no {stage.answer} for {type(error).__name__}; the site's own log says more")
        if isinstance(found, Refused):
            _log.warning("no %s: %s", stage.answer, found.reason)
            return refused(found.reason)
        return accepted(found)

    def _answer(self, stage: Stage, content: bytes, kit: Path) -> Answer | Refused:
        folders = read_folders(kit)
        found, now = read_kit(kit), datetime.now()
        region = found.study.region_of(found.name)
        house = House(found.name, folders.data, folders.work, COORDINATOR if region is None else region.name)
        if stage == TRAIN:
            return gated_answer(read_question(content), house, now)
        if stage in (ALONE, SCORE):
            return gated_closing(stage, read_question(content), house, now)
        if self._seat is None:
            self._seat = Seat(house, read_passport(kit), [site.name for site in found.study.sites])
        return self._seat.answer(stage, content, now)
