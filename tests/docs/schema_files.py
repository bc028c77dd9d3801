"""The mapping language, and files of accounts, as JSON Schema (2020-12): editors complete, explain and check them.

``python -m tests.docs.schema_files`` writes ``schemas/mapping.schema.json`` and ``schemas/accounts.schema.json``. The
models give keys, types and descriptions; added here are the short form of values, and which keys exclude each other.
Rules that need an engine (regular expressions, zones, encodings) or a value's place are checked by the loader alone.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
from itertools import pairwise
from pathlib import Path
from types import ModuleType, NoneType
from typing import Any

from importer.mapping import accounts as accounts_module
from importer.mapping import model as model_module
from importer.mapping.accounts import NAME, AccountsFile
from importer.mapping.errors import Model
from importer.mapping.load import BY_NAME, OWN
from importer.mapping.model import CALCULATIONS, COLUMN_SCHEMA, ORIGINS, TESTS, ImportMapping
from importer.mapping.rules import BESIDE_FIRST_OF

PATH = Path(__file__).parents[2] / "schemas" / "mapping.schema.json"
"""Where the schema is in the source tree."""
ACCOUNTS_PATH = PATH.with_name("accounts.schema.json")

Schema = dict[str, Any]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = "#/$defs/"
_COLUMN: Schema = {**COLUMN_SCHEMA, "description": "A column's name, or a dotted path."}


def mapping_schema() -> Schema:
    """The schema of a mapping file."""
    schema: Schema = _tidy(_described(ImportMapping, model_module))
    parts = schema["$defs"]
    alone: Schema = {"required": ["any"], "properties": {"column": False}}
    parts["Condition"]["oneOf"] = [*({"required": ["column", word]} for word in TESTS if word != "any"), alone]
    parts["Subscriber"]["minProperties"] = 1
    schema["properties"]["properties"]["propertyNames"] = {"pattern": r"\S"}
    schema |= _inherited(schema)

    keys = parts["ValueMapping"]
    keys["oneOf"] = [{"required": [word]} for word in ORIGINS]
    on: Schema = {"lower": {"const": True}, "upper": {"const": True}}
    keys["not"] = {"anyOf": [{"properties": on, "required": list(on)}, {"required": ["const", "default"]}]}
    keys["properties"]["map"] |= {
        "propertyNames": {"minLength": 1},
        "additionalProperties": {"type": ["string", "boolean", "number", "null"]},
    }
    keys["properties"]["first_of"]["items"] = {"$ref": f"{_REF}InnerValue"}
    for word in CALCULATIONS:
        keys["properties"][word]["items"] = {"$ref": f"{_REF}ValueMapping"}
    keys["properties"]["parts"]["additionalProperties"] = {"$ref": f"{_REF}InnerValue"}
    parts["Case"]["properties"]["use"] = {"$ref": f"{_REF}InnerValue"}
    keys["dependentRequired"] = {"parts": ["template"]}
    parts["ExpectedReason"] = {"anyOf": [{"type": "string"}, parts["ExpectedReason"]]}
    parts["ValueKeys"] = keys
    parts["ValueMapping"] = {"anyOf": [_COLUMN, {"$ref": f"{_REF}ValueKeys"}], "description": keys["description"]}
    beside = [{"required": [word]} for word in BESIDE_FIRST_OF]
    inner = {"$ref": f"{_REF}ValueKeys", "not": {"anyOf": beside}}
    default = keys["properties"]["default"]
    plain = {word: default.pop(word) for word in list(default) if word != "description"}
    written: Schema = {"type": "object", "properties": {"const": plain}, "required": ["const"]}
    default["anyOf"] = [plain, {**written, "additionalProperties": False}]
    for word in ("timezone", "country"):
        name, _ = keys["properties"][word].pop("oneOf")
        keys["properties"][word] |= {"anyOf": [name, inner]}
    parts["InnerValue"] = {
        "anyOf": [_COLUMN, inner],
        "description": "A value without the keys that are written beside `first_of`.",
    }
    schema["$defs"] = schema.pop("$defs")
    return {"$schema": _DIALECT, "title": "A mapping of importer", **schema}


def accounts_schema() -> Schema:
    """The schema of a file of accounts."""
    schema: Schema = _tidy(_described(AccountsFile, accounts_module))
    schema["$defs"]["AccountEntry"]["oneOf"] = [{"required": ["token_env"]}, {"required": ["token_file"]}]
    schema["properties"]["accounts"]["propertyNames"] = {"pattern": f"^{NAME}$"}
    schema["$defs"] = schema.pop("$defs")
    return {"$schema": _DIALECT, "title": "A file of accounts of importer", **schema}


def text(schema: Schema) -> str:
    """The content of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _described(root: type[Model], module: ModuleType) -> Schema:
    """A schema with the docstrings of fields, read here: pydantic would read them whenever a command starts."""
    schema: Schema = root.model_json_schema(by_alias=True)
    for model in ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body:
        if not (isinstance(model, ast.ClassDef) and issubclass(getattr(module, model.name), Model)):
            continue
        fields = getattr(module, model.name).model_fields
        part = schema if model.name == root.__name__ else schema["$defs"][model.name]
        for field, text in pairwise(model.body):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))) if (
                    name in fields
                ):
                    part["properties"][fields[name].alias or name]["description"] = inspect.cleandoc(words)
    return schema


