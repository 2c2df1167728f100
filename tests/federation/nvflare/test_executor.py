"""A site's border: of what goes wrong inside, only the kind is told."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.fl_constant import ReturnCode
from tests.federation.nvflare.test_study import kit
from tests.records.sites import make_site

from flame.errors import DataError
from flame.federation.job import Job
from flame.federation.nvflare import executor
from flame.federation.nvflare.executor import SiteExecutor
from flame.federation.nvflare.messages import TRAIN, question, read_answer
from flame.federation.nvflare.study import enrol
from flame.federation.rounds import first_state
from flame.records.dataset import write_site

JOB = Job(task="response", model="clinical", context="pre_rt", seed=0, rounds=2)


@pytest.fixture
def engine(tmp_path: Path) -> SimpleNamespace:
    """What the executor asks of the engine: where its kit is."""
    folder = kit(tmp_path)
    write_site(make_site(tmp_path / "data"))
    enrol(folder, tmp_path / "data", tmp_path / "work")
    workspace = SimpleNamespace(get_root_dir=lambda: str(folder))
    return SimpleNamespace(get_engine=lambda: SimpleNamespace(get_workspace=lambda: workspace))


def asked(engine: SimpleNamespace, message: object | None = None) -> object:
    message = message or question(first_state(JOB, ("site-1",), {"w": np.zeros(2, np.float32)}))
    return read_answer(SiteExecutor().execute(TRAIN, message, engine, None))


def test_a_site_that_has_approved_nothing_says_so(engine: SimpleNamespace) -> None:
    assert "is offered at site-1, not approved" in str(asked(engine))


def test_an_error_that_names_a_patient_or_a_path_is_not_passed_on(
    engine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise DataError("Patient 007: /srv/data/sub-007 can't be read", "Mend it.")

    monkeypatch.setattr(executor, "gated_answer", failing)
    assert asked(engine) == "no update for DataError; the site's own log says more"


def test_a_question_of_another_form_is_answered_with_its_kind(engine: SimpleNamespace) -> None:
    message = question(first_state(JOB, ("site-1",), {"w": np.zeros(2, np.float32)}))
    message["flame_job"] = "{"
    assert asked(engine, message) == "no update for EngineError; the site's own log says more"


def test_anything_but_training_is_unknown(engine: SimpleNamespace) -> None:
    reply = SiteExecutor().execute("shell", None, engine, None)
    assert reply.get_return_code() == ReturnCode.TASK_UNKNOWN
