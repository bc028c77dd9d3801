"""`drops.yaml`: which mapping a file gets, and every mistake in it with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.watch import FileRule, load_rules


def written(directory: Path, text: str) -> Path:
    path = directory / "drops.yaml"
    path.write_text(text)
    return path


def test_mappings_lie_beside_the_file_and_presets_keep_their_names(tmp_path: Path) -> None:
    text = """
version: 1
drops:
  - {pattern: "o-*.csv", mapping: o.yaml, account: shop}
  - {pattern: "*.csv", mapping: shopify-orders}
"""
    assert load_rules(written(tmp_path, text)) == (
        FileRule("o-*.csv", str(tmp_path / "o.yaml"), "shop"),
        FileRule("*.csv", "shopify-orders", None),
    )


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    text = "version: 2\ndrop: []\ndrops:\n  - {patern: x, mapping: m.yaml}\n  - 7\n  - {pattern: x, mapping: 3}\n"
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_rules(path)
    assert str(caught.value).splitlines()[:7] == [
        f"error: {path} has 6 problems; no file was taken",
        f'  {path}:2:1: unknown key "drop"; did you mean drops?',
        f"  {path}:1:10: `version: 1` is expected",
        f'  {path}:4:6: unknown key "patern"; did you mean pattern?',
        f"  {path}:4:5: `pattern` must be a text",
        f"  {path}:5:5: a drop has a `pattern` and a `mapping`",
        f"  {path}:6:27: `mapping` must be a text",
    ]


@pytest.mark.parametrize("text", ["", "- a", "version: 1", "version: 1\ndrops: []"])
def test_a_file_without_drops_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file was taken"):
        load_rules(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot be read: No such file or directory"):
        load_rules(tmp_path / "drops.yaml")
