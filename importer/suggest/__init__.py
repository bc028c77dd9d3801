"""What to write into a mapping: a whole one for a file (`importer init`), or a line of it (`importer check`, `run`).

    sampling.py    a file's first rows         draft.py     decision after decision: kind of table, key, type, properties
    profile.py     what their cells look like  people.py    who it is about      money.py  what it is worth, in which currency
    numbers.py     how numbers are written     when.py      when it happened     rows.py   which rows are no events
    times.py       how times are written       adapt.py     a recognised platform's preset, adapted to the file
    vocabulary.py  names and words as data     decide.py    sure, likely or open
    write.py       questions, answers, trials  text.py      the mapping's text;  yaml_text.py  values as YAML
    trial.py       a mapping tried on rows     advice.py    from cells that break a rule to a line;  advise.py  tried lines
"""
