"""Every set of the catalogue has its importer, its line in the guide, and its word in the command's help."""

from pathlib import Path

import pytest
from tests.command import flame

from flame.errors import DataError
from flame.records.sources.catalogue import SOURCES

GUIDE = Path(__file__).parents[3] / "docs" / "public-sets.md"


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_each_set_is_in_the_guide(name):
    assert f"\n| `{name}` | " in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_folder_of_something_else_is_refused(name, tmp_path):
    with pytest.raises(DataError):
        SOURCES[name](tmp_path / "nothing")


def test_the_command_names_them_all():
    said = " ".join(flame("import", "--help").stdout.split())
    assert all(name in said for name in SOURCES)