def _inherited(schema: Schema) -> Schema:
    """A mapping that extends another one needs no word of its own, and null takes away what it inherits."""
    keys = schema["properties"]
    keys["source"]["description"] = schema["$defs"]["SourceOptions"]["description"]
    for word in keys.keys() - {"version", *OWN}:
        if word in BY_NAME:
            keys[word]["additionalProperties"] = _or_null(keys[word]["additionalProperties"])
        keys[word] = _or_null(keys[word])
    not_null: Schema = {"type": "object", "additionalProperties": {"not": {"type": "null"}}}
    alone = {"required": schema.pop("required"), **not_null, "properties": dict.fromkeys(BY_NAME, not_null)}
    return {"if": {"not": {"required": ["extends"]}}, "then": alone}


def _or_null(schema: Schema) -> Schema:
    described = {"description": schema.pop("description")} if "description" in schema else {}
    return {"anyOf": [schema, {"type": "null"}], **described}


def _tidy(node: Any, *, of_keys: bool = False) -> Any:
    """Without nulls (no word may be left empty), empty defaults, and titles that only repeat a word.

    ``of_keys``: the node's keys are keys of the language, not of JSON Schema.
    """
    if isinstance(node, list):
        return [_tidy(one) for one in node]
    if not isinstance(node, dict):
        return node
    if of_keys:
        return {word: _tidy(one) for word, one in node.items()}
    tidied: Schema = {}
    for key, value in node.items():
        if key == "anyOf":
            tidied |= _alternatives([_tidy(one) for one in value if one != {"type": "null"}])
        elif key == "description":
            # A docstring's lines are broken for its own file.
            tidied[key] = re.sub(r"(?<!\n)\n(?!\n)", " ", value)
        elif key != "title" and not (key == "default" and isinstance(value, dict | list | NoneType)):
            tidied[key] = _tidy(value, of_keys=key in {"properties", "$defs"})
    return tidied


def _alternatives(schemas: list[Schema]) -> Schema:
    if len(schemas) == 1:
        return schemas[0]
    types = [schema["type"] for schema in schemas if schema.keys() == {"type"}]
    if len(types) < len(schemas):
        return {"anyOf": schemas}
    return {"type": [one for one in types if not (one == "integer" and "number" in types)]}


if __name__ == "__main__":
    PATH.write_text(text(mapping_schema()), encoding="utf-8")
    ACCOUNTS_PATH.write_text(text(accounts_schema()), encoding="utf-8")
