"""Small messages come back whole from their bytes; anything else is refused without quoting it."""

import json

import pytest
from tests.federation.secure_rounds import play, terms, update

from flame.errors import UpdateRejected
from flame.federation.letters import Letter
from flame.federation.messages import decode_message, encode_message
from flame.federation.privacy import UnmaskAnswer, UnmaskRequest
from flame.federation.roster import PublicKeys

TERMS = terms(5)
PLAYED = play(TERMS, [update(TERMS, site) for site in TERMS.sites])
REQUEST = PLAYED.request(TERMS.sites[:4])
MESSAGES = [
    PLAYED.roster.keys[TERMS.sites[0]],
    PLAYED.letters[0],
    REQUEST,
    PLAYED.answers(REQUEST)[TERMS.sites[1]],
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_whole(message):
    content = encode_message(message)
    assert decode_message(type(message), content) == message
    assert encode_message(decode_message(type(message), content)) == content
    assert b"base64" not in content
    json.loads(content)


@pytest.mark.parametrize("message", MESSAGES)
def test_no_message_passes_for_one_of_another_kind(message):
    for kind in {PublicKeys, Letter, UnmaskRequest, UnmaskAnswer} - {type(message)}:
        with pytest.raises(UpdateRejected, match=f"the bytes are no {kind.__name__}"):
            decode_message(kind, encode_message(message))


@pytest.mark.parametrize(
    "change",
    [
        {"round": "3"},
        {"round": 3.5},
        {"sender": None},
        {"content": 7},
        {"content": "not base64!"},
        {"extra": 1},
    ],
)
def test_wrong_types_and_unknown_fields_are_refused_by_their_name(change):
    fields = json.loads(encode_message(PLAYED.letters[0])) | change
    with pytest.raises(UpdateRejected, match=f"no Letter: {next(iter(change))}"):
        decode_message(Letter, json.dumps(fields).encode())


def test_cut_off_bytes_are_refused_without_quoting_them():
    content = encode_message(PLAYED.letters[0])
    with pytest.raises(UpdateRejected, match="the bytes are no Letter: content") as caught:
        decode_message(Letter, content[:-9])
    assert content[-60:-20].decode() not in str(caught.value)
