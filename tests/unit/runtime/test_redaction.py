import pytest

from hyperinf.runtime.redaction import redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("401 for hf_abcdefghij1234", "401 for ***"),
        ("https://user:secret@packages.example/path: 403", "https://***@packages.example/path: 403"),
        ("https://hf_abcdefghij1234@huggingface.co/a/b", "https://***@huggingface.co/a/b"),
        ("the token my-own-token is wrong", "the token *** is wrong"),
        ("sample@home: https://huggingface.co/a/b", "sample@home: https://huggingface.co/a/b"),
    ],
)
def test_tokens_and_passwords_are_not_shown_and_all_else_is(text, shown):
    assert redacted(text, {"HF_TOKEN": "my-own-token"}) == shown


def test_a_token_that_is_not_set_hides_nothing():
    assert redacted("a b", {"HF_TOKEN": ""}) == "a b"
