"""
The schemas of Atlas's official OpenAPI document, as JSON Schemas that refuse properties that it does not list.

The document is not part of the project. The environment variable ``ATLAS_OPENAPI`` has its path.
"""

from __future__ import annotations

import lzma
import os
from functools import cached_property
from json import load
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

MOMENT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"
REFERENCE = "#/components/schemas/"
KEPT = ("enum", "minLength", "maxLength", "minItems", "maxItems", "maximum", "pattern")
CHOICES = ("oneOf", "anyOf")


def path() -> str:
    return os.environ.get("ATLAS_OPENAPI", "")


class Document:
    """The document, and what it says about a request's or a response's body."""

    def __init__(self) -> None:
        with lzma.open(path()) if path().endswith(".xz") else Path(path()).open("rb") as file:
            content = load(file)
        self.paths: dict[str, Any] = content["paths"]
        self.requests = Schemas(content["components"]["schemas"], "readOnly")
        self.responses = Schemas(content["components"]["schemas"], "writeOnly")

    def errors(self, method: str, template: str, value: Any, status: int | None = None) -> list[str]:
        """Return what is wrong with a response's body or, without a status, with a request's."""
        operation = self.paths[f"/api/atlas/v2{template}"][method.lower()]
        described = operation["requestBody"] if status is None else operation["responses"].get(str(status))
        if described is None:
            return [f"status {status} is not documented"]
        schemas = [each["schema"] for each in described.get("content", {}).values() if "schema" in each]
        if not schemas:
            return [] if value is None else ["no body is documented"]
        return (self.requests if status is None else self.responses).errors(schemas[0], value)


class Schemas:
    """The document's schemas, for one direction. ``avoided`` marks the properties that the other direction has."""

    def __init__(self, named: dict[str, Any], avoided: str) -> None:
        self.named, self.avoided = named, avoided

    @cached_property
    def definitions(self) -> dict[str, Any]:
        return {name: self.converted(schema) for name, schema in self.named.items()}

    def errors(self, schema: dict[str, Any], value: Any) -> list[str]:
        validator = Draft202012Validator({**self.converted(schema), "$defs": self.definitions})
        return [f"{error.json_path}: {error.message}"[:300] for error in validator.iter_errors(value)]

    def converted(self, schema: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in schema:
            return {"$ref": f"#/$defs/{schema['$ref'].removeprefix(REFERENCE)}"}
        schema = self.flat(schema)
        if mapping := schema.get("discriminator", {}).get("mapping"):
            name = schema["discriminator"]["propertyName"]
            kinds = [
                {"if": {"properties": {name: {"const": value}}}, "then": self.converted({"$ref": reference})}
                for value, reference in mapping.items()
            ]
            given = {"properties": {name: {"enum": list(mapping)}}, "allOf": kinds}
            without = {key: part for key, part in schema.items() if key not in ("discriminator", *CHOICES)}
            return {"if": {"required": [name]}, "then": given, "else": self.converted(without)}
        for key in CHOICES:
            # A value may be of several kinds at once where the document names no property that tells them apart.
            if key in schema:
                base = {name: part for name, part in schema.items() if name not in CHOICES}
                return {"anyOf": [self.converted({"allOf": [base, each]}) for each in schema[key]]}
        return self.plain(schema)

    def flat(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a schema with the parts of its ``allOf`` in it. What is its own has precedence."""
        whole: dict[str, Any] = {}
        for part in (*schema.get("allOf", ()), {key: each for key, each in schema.items() if key != "allOf"}):
            if "$ref" in part:
                part = self.named[part["$ref"].removeprefix(REFERENCE)]
                # A kind of a thing is made of the thing, which lists its kinds.
                hidden = ("discriminator", *CHOICES) if "discriminator" in part else ()
                part = {key: each for key, each in self.flat(part).items() if key not in hidden}
            elif "allOf" in part:
                part = self.flat(part)
            properties = {**whole.get("properties", {}), **part.get("properties", {})}
            required = [*whole.get("required", ()), *part.get("required", ())]
            whole = {**whole, **part, "properties": properties, "required": required}
        return whole

    def plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        made = {key: schema[key] for key in KEPT if key in schema}
        # Python has no such patterns.
        if r"\p{" in made.get("pattern", ""):
            del made["pattern"]
        if schema.get("format") == "date-time":
            made["pattern"] = MOMENT
        if "minimum" in schema:
            made["exclusiveMinimum" if schema.get("exclusiveMinimum") is True else "minimum"] = schema["minimum"]
        if "items" in schema:
            made["items"] = self.converted(schema["items"])
        if properties := schema["properties"]:
            hidden = {name for name, each in properties.items() if each.get(self.avoided)}
            visible = {name: self.converted(each) for name, each in properties.items() if name not in hidden}
            made |= {"type": "object", "properties": visible, "additionalProperties": False}
            made["required"] = [name for name in schema["required"] if name not in hidden]
        # The document says object, without properties, of whatever it does not describe.
        elif schema.get("type") not in (None, "object"):
            made["type"] = schema["type"]
        if schema.get("nullable") and "type" in made:
            made["type"] = [made["type"], "null"]
        return made
