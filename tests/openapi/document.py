"""Atlas's OpenAPI document: its operations, and values that fit its schemas."""

from __future__ import annotations

import json
import lzma
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, validators
from referencing import Registry
from referencing.jsonschema import DRAFT4

VARIABLE = "ATLAS_OPENAPI"
METHODS = ("get", "post", "put", "patch", "delete")
#: Values for patterns that random texts rarely match, by a part of the pattern.
KNOWN = {
    "24}": "0123456789abcdef01234567",
    "mdb_sa_id_": "mdb_sa_id_0123456789abcdef01234567",
    "-[0-9a-f]{12}$": "01234567-89ab-cdef-0123-456789abcdef",
    "{20}": "0123456789abcdef0123",
    "25[0-5]": "192.0.2.7",
    "{1,3}\\.){3}": "192.0.2.7",
    "(%2[fF]|/)": "192.0.2.0/24",
    "([\\d]+": "8.0.1",
    "a-zA-Z0-9][a-zA-Z0-9-]": "Cluster0",
    "{17}": "vpce-0123456789abcdef0",
    "{64}": "0" * 64,
    "{40}": "0" * 40,
    "[A-Z]{2}": "DE",
    "DC=": "DC=example",
    "1199145600": "1199145600",
    "sg-([0-9]*)": "sg-1",
    "aws:kafka": "arn:aws:kafka",
    "@(?:": "someone@example.com",
}


@dataclass(frozen=True)
class Operation:
    """An operation, with what it takes and what it returns."""

    method: str
    path: str
    pointer: str
    item: Mapping[str, Any]
    operation: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


