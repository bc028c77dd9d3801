"""The mapping language: what a YAML file may say about how rows become events.

    model.py     a mapping's words, as frozen models   load.py         a file in; a mapping or all its mistakes out
    pick.py      the words of a pick                   yaml_tree.py    YAML with the place of every word
    rules.py     what one word may be set to           yaml_errors.py  what is not YAML, in plain words
    clashes.py   how words go together                 columns.py      what a file lacks of what a mapping needs
    template.py  text with ``{column}`` in it          schema.py       the models as JSON Schema, for editors
    mistakes.py  all mistakes at once                  words.py        how they are worded
    example.py   the words of `tests`                  locate.py       a file's or a preset's text by its name
    extend.py    what overrides what                   recognise.py    the presets that fit a file's header
    presets/     a YAML per platform                   handbook.py     docs/presets.md, written from them

Applying a mapping to rows is ``shape``'s, filtering by ``where`` too.
"""
