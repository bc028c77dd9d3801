"""The mapping language: the YAML that says how rows become events, its loader, its errors and the presets.

- ``model.py`` the keys, as frozen models; ``checks.py`` what one key may be set to; ``rules.py`` how keys go together
- ``load.py`` a file in, a mapping or all its problems out; ``positions.py`` YAML with the line and column of every key
- ``errors.py`` problems in the user's words; ``schema.py`` the models as JSON Schema, for editors
- ``presets.py`` the presets that fit a header; ``presets/`` a YAML file per platform
- ``columns.py`` what a file lacks of what a mapping needs; ``template.py``, ``zones.py`` templates and names of zones
"""
