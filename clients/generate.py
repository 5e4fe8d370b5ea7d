#!/usr/bin/env python3
"""Writes the types of the API for both packages from docs/openapi-v1.json. With `--check`, says which file is out of date.

The packages describe no document of the API by hand: types, the shapes that answers are compared with, and the path of
every operation come from here. Types are open: within /v1 members and words may be added, so a reader must not be
surprised by either, and no shape lists words.
"""

import json
import sys
import textwrap
from pathlib import Path

CLIENTS = Path(__file__).parent
DOCUMENT = CLIENTS.parent / "docs" / "openapi-v1.json"
PYTHON = CLIENTS / "python" / "src" / "countersign" / "schema.py"
TYPESCRIPT = CLIENTS / "typescript" / "src" / "schema.ts"

HEAD = "The documents of the API. Written by clients/generate.py from docs/openapi-v1.json; do not edit."
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}


def named(ref):
    return ref["$ref"].rsplit("/", 1)[1]


def words(text):
    return " ".join(text.split())


class Member:
    """A member of an object: its schema, without null."""

    def __init__(self, schema, required):
        self.required = required
        self.about = words(schema.get("description", ""))
        self.nullable = False
        if "oneOf" in schema:
            (some,) = [one for one in schema["oneOf"] if one.get("type") != "null"]
            self.nullable = True
            self.about = self.about or words(some.get("description", ""))
            schema = some
        kinds = schema.get("type")
        if isinstance(kinds, list):
            (kind,) = [kind for kind in kinds if kind != "null"]
            self.nullable = True
            schema = schema | {"type": kind}
        self.schema = schema


class Object:
    """An object: those that it extends, and its own members."""

    def __init__(self, schema):
        self.about = schema.get("description", "").strip()
        self.bases = []
        self.members = {}
        parts = schema.get("allOf", [schema])
        for part in parts:
            if "$ref" in part:
                self.bases.append(named(part))
            elif "oneOf" in part:
                self.merge(part["oneOf"])
            else:
                self.add(part)

    def add(self, part):
        required = part.get("required", [])
        for name, schema in part.get("properties", {}).items():
            self.members[name] = Member(schema, name in required)

    def merge(self, cases):
        """The members of all cases, required if every case requires them: a later version may have another case."""
        objects = [Object(case) for case in cases]
        for name in dict.fromkeys(name for one in objects for name in one.members):
            found = [one.members[name] for one in objects if name in one.members]
            member = found[0]
            member.required = len(found) == len(objects) and all(one.required for one in found)
            if all("enum" in one.schema for one in found):
                member.schema = {"type": "string", "enum": [word for one in found for word in one.schema["enum"]]}
                member.about = ""
            elif any(type_key(one.schema) != type_key(member.schema) for one in found):
                member.schema = {}
            self.members[name] = member


def type_key(schema):
    return json.dumps({name: value for name, value in schema.items() if name != "description"}, sort_keys=True)


def is_object(schema):
    cases = schema.get("oneOf")
    return "properties" in schema or "allOf" in schema or bool(cases) and all("properties" in case for case in cases)


