"""The table of sentences is whole, and nothing in it is left over."""

import string
from pathlib import Path

import pytest

import flame.site.page
from flame.site.wording import SENTENCES, sentence

LANGUAGES = {language for entry in SENTENCES.values() for language in entry}


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", SENTENCES)
def test_every_sentence_is_there_in_every_language_with_the_same_places(key: str) -> None:
    entry = SENTENCES[key]
    assert set(entry) == LANGUAGES
    assert len({frozenset(places(text)) for text in entry.values()}) == 1
    for language in entry:
        filled = sentence(key, language, **dict.fromkeys(places(entry["en"]), "@"))
        assert "{" not in filled
        assert filled.count("@") >= len(places(entry["en"]))


def test_no_sentence_is_left_over() -> None:
    source = Path(flame.site.page.__file__).read_text(encoding="utf-8")
    by_value = ("task.", "context.")  # looked up by what the job says
    assert not [key for key in SENTENCES if f'"{key}"' not in source and not key.startswith(by_value)]


def test_a_place_that_is_not_filled_is_an_error() -> None:
    with pytest.raises(KeyError, match="job"):
        sentence("title", "en")
