"""When a file is complete, and where it lies after each step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.watch.inbox import Inbox
from importer.watch.outcome import Place
from importer.wording import original_name


def drop(directory: Path, name: str, text: str = "email\n", age: float = 0.0) -> Path:
    path = directory / name
    path.write_text(text)
    os.utime(path, (1e9 - age,) * 2)
    return path


def test_a_file_is_complete_when_two_looks_are_the_same(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        drop(tmp_path, "a.csv")
        assert inbox.scan() == ([], ["a.csv"])
        drop(tmp_path, "a.csv", "email\nmore\n")
        assert inbox.scan() == ([], ["a.csv"])
        assert inbox.scan() == (["a.csv"], [])


def test_the_oldest_comes_first(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        for name, age in (("a.csv", 1), ("b.csv", 3), ("c.csv", 2)):
            drop(tmp_path, name, age=age)
        inbox.scan()
        assert inbox.scan()[0] == ["b.csv", "c.csv", "a.csv"]


@pytest.mark.parametrize("name", ["a.csv.part", "a.csv.tmp", ".a.csv", "a.csv~", "a.csv.done", "drops.yaml"])
def test_a_temporary_name_is_not_looked_at(name: str, tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        inbox.scan()
        drop(tmp_path, name)
        assert inbox.scan() == inbox.scan() == ([], [])


def test_a_marker_makes_a_file_complete_at_once_and_goes_with_it(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        drop(tmp_path, "a.csv")
        drop(tmp_path, "a.csv.done")
        assert inbox.scan() == (["a.csv"], [])
        inbox.take("a.csv")
        assert not (tmp_path / "a.csv.done").exists()


def test_with_a_marker_of_ones_own_nothing_else_counts(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path, ".ok")
    with inbox.exclusive():
        drop(tmp_path, "a.csv")
        inbox.scan()
        assert inbox.scan() == ([], ["a.csv"])
        drop(tmp_path, "a.csv.ok")
        assert inbox.scan() == (["a.csv"], [])


def test_a_marker_left_behind_by_a_crash_does_not_count_for_the_next_file(tmp_path: Path) -> None:
    drop(tmp_path, "a.csv.done")
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        drop(tmp_path, "a.csv")
        assert inbox.scan() == ([], ["a.csv"])


def test_a_name_that_was_used_gets_the_time_of_its_arrival(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    names = []
    with inbox.exclusive():
        for _ in range(3):
            drop(tmp_path, "my.orders.csv.gz")
            own = inbox.take("my.orders.csv.gz")
            inbox.finish(own, Place.DONE)
            names.append(own)
    assert names[0] == "my.orders.csv.gz"
    assert len(set(names)) == 3
    assert {original_name(name) for name in names} == {"my.orders.csv.gz"}
    assert {path.name for path in (tmp_path / "done").iterdir()} == set(names)


def test_reports_move_with_their_file_and_a_crash_in_between_is_seen(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    with inbox.exclusive():
        drop(tmp_path, "a.csv")
        own = inbox.take("a.csv")
        inbox.report(own, Place.PROCESSING).mkdir()
        inbox.report(own, Place.PROCESSING).rename(inbox.report(own, Place.DONE))
        assert inbox.half_moved(own) is Place.DONE
        assert inbox.finish(own, Place.DONE)
        assert (tmp_path / "done" / "a.csv").exists()
        assert inbox.processing() == []


def test_one_watch_for_a_directory(tmp_path: Path) -> None:
    with (
        Inbox(tmp_path).exclusive(),
        pytest.raises(UsageError, match="another importer already watches"),
        Inbox(tmp_path).exclusive(),
    ):
        pass


def test_a_directory_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a directory"), Inbox(tmp_path / "no").exclusive():
        pass