class Document:
    def __init__(self):
        document = json.loads(DOCUMENT.read_text())
        self.schemas = document["components"]["schemas"]
        self.responses = document["components"].get("responses", {})
        self.objects = {name: Object(schema) for name, schema in self.schemas.items() if is_object(schema)}
        self.plain = {name: schema for name, schema in self.schemas.items() if name not in self.objects}
        self.operations = dict(sorted(self.read_operations(document["paths"])))

    def read_operations(self, paths):
        for path, methods in paths.items():
            for method, operation in methods.items():
                if method not in ("get", "put", "post", "delete"):
                    continue
                queries = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
                answers = [self.answer(one) for code, one in operation["responses"].items() if code.startswith("2")]
                # The last one is that of the change; the first may be of a preflight.
                yield operation["operationId"], (method.upper(), path, answers[-1], queries)

    def answer(self, response):
        content = response.get("content", {}).get("application/json", {}).get("schema", {})
        return named(content) if "$ref" in content else None

    def shape(self, schema):
        """The shape of a value: a scalar, the name of an object, `[]` before that of the entries, or `any`."""
        if "$ref" in schema:
            name = named(schema)
            return name if name in self.objects else self.shape(self.plain[name])
        kind = schema.get("type")
        if kind == "array":
            return "[]" + self.shape(schema["items"])
        return kind if kind in SCALARS else "any"

    def shapes(self):
        for name, one in self.objects.items():
            yield name, self.members_of(one)

    def members_of(self, one):
        members = {}
        for base in one.bases:
            members |= self.members_of(self.objects[base])
        for name, member in one.members.items():
            mark = "" if member.required else "?"
            members[name + mark] = ("?" if member.nullable else "") + self.shape(member.schema)
        return members

    def in_order(self):
        """Objects, each behind those that it extends."""
        done = {}

        def put(name):
            for base in self.objects[name].bases:
                put(base)
            done[name] = self.objects[name]

        for name in self.objects:
            put(name)
        return done.items()

    def plain_in_order(self):
        """Scalars, then lists, then choices of objects."""
        rank = lambda schema: 2 if "oneOf" in schema else 1 if schema.get("type") == "array" else 0
        return sorted(self.plain.items(), key=lambda item: (rank(item[1]), item[0]))


# Python


def python_type(schema):
    if "$ref" in schema:
        return named(schema)
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(word) for word in schema['enum'])}] | str"
    if "oneOf" in schema:
        return " | ".join(python_type(one) for one in schema["oneOf"])
    if schema.get("type") == "array":
        return f"list[{python_type(schema['items'])}]"
    return SCALARS.get(schema.get("type"), "dict[str, Any]" if schema.get("type") == "object" else "Any")


def python_members(members):
    for name, member in members:
        if member.about:
            yield from (f"    #: {line}" for line in textwrap.wrap(member.about, 112))
        yield f"    {name}: {python_type(member.schema)}{' | None' if member.nullable else ''}"


def python_class(name, bases, about, members, total):
    yield ""
    yield ""
    yield f"class {name}({', '.join(bases)}{'' if total else ', total=False'}):"
    text = textwrap.wrap(words(about), 112) if about else []
    if len(text) == 1:
        yield f'    """{text[0]}"""'
    elif text:
        yield f'    """{text[0]}'
        yield from (f"    {line}" for line in text[1:])
        yield '    """'
    body = list(python_members(members))
    if text and body:
        yield ""
    yield from body or ([] if text else ["    pass"])


def python_alias(name, schema):
    yield ""
    yield from (f"#: {line}" for line in textwrap.wrap(words(schema.get("description", "")), 116))
    yield f"{name} = {python_type(schema)}"


def python(document):
    yield f'"""{HEAD}'
    yield ""
    yield "Answers may have further members, and texts of a `Literal` may be other words: later versions add them."
    yield '"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "from typing import Any, Literal, TypedDict"
    plain = document.plain_in_order()
    for name, schema in plain:
        if "oneOf" not in schema:
            yield from python_alias(name, schema)
    for name, one in document.in_order():
        required = [item for item in one.members.items() if item[1].required]
        optional = [item for item in one.members.items() if not item[1].required]
        bases = list(one.bases)
        if required and optional:
            yield from python_class(f"_{name}Optional", ["TypedDict"], "", optional, False)
            yield from python_class(name, [*bases, f"_{name}Optional"], one.about, required, True)
        else:
            yield from python_class(name, bases or ["TypedDict"], one.about, required or optional, not optional)
    yield ""
    for name, schema in plain:
        if "oneOf" in schema:
            yield from python_alias(name, schema)
    yield ""
    yield "#: Of every object the members with their shapes. `?` behind a name: it may be missing; before a shape: it may be"
    yield "#: null; `[]`: a list."
    yield "SHAPES: dict[str, dict[str, str]] = {"
    for name, members in document.shapes():
        yield f"    {json.dumps(name)}: {{"
        yield from (f"        {json.dumps(member)}: {json.dumps(shape)}," for member, shape in members.items())
        yield "    },"
    yield "}"
    yield ""
    yield "#: Of every operation the method, the path, the answer's object, and the names of its query."
    yield "OPERATIONS: dict[str, tuple[str, str, str | None, tuple[str, ...]]] = {"
    for name, (method, path, answer, queries) in document.operations.items():
        answer = "None" if answer is None else json.dumps(answer)
        listed = "".join(f"{json.dumps(query)}, " for query in queries).strip()
        yield f"    {json.dumps(name)}: ({json.dumps(method)}, {json.dumps(path)}, {answer}, ({listed})),"
    yield "}"


