"""A site's border: of what goes wrong inside, only the kind is told."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nvflare.apis.fl_constant import ReturnCode
from tests.federation.nvflare.test_study import kit
from tests.federation.passports import passports
from tests.records.sites import make_site

import flame
from flame.errors import DataError
from flame.federation.job import Job, Privacy
from flame.federation.nvflare import executor
from flame.federation.nvflare.executor import SiteExecutor
from flame.federation.nvflare.messages import asking, read_answer
from flame.federation.nvflare.study import enrol
from flame.federation.rounds import first_state
from flame.federation.stages import KEYS, TRAIN, UNMASK, Stage, question
from flame.files import write_bytes
from flame.records.dataset import write_site

JOB = Job(task="response", model="clinical", context="pre_rt", seed=0, rounds=2)


@pytest.fixture
def engine(tmp_path: Path) -> SimpleNamespace:
    """What the executor asks of the engine: where its kit is."""
    folder = kit(tmp_path)
    write_site(make_site(tmp_path / "data"))
    enrol(folder, tmp_path / "data", tmp_path / "work")
    found = passports(["site-1"])["site-1"]
    for name, content in (
        ("client.crt", found.certificate),
        ("client.key", found.private_key),
        ("rootCA.pem", found.authority),
    ):
        write_bytes(folder / "startup" / name, content)
    workspace = SimpleNamespace(get_root_dir=lambda: str(folder))
    return SimpleNamespace(get_engine=lambda: SimpleNamespace(get_workspace=lambda: workspace))


def asked(engine: SimpleNamespace, content: bytes | None = None, stage: Stage = TRAIN) -> object:
    content = content or question(first_state(JOB, ("site-1",), {"w": np.zeros(2, np.float32)}))
    return read_answer(SiteExecutor().execute(stage.name, asking(content), engine, None))


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
    assert asked(engine, b"{") == "no update for EngineError; the site's own log says more"


def test_a_question_of_another_version_is_answered_with_both(engine: SimpleNamespace) -> None:
    message = asking(b"{")
    message["flame_version"] = "9.9"
    told = read_answer(SiteExecutor().execute(TRAIN.name, message, engine, None))
    assert told == f"The coordinator runs FLAME 9.9, this site {flame.__version__}"


def test_a_site_under_masks_goes_through_its_own_rules_first(engine: SimpleNamespace) -> None:
    masked = JOB.model_copy(update={"privacy": Privacy(secure_aggregation=True)})
    state = first_state(masked, ("site-1", "site-2"), {"w": np.zeros(2, np.float32)})
    assert "is offered at site-1, not approved" in str(asked(engine, question(state), KEYS))
    assert asked(engine, b"{}", UNMASK) == "site-1 has no secrets of this round: its process was started anew"


def test_anything_but_training_is_unknown(engine: SimpleNamespace) -> None:
    reply = SiteExecutor().execute("shell", None, engine, None)
    assert reply.get_return_code() == ReturnCode.TASK_UNKNOWN
