"""The token: read, used, and never shown."""

import copy
import pickle
from pathlib import Path

import pytest

from importer.deliver.token import Token, exposure, read_token
from importer.errors import UsageError

SECRET = "eyJ0.eXAi-OiJKV1Qi_LCJh"


def test_the_header_is_the_only_way_out() -> None:
    """Printing, formatting and errors show a mask."""
    token = Token(f"  {SECRET}\n")
    assert token.header() == f"Bearer {SECRET}"
    assert SECRET not in f"{token} {token!r} {token!s}"
    assert not hasattr(token, "__dict__")


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_cannot_be_pickled_or_copied(leak: object) -> None:
    assert callable(leak)
    with pytest.raises(TypeError, match="never pickled") as caught:
        leak(Token(SECRET))
    assert SECRET not in str(caught.value)


def test_words_from_elsewhere_are_redacted() -> None:
    """An API that repeats the token in its answer does not bring it into a report."""
    assert Token(SECRET).redact(f"token {SECRET} is unknown") == "token [token] is unknown"


def test_what_others_have_cut_off_the_token_is_redacted_too() -> None:
    token = Token(SECRET)
    assert token.redact(f"no such token: {SECRET[:12]}… (shortened)") == "no such token: [token]… (shortened)"
    assert token.redact("nothing of it") == "nothing of it"


@pytest.mark.parametrize(
    "pasted", [SECRET + "x" * 200, SECRET + "/" + SECRET, "12|AbCdEfGhIjKlMnOpQrStUv", "abcdef123", "a\0" + SECRET]
)
def test_a_token_that_is_given_in_the_files_place_is_not_shown(pasted: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_token({}, Path(pasted))
    assert caught.value.message.startswith("--token-file: ")
    assert SECRET not in str(caught.value)
    assert pasted not in str(caught.value)


def test_the_file_is_stronger_than_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"\ufeff{SECRET}\r\n", encoding="utf-8")
    assert read_token({"SENDER_API_TOKEN": "other"}, path).header() == f"Bearer {SECRET}"
    assert read_token({"SENDER_API_TOKEN": "other"}, None).header() == "Bearer other"


def test_a_missing_token_says_how_to_get_one() -> None:
    with pytest.raises(UsageError) as caught:
        read_token({}, None)
    assert caught.value.message == "no API token"
    assert caught.value.hint is not None
    assert "SENDER_API_TOKEN" in caught.value.hint
    assert "--token-file" in caught.value.hint
    assert "--sandbox" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("Bearer abc", "begins with the word Bearer"),
        ("abc def", "holds spaces"),
        ("abc\ndef", "holds spaces, line breaks"),
        ("abc\x00", "holds spaces, line breaks or other characters"),
        ("abc\r\nX-Evil: 1", "holds spaces, line breaks"),
        ("tökén", "other characters that no token has"),
        ("x" * 9000, "has 9,000 characters"),
    ],
)
def test_what_cannot_be_a_token_is_refused_without_being_shown(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_token({"SENDER_API_TOKEN": text}, None)
    assert words in caught.value.message
    assert caught.value.hint
    assert len(text.strip()) < 4 or text.strip() not in str(caught.value)


def test_a_token_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Missing, a directory, and not text: each error names the file."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    empty = tmp_path / "empty"
    empty.touch()
    for path, words in (
        (tmp_path / "absent", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "not a text file"),
        (empty, "is empty"),
    ):
        with pytest.raises(UsageError) as caught:
            read_token({}, path)
        assert caught.value.message.startswith(f"--token-file {path}: ")
        assert words in caught.value.message


def test_a_token_file_that_others_can_read_gets_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(SECRET)
    path.chmod(0o600)
    assert exposure(path) is None
    path.chmod(0o644)
    assert exposure(path) == f"other users of this machine can read {path}; run: chmod 600 {path}"
    assert exposure(tmp_path / "absent") is None