# TypeScript


def typescript_type(schema):
    if "$ref" in schema:
        return named(schema)
    if "enum" in schema:
        return " | ".join([*(json.dumps(word) for word in schema["enum"]), "(string & {})"])
    if "oneOf" in schema:
        return " | ".join(typescript_type(one) for one in schema["oneOf"])
    kind = schema.get("type")
    if kind == "array":
        return f"readonly {typescript_type(schema['items'])}[]"
    plain = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}
    return plain.get(kind, "Readonly<Record<string, unknown>>" if kind == "object" else "unknown")


def typescript_comment(text, indent):
    lines = textwrap.wrap(words(text), 112 - len(indent))
    if len(lines) == 1:
        yield f"{indent}/** {lines[0]} */"
    elif lines:
        yield f"{indent}/**"
        yield from (f"{indent} * {line}" for line in lines)
        yield f"{indent} */"


def typescript(document):
    yield "/**"
    yield f" * {HEAD}"
    yield " *"
    yield " * Answers may have further members, and texts may be words that are not listed: later versions add them."
    yield " */"
    for name, schema in document.plain_in_order():
        yield ""
        yield from typescript_comment(schema.get("description", ""), "")
        yield f"export type {name} = {typescript_type(schema)};"
    for name, one in document.in_order():
        yield ""
        yield from typescript_comment(one.about, "")
        extends = f" extends {', '.join(one.bases)}" if one.bases else ""
        yield f"export interface {name}{extends} {{"
        for member, about in one.members.items():
            yield from typescript_comment(about.about, "  ")
            mark = "" if about.required else "?"
            null = " | null" if about.nullable else ""
            yield f"  readonly {member}{mark}: {typescript_type(about.schema)}{null};"
        yield "}"
    yield ""
    yield "/**"
    yield " * Of every object the members with their shapes. `?` behind a name: it may be missing; before a shape: it may be null;"
    yield " * `[]`: a list."
    yield " */"
    yield "export const SHAPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {"
    for name, members in document.shapes():
        yield f"  {name}: {{"
        yield from (f"    {json.dumps(member)}: {json.dumps(shape)}," for member, shape in members.items())
        yield "  },"
    yield "};"
    yield ""
    yield "/** What there is to know of an operation. */"
    yield "export interface Operation {"
    yield "  readonly method: string;"
    yield "  readonly path: string;"
    yield "  /** The object that it answers with. */"
    yield "  readonly answer?: string;"
    yield "  /** The names of its query. */"
    yield "  readonly query: readonly string[];"
    yield "}"
    yield ""
    yield "export const OPERATIONS = {"
    for name, (method, path, answer, queries) in document.operations.items():
        told = "" if answer is None else f", answer: {json.dumps(answer)}"
        yield f"  {name}: {{ method: {json.dumps(method)}, path: {json.dumps(path)}{told}, query: {json.dumps(queries)} }},"
    yield "} satisfies Record<string, Operation>;"


def main(check):
    document = Document()
    stale = []
    for file, lines in [(PYTHON, python(document)), (TYPESCRIPT, typescript(document))]:
        text = "\n".join(lines) + "\n"
        if file.exists() and file.read_text() == text:
            continue
        stale.append(file.name)
        if not check:
            file.write_text(text)
    if check and stale:
        sys.exit(f"{', '.join(stale)} is not what docs/openapi-v1.json says; run clients/generate.py")


if __name__ == "__main__":
    main(sys.argv[1:] == ["--check"])
