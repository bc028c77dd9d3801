"""What to write into a mapping: a whole one for a file (`importer init`), or a line of it (`importer check`, `run`).

sampling.py    a file's first rows          decide.py   sure, likely or open; the draft that decisions make
profile.py     what the cells look like     draft.py    kind of table, key, groups, type, properties
numbers.py     how numbers are written      when.py     when it happened
times.py       how times are written        people.py   who it is about
vocabulary.py  names and words, as data     money.py    what it is worth, in which currency
adapt.py       a preset, adapted to a file  rows.py     which rows are no events
write.py       questions, trials, the text  text.py     the mapping's layout
advice.py      from cells to a line         advise.py   lines that were tried on rows
"""