class Document:
    """The document, read from the file that the environment variable names."""

    def __init__(self, file: str) -> None:
        content = Path(file).read_bytes()
        text = lzma.decompress(content) if file.endswith(".xz") else content
        self.original, self.content = json.loads(text), json.loads(text)
        _break_circles(self.content["components"]["schemas"])
        resource = DRAFT4.create_resource(self.content)
        self._registry: Any = Registry().with_resource("urn:atlas", resource)
        # Some patterns are of another dialect of regular expressions: they are not checked.
        self._kind = validators.extend(Draft4Validator, {"pattern": _matches})

    def operations(self) -> Iterator[Operation]:
        for path, item in self.content["paths"].items():
            for method in METHODS:
                if method in item:
                    yield Operation(method, path, f"/paths/{_escaped(path)}/{method}", item, item[method])

    def resolve(self, node: Any) -> Any:
        """What a reference leads to."""
        while isinstance(node, dict) and "$ref" in node:
            found = self.content
            for part in node["$ref"][2:].split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def parameters(self, operation: Operation, place: str) -> dict[str, Any]:
        """The parameters of a place, ``path`` or ``query``, by name."""
        listed = [*operation.item.get("parameters", []), *operation.operation.get("parameters", [])]
        found = [self.resolve(each) for each in listed]
        return {each["name"]: each for each in found if each["in"] == place}

    def body(self, operation: Operation) -> dict[str, Any]:
        """The request body's schemas by media type."""
        body = self.resolve(operation.operation.get("requestBody", {}))
        return {media: each["schema"] for media, each in body.get("content", {}).items()}

    def success(self, operation: Operation) -> tuple[int, dict[str, Any]]:
        """The status of the documented success, and its schemas by media type."""
        status = min(code for code in operation.operation["responses"] if code.startswith("2"))
        response = self.resolve(operation.operation["responses"][status])
        return int(status), {media: each.get("schema", {}) for media, each in response.get("content", {}).items()}

    def errors(self, value: Any, schema: Mapping[str, Any]) -> list[str]:
        """What is wrong with a value."""
        absolute = json.loads(json.dumps(schema).replace('"#/', '"urn:atlas#/'))
        validator = self._kind(absolute, registry=self._registry)
        return [error.message[:200] for error in validator.iter_errors(value)]

    def sample(self, schema: Any, *, writing: bool = False, depth: int = 0) -> Any:
        """A value that fits a schema; ``writing`` leaves out what only responses have."""
        schema = self.resolve(schema)
        if "enum" in schema:
            return schema["enum"][0]
        if "allOf" in schema and "properties" not in schema and len(schema["allOf"]) == 1:
            return self.sample(schema["allOf"][0], writing=writing, depth=depth)
        if "anyOf" in schema and depth < MOST_DEPTH:
            return self._chosen(schema, writing, depth)
        if schema.get("type") == "array":
            item = self.sample(schema["items"], writing=writing, depth=depth + 1)
            return [item] * max(1, schema.get("minItems", 1))
        if schema.get("type") == "object" or "properties" in schema or "allOf" in schema:
            return self._object(schema, writing, depth)
        return _scalar(schema)

    def _chosen(self, schema: Mapping[str, Any], writing: bool, depth: int) -> Any:
        for part in schema["anyOf"]:
            value = self.sample(part, writing=writing, depth=depth + 1)
            mapping = schema.get("discriminator", {}).get("mapping", {})
            name = next((key for key, target in mapping.items() if target == part.get("$ref")), None)
            if name is not None and isinstance(value, dict):
                value[schema["discriminator"]["propertyName"]] = name
            if not self.errors(value, schema):
                return value
        return value

    def _object(self, schema: Mapping[str, Any], writing: bool, depth: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for part in schema.get("allOf", ()):
            value |= self._object(self.resolve(part), writing, depth + 1)
        for name, each in schema.get("properties", {}).items():
            resolved = self.resolve(each)
            one_way = resolved.get("readOnly" if writing else "writeOnly")
            if one_way and name not in schema.get("required", ()):
                continue
            if name in schema.get("required", ()) or depth < 3:
                value[name] = self.sample(each, writing=writing, depth=depth + 1)
        if not value and schema.get("minProperties"):
            value["x"] = self.sample(schema.get("additionalProperties") or {}, writing=writing, depth=depth + 1)
        return value


def _break_circles(schemas: dict[str, Any]) -> None:
    """
    A schema with a discriminator names its kinds, and each of these refers back to it: let it refer to the rest of it.

    A discriminator tells the kinds apart where ``oneOf`` would find several that fit.
    """
    _choose_any(schemas)
    for name, schema in list(schemas.items()):
        if "anyOf" not in schema:
            continue
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "discriminator")}
        schemas[f"{name}Rest"] = rest
        for kind in schema["anyOf"]:
            child = schemas.get(kind.get("$ref", "").rpartition("/")[2], {})
            for part in child.get("allOf", ()):
                if part.get("$ref", "").endswith(f"/{name}"):
                    part["$ref"] += "Rest"


def _choose_any(node: Any) -> None:
    if isinstance(node, dict) and isinstance(node.get("oneOf"), list):
        node["anyOf"] = node.pop("oneOf")
        node.pop("type", None)  # "object", also of those whose kinds are texts
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _choose_any(each)


#: Schemas refer to themselves.
MOST_DEPTH = 8


def _scalar(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "string")
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        number = max(schema.get("minimum", 1), min(schema.get("maximum", 1), 1))
        return int(number) if kind == "integer" else number
    if "pattern" in schema:
        for part, value in KNOWN.items():
            if part in schema["pattern"] and _fits(value, schema["pattern"]):
                return value
    by_format = {"date-time": "2025-03-12T00:00:00Z", "date": "2025-03-12", "email": "someone@example.com"}
    by_format |= {"uuid": KNOWN["-[0-9a-f]{12}$"], "uri": "https://example.com/", "binary": "x"}
    text = by_format.get(schema.get("format", ""), "x1")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 500)]


def _fits(value: str, pattern: str) -> bool:
    with suppress(re.error):
        return "\\\\" in pattern or re.search(pattern, value) is not None  # some are escaped twice and fit nothing
    return True


def _matches(_: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(value, str) and not _fits(value, pattern):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _escaped(text: str) -> str:
    return text.replace("~", "~0").replace("/", "~1")


@cache
def document() -> Document | None:
    """The document, or ``None`` if the environment variable is not set."""
    file = os.environ.get(VARIABLE)
    return Document(file) if file else None
