"""Looking at a whole block at once says the same of its quotes as going from quote to quote."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from importer.read.records import within_quotes

EDGES = frozenset(b',\r\n"')


def one_by_one(block: bytes) -> list[bool] | None:
    """Of each line feed whether it lies within quotes; None where a quote stands where none may stand."""
    inside, found = False, list[bool]()
    for at, code in enumerate(block):
        if code == ord('"'):
            inside = not inside
            around = block[at - 1 : at] if inside else block[at + 1 : at + 2]
            if around and around[0] not in EDGES:
                return None
        elif code == ord("\n"):
            found.append(inside)
    return found


def all_at_once(block: bytes) -> list[bool] | None:
    codes = np.frombuffer(block, np.uint8)
    found = within_quotes(codes, np.flatnonzero(codes == ord("\n")), delimiter=b",", quote=b'"')
    return None if found is None else found.tolist()


@given(st.lists(st.sampled_from(['"', ",", "\n", "a", '"a"', '","', '"\n"', "a" * 61]), max_size=40).map("".join))
def test_every_block_is_told_as_it_is_quote_by_quote(text: str) -> None:
    block = text.encode()
    assert all_at_once(block) == one_by_one(block)
