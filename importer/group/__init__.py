"""The stage *group*: the rows that share ``group_by`` become one event, wherever in the run they stand.

Shaped chunks go in, source after source; the same chunks come out in the same order, but for each group its first row,
the leader, has the event, and the others point to it. That cannot begin before everything was read, so the rows wait
in a temporary file; memory stays flat however many there are.

    sources.py     the whole: all sources in, all sources out
    gather.py      a chunk in: each group's rows within the chunk become one *part*
    settle.py      parts → whole groups, some thousand at a time
    emit.py        whole groups → the chunks as they were read, with leaders and members
    columns.py     which columns events have, and how each is aggregated
    aggregate.py   the ways to aggregate a column
    layout.py      which rows belong to which group, as arrays
    store.py       tables that wait: in memory while they are few, else in the temporary file

It leaves cells to ``shape`` (which says what each row has to say to ``where``) and the API's rules to ``validate``,
which sees whole events only.
"""

from importer.group.sources import grouped

__all__ = ["grouped"]
