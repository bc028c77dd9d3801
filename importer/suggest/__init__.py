"""What to write into a mapping: a whole one for a file (`importer init`), or a line of it (`importer check`, `run`).

sampling.py    a file's first rows          draft.py       kind of table, key, type, time, which rows are events
profile.py     what the cells look like     people.py      who it is about
forms.py       how numbers, times look      money.py       what it is worth, in which currency
vocabulary.py  names and words, as data     properties.py  what else is sent
decide.py      sure, likely or open         second.py      a second file, as a lookup
adapt.py       a preset, adapted to a file  write.py       questions, trials, the text
text.py        the mapping's layout         advise.py  from cells to a line that was tried on rows
"""
