"""SOURCE arguments become inputs."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.read import expand


def names(folder: Path, *arguments: str) -> list[str]:
    found = expand([argument if argument == "-" else str(folder / argument) for argument in arguments])
    return [source.name.removeprefix(f"{folder}/") for source in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        "b.csv",
        "a.csv",
        "c.JSONL",
        "notes.md",
        ".hidden.csv",
        "deep/d.parquet",
        "deep/.git/e.csv",
        "f.csv.gz",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x\n1\n")
    return tmp_path


def test_files_keep_the_order_of_the_command_line(folder: Path) -> None:
    assert names(folder, "b.csv", "notes.md", "a.csv") == ["b.csv", "notes.md", "a.csv"]


def test_a_glob_is_sorted(folder: Path) -> None:
    assert names(folder, "*.csv") == ["a.csv", "b.csv"]
    assert names(folder, "**/*.parquet") == ["deep/d.parquet"]


def test_a_directory_gives_data_files_only_and_no_hidden_ones(folder: Path) -> None:
    assert names(folder, "") == ["a.csv", "b.csv", "c.JSONL", "f.csv.gz", "deep/d.parquet"]


def test_a_file_named_twice_is_read_once(folder: Path) -> None:
    assert names(folder, "a.csv", "*.csv", "./a.csv") == ["a.csv", "b.csv"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "export[1].csv").write_bytes(b"x\n")
    assert names(tmp_path, "export[1].csv") == ["export[1].csv"]


def test_stdin_has_no_path() -> None:
    (source,) = expand(["-", "-"])
    assert (source.name, source.path) == ("<stdin>", None)


def test_an_archive_stands_for_its_data_files(tmp_path: Path) -> None:
    """Whatever its name is; documentation, hidden files and macOS's extras are left out."""
    with zipfile.ZipFile(tmp_path / "export.bin", "w") as archive:
        for member in ("z.csv", "sub/a.jsonl.gz", "README.txt", "__MACOSX/z.csv", ".x.csv"):
            archive.writestr(member, "x\n")
    assert names(tmp_path, "export.bin") == ["export.bin/sub/a.jsonl.gz", "export.bin/z.csv"]


def test_the_only_file_of_an_archive_needs_no_known_ending(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("orders.txt", "x\n")
    assert names(tmp_path, "one.zip") == ["one.zip/orders.txt"]


@pytest.mark.parametrize(
    ("argument", "words", "hint"),
    [
        ("none.csv", "none.csv: no such file or directory", "check the path: ls"),
        ("*.none", "*.none: no file matches", "check the path: ls"),
        ("empty", "empty: the directory holds no data file", "known endings: .csv .tsv"),
    ],
)
def test_nothing_to_read_is_a_usage_error(folder: Path, argument: str, words: str, hint: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(UsageError) as caught:
        names(folder, argument)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_remote_address_says_what_can_be_read() -> None:
    with pytest.raises(UsageError, match=r"ftp://host/a\.csv: cannot be read from here; known are s3://"):
        expand(["ftp://host/a.csv"])
