"""The mapping language: the YAML that says how rows become events, its loader, its errors and the presets.

- ``model.py`` the keys, as frozen models; ``checks.py`` what one key may be set to; ``rules.py`` how keys go together
- ``load.py`` a file in, a mapping or all its problems out; ``positions.py`` YAML with the line and column of every key
- ``errors.py`` problems in the user's words; ``zones.py`` names of time zones; ``presets/`` a YAML file per platform
- ``columns.py`` a file's columns beside a mapping's; ``accounts.py`` the file that says which rows go to which account
"""
