"""Writes docs/rules.md from what Bazel's `starlark_doc_extract` says of the public .bzl files."""

from __future__ import annotations

import ast
import inspect
import pathlib
import re
import sys

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[\w.+-]+|[{}:])')

# What `starlark_doc_extract` calls types, as a BUILD file's author knows them.
_TYPES = {
    "BOOLEAN": "bool",
    "INT": "integer",
    "LABEL": "label",
    "LABEL_LIST": "list of labels",
    "NAME": "name",
    "OUTPUT": "name of a file",
    "STRING": "string",
    "STRING_DICT": "dictionary of strings",
    "STRING_LIST": "list of strings",
}

Message = dict[str, list]


class UndocumentedError(Exception):
    """Names an attribute, parameter or field without a doc string."""


def parse(text: str) -> Message:
    """Parses the text form of a protocol buffer: each field is a list of its values."""
    tokens = iter(_TOKEN.findall(text))

    def message() -> Message:
        fields: Message = {}
        for name in tokens:
            if name == "}":
                break
            mark = next(tokens)
            if mark == "{":
                value = message()
            else:
                assert mark == ":", f"{name} {mark}"
                word = next(tokens)
                # Bazel escapes what is not ASCII byte by byte.
                value = ast.literal_eval("b" + word).decode() if word[0] == '"' else word
            fields.setdefault(name, []).append(value)
        return fields

    return message()


def first(message: Message, field: str, default: str = "") -> str:
    return message.get(field, [default])[0]


def text_of(doc: str) -> str:
    return inspect.cleandoc(doc).strip()


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *rows)]
    return [*lines, ""]


def doc_of(message: Message, name: str) -> str:
    """The doc string of an attribute, parameter or field in one line; it must have one."""
    doc = " ".join(first(message, "doc_string").split())
    if not doc:
        raise UndocumentedError(name)
    return doc.replace("|", "\\|")


def attributes(message: Message) -> list[str]:
    rows = []
    for attribute in message.get("attribute", []):
        name = first(attribute, "name")
        kind = first(attribute, "type")
        # What every rule has.
        if kind == "NAME" or name in ("name", "repo_mapping"):
            continue
        default = first(attribute, "default_value")
        needed = "mandatory" if first(attribute, "mandatory") == "true" else f"`{default}`"
        doc = doc_of(attribute, name)
        rows.append((f"`{name}`", _TYPES.get(kind, kind.lower()), needed, doc))
    return table(("attribute", "type", "default", "what it is"), rows) if rows else []


def parameters(message: Message) -> list[str]:
    rows = []
    for parameter in message.get("parameter", []):
        name = first(parameter, "name")
        if "default_value" in parameter:
            needed = f"`{first(parameter, 'default_value')}`"
        elif first(parameter, "mandatory") == "true":
            needed = "mandatory"
        else:
            name, needed = "**" + name, ""
        rows.append((f"`{name}`", needed, doc_of(parameter, name)))
    return table(("parameter", "default", "what it is"), rows) if rows else []


def fields(message: Message) -> list[str]:
    rows = [
        (f"`{first(field, 'name')}`", doc_of(field, first(field, "name")))
        for field in message.get("field_info", [])
    ]
    return table(("field", "what it is"), rows) if rows else []


def tags(message: Message) -> list[str]:
    lines = []
    for tag in message.get("tag_class", []):
        lines += [f"Tag `{first(tag, 'tag_name')}`: {text_of(first(tag, 'doc_string'))}", ""]
        lines += attributes(tag)
    return lines


_KINDS = (
    ("rule_info", "rule_name", "rule", attributes),
    ("func_info", "function_name", "macro", parameters),
    ("provider_info", "provider_name", "provider", fields),
    ("repository_rule_info", "rule_name", "repository rule", attributes),
    ("module_extension_info", "extension_name", "module extension", tags),
)


def render(module: Message) -> list[str]:
    path = first(module, "file").split("//", 1)[1].replace(":", "/")
    label = "@stablekv//" + ":".join(path.rsplit("/", 1))
    lines = [f"## `{label}`", "", text_of(first(module, "module_docstring")), ""]
    for field, name_field, kind, details in _KINDS:
        for message in sorted(module.get(field, []), key=lambda found: first(found, name_field)):
            name = first(message, name_field)
            doc = text_of(first(message, "doc_string"))
            if not doc:
                raise SystemExit(f"{label}: {kind} {name} has no doc string")
            try:
                lines += [f"### {name} ({kind})", "", doc, "", *details(message)]
            except UndocumentedError as error:
                raise SystemExit(f"{label}: {kind} {name}: {error} has no doc string") from None
    return lines


def document(paths: list[str]) -> str:
    lines = [
        "# The public rules",
        "",
        "Made of the rules' doc strings by `./bazelw run //docs:update_rules`; a test compares.",
        "How they fit together: [bazel.md](bazel.md).",
        "",
    ]
    for path in paths:
        lines += render(parse(pathlib.Path(path).read_text()))
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.stdout.write(document(sys.argv[1:]))
