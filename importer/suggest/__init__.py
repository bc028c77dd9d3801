"""What to write into a mapping: a whole one for a file (`importer init`), or a line of it (`importer check`, `run`).

sampling.py    a file's first rows          draft.py   kind of table, key, type, time, which rows are events
profile.py     what the cells look like     fields.py  who it is about, what it is worth, what else is sent
vocabulary.py  names and words, as data     extend.py  a preset, adapted to a file; a second file, as a lookup
decide.py      decisions, and their text    write.py   questions, trials, the text
advise.py      from cells to a line that was tried on rows
"""
