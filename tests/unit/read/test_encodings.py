"""Text that is not UTF-8 is never read as something else without a word."""

# Letters of many scripts are the point.
# ruff: noqa: RUF001

from __future__ import annotations

import pytest
from pydantic import ValidationError

from importer.errors import SourceError
from importer.read import EncodingError
from tests.unit.read.helpers import read_bytes

APART = [
    ("cp1257", "Žilvinas Šiaulys;Kėdainiai\nRūta Jonušaitė;Ąžuolai\n"),
    ("cp1257", "Jānis Bērziņš;Rīga\nĶekava;Jūrmala\n"),
    ("cp1250", "Dvořák Petr;Děčín\nNovák;Plzeň\n"),
    ("cp1252", "João;São Paulo\nConceição;Brasília\n"),
    ("cp1254", "Şişli;İstanbul\nÇağlar;Ağrı\n"),
    ("cp1251", "Иванов;Москва\nПетров;Тверь\n"),
]


def encoded(text: str, encoding: str) -> bytes:
    return b"name;city\n" + text.encode(encoding)


@pytest.mark.parametrize(("encoding", "text"), APART)
def test_letters_that_code_pages_read_apart_are_refused_with_each_reading(encoding: str, text: str) -> None:
    with pytest.raises(EncodingError) as caught:
        read_bytes(encoded(text, encoding), name="x.csv")
    readings = {reading.encoding: reading.words for reading in caught.value.readings}
    words = set(text.replace(";", " ").split())
    assert set(readings[encoding]) <= words
    assert len(readings) > 1
    assert f"{encoding}: " in caught.value.message
    assert f"source: {{encoding: {encoding}}}" in caught.value.message
    assert read_bytes(encoded(text, encoding), encoding=encoding).count == text.count("\n")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [APART[0], APART[2], ("shift_jis", "東京;表参道\n大阪市;ソウル\n")],
)
def test_words_of_a_known_language_make_an_encoding_likely(encoding: str, text: str) -> None:
    with pytest.raises(EncodingError) as caught:
        read_bytes(encoded(text, encoding))
    assert caught.value.likely == encoding


def test_a_reading_that_is_only_as_good_as_another_one_is_not_likely() -> None:
    with pytest.raises(EncodingError) as caught:
        read_bytes(encoded("São Paulo;João\n", "cp1252"))
    assert caught.value.likely is None


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Jürgen Müller;Köln\nGroß;Österreich\n"),
        ("cp1252", "José;café – 5 €\n"),
        ("cp1250", "Łukasz Wałęsa;Świdnica\n"),
        ("cp850", "Müller Jürgen;Köln Höhe Fünf Männer\n"),
        ("iso8859-7", "Ελλάδα;Άννα\nΠαπαδοπούλου;Αθήνα\n"),
        ("iso8859-2", "Wąchock;Łódź\n"),
        ("mac_roman", "Zoë Müller;José Peña\nJürgen;Köln\n"),
    ],
)
def test_letters_that_all_code_pages_read_alike_are_read_and_told(encoding: str, text: str) -> None:
    outcome = read_bytes(encoded(text, encoding))
    assert [list(row.values()) for row in outcome.rows] == [line.split(";") for line in text.splitlines()]
    assert outcome.source.dialect.encoding == encoding
    assert outcome.notes[0].startswith(f"is not UTF-8; read as {encoding} (")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1253", "Αθήνα;\n"),
        ("shift_jis", "東京;\n"),
        ("gb18030", "上海;\n"),
        ("euc_kr", "서울;\n"),
        ("mac_roman", "José;Zoë\n"),
        ("cp850", "Müller;Köln\n"),
        ("cp1255", "שלום;\n"),
        ("iso8859-15", "5 €;Šárka\n"),
    ],
)
def test_a_few_letters_are_refused_with_the_right_reading_among_others(encoding: str, text: str) -> None:
    with pytest.raises(EncodingError) as caught:
        read_bytes(encoded(text, encoding))
    words = {reading.encoding: reading.words for reading in caught.value.readings}
    assert set(words[encoding]) <= set(text.replace(";", " ").split())
    assert caught.value.likely is None


def test_a_later_euro_sign_is_no_control_character_of_another_code_page() -> None:
    data = "name\nMüller\n" + "plain\n" * 60_000 + "5 €\n"
    assert read_bytes(data.encode("cp1252")).column("name")[-1] == "5 €"


def test_a_later_letter_that_was_not_agreed_on_spoils_its_row_alone() -> None:
    """What the beginning of the file showed was the same in all code pages; this letter is not."""
    data = "name\nMüller\n" + "plain\n" * 60_000 + "São Paulo\nKöln\n"
    outcome = read_bytes(data.encode("cp1252"))
    assert [(row.row, row.code) for row in outcome.unreadable] == [(60_002, "row.undecodable")]
    assert outcome.column("name")[-1] == "Köln"


def test_the_same_holds_for_json_lines() -> None:
    with pytest.raises(EncodingError):
        read_bytes('{"name": "Žilvinas Šiaulys"}\n'.encode("cp1257"), ["name"], name="x.jsonl")


@pytest.mark.parametrize("encoding", ["idna", "punycode", "base64", "rot13", "none-such"])
def test_encodings_that_read_no_text_are_refused(encoding: str) -> None:
    with pytest.raises((ValidationError, SourceError)):
        read_bytes(b"a\n1\n", encoding=encoding)


def test_halfwidth_letters_are_not_made_of_chinese() -> None:
    """Shift JIS has katakana in one byte each, so that it makes words of almost any bytes."""
    with pytest.raises(EncodingError) as caught:
        read_bytes(encoded("北京市;上海\n深圳;广州\n", "gb18030"))
    assert {"gb18030"} <= {one.encoding for one in caught.value.readings} <= {"gb18030", "big5", "euc_kr"}
