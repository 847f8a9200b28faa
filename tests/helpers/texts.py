"""Every text of ours that the catalogue must have, read off the sources, templates and tables."""

import ast
import typing
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import click
from babel.messages.extract import extract_from_dir
from pydantic import BaseModel
from pydantic_core import PydanticKnownError
from werkzeug.exceptions import default_exceptions

import backend
from backend.cli import chain, importing, localised, main, powers
from backend.domain import errors
from backend.domain.agreements import AGREEMENTS
from backend.domain.fields import ORIGIN_CRITERIA
from backend.domain.interop import field_help
from backend.domain.kinds import KINDS
from backend.domain.kinds.base import RecordKind
from backend.domain.parties import PLACES, Role
from backend.messages import fields, imports, verdict
from backend.web import problems

ROOT = Path(backend.__file__).parent
Key = tuple[str | None, str]
"""Context and text."""

_FIRST = {"_", "gettext", "Message", "_response_error", "ChainUnavailable", "TransactionRejected"}
_CODED = {"Unusable", "UnknownFormat", "WrongScenario", "NotReleasable"}
"""Errors whose first argument is a code: ``imports.SENTENCES`` has their texts."""


def in_source(source: str, error_classes: frozenset[str] = frozenset()) -> set[Key]:
    """The texts that are written down in a piece of Python to be said."""
    return {key for node in ast.walk(ast.parse(source)) for key in _said(node, error_classes)}


def _said(node: ast.AST, error_classes: frozenset[str]) -> Iterator[Key]:
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = [argument.value if isinstance(argument, ast.Constant) else None for argument in node.args]
    if name == "pgettext":
        yield from ((given[0], given[1]),) if given[1] else ()
    elif name == "ngettext":
        yield from ((None, text) for text in given[:1] if isinstance(text, str))
    elif name == "fault":
        yield from ((None, text) for text in given[1:2] if isinstance(text, str))
    elif name in _FIRST | error_classes:
        yield from ((None, text) for text in given[:1] if isinstance(text, str) and text)
    if name in error_classes:
        pairs = (n for argument in node.args[1:] for n in ast.walk(argument) if isinstance(n, ast.Tuple))
        ends = (pair.elts[1] for pair in pairs if len(pair.elts) == 2)
        yield from ((None, end.value) for end in ends if isinstance(end, ast.Constant) and isinstance(end.value, str))


def error_classes() -> frozenset[str]:
    """The names of all errors of ours whose message is a text."""

    def below(kind: type) -> Iterator[str]:
        yield kind.__name__
        for sub in kind.__subclasses__():
            yield from below(sub)

    return frozenset(below(errors.TraceabilityError)) - _CODED


def of_code(folder: Path = ROOT) -> set[Key]:
    """What all modules in a folder say."""
    classes = error_classes()
    found: set[Key] = set()
    for path in folder.rglob("*.py"):
        in_domain = path.is_relative_to(ROOT / "domain")
        found |= in_source(path.read_text(encoding="utf-8"), classes | {"ValueError"} if in_domain else classes)
    return found


def of_templates() -> set[Key]:
    """What pages say."""
    found = extract_from_dir(ROOT / "web" / "templates", [("**.html", "jinja2")])
    # Of a text that depends on a number the catalogue's key is the singular.
    return {
        (context, message if isinstance(message, str) else message[0])
        for _file, _line, message, _comments, context in found
    }


def of_tables() -> set[Key]:
    """What tables of sentences and names say."""
    bare = [
        *verdict.CONCLUSIONS.values(),
        *verdict.REASONS.values(),
        *verdict.RULES,
        *verdict.BECAUSE.values(),
        *verdict.ACTION_BY.values(),
        *verdict.PROOF_STATES.values(),
        *verdict.UNDONE.values(),
        verdict.UNKNOWN_REFUSAL,
        *PLACES.values(),
        verdict.SHORT_OF_FORM,
        *imports.MESSAGES.values(),
        *fields.PATTERNS.values(),
        *(meaning.text for meaning in field_help.MEANINGS.values()),
        *ORIGIN_CRITERIA.values(),
        *(agreement.name for agreement in AGREEMENTS.values()),
        *importing.CHROME.values(),
        *chain.LABELS.values(),
        *chain.WORDS.values(),
        *chain.EVENTS.values(),
        *chain.OPERATIONS.values(),
        *chain.STATES.values(),
        *powers.ROLE_NAMES.values(),
        *powers.STATES.values(),
        *errors.ForeignLedger.choices,
        *(role.names for role in Role),
        *(text for stated in KINDS.values() for text in _of_kind(stated)),
    ]
    in_context = {
        "check": verdict.CHECKS.values(),
        "terminal": [conclusion.value for conclusion in verdict.CONCLUSIONS],
    }
    return {(None, text) for text in bare} | {(name, text) for name, texts in in_context.items() for text in texts}


_CLICK_FOR_DEVELOPERS = {
    "Name '{name}' defined twice",
    "No options defined but a name was passed ({name}). Did you mean to declare an argument instead? Did you mean to"
    " pass '--{name}'?",
    "Arguments take exactly one parameter declaration, got {length}: {decls}.",
    "Boolean option {decl!r} cannot use the same flag for true/false.",
    "Could not determine name for option with declarations {decls!r}",
    "DeprecationWarning: The command {name!r} is deprecated.{extra_message}",
    "DeprecationWarning: The {param_type} {name!r} is deprecated.{extra_message}",
    "Invalid start character for option ({option})",
    "Unknown color {colour!r}",
}


def _of_kind(stated: RecordKind) -> Iterator[str]:
    yield from (stated.names, stated.help)
    if stated.certification:
        yield from (stated.certification.signer, stated.certification.label_text)
    for words in stated.words.values():
        yield from (words.label, words.meaning)


def of_commands(command: click.Command = main.cli) -> set[Key]:
    """What the help of a command, and of all below it, is made of."""
    with click.Context(command) as ctx:
        options = [one for one in click.Command.get_params(command, ctx) if isinstance(one, click.Option)]
        # The one language that no catalogue is asked for shows the names of arguments as they stand in the code.
        names = [*command.collect_usage_pieces(ctx), *(one.make_metavar(ctx) for one in options if not one.is_flag)]
        texts = [command.help, command.short_help, *(one.help for one in options)]
        found = {part.removeprefix("\b\n") for text in texts if text for part in localised.paragraphs(text)}
        found |= {
            name for one in options if isinstance(one.type, localised.NamedChoice) for name in one.type.names.values()
        }
        keys: set[Key] = {(None, text) for text in found}
        keys |= {("argument", name) for text in names for name in localised.ARGUMENT_NAME.findall(text)}
        if isinstance(command, click.Group):
            keys |= {(None, heading) for heading in getattr(command, "headings", ())}
            for name in command.list_commands(ctx):
                child = command.get_command(ctx, name)
                keys |= of_commands(child) if child else set()
    return keys


def of_click() -> set[Key]:
    """What click says by itself."""
    folder = Path(click.__file__).parent
    found = extract_from_dir(folder, [("**.py", "python")])
    return {
        (context, message if isinstance(message, str) else message[0])
        for file, _line, message, _comments, context in found
        if message not in _CLICK_FOR_DEVELOPERS
        and file in {"core.py", "exceptions.py", "types.py", "parser.py", "termui.py", "formatting.py", "decorators.py"}
    }


def of_werkzeug() -> set[Key]:
    """The descriptions of the HTTP errors that we answer with, and the phrases that APIFlask says in their place."""
    phrases = {(None, HTTPStatus(status).phrase) for status in problems.CODES}
    known = [default_exceptions[status] for status in problems.CODES if status in default_exceptions]
    return phrases | {(None, str(error.description)) for error in known}


def of_pydantic(models: list[type[BaseModel]]) -> set[Key]:
    """The templates of every fault that pydantic can find with these models."""
    kinds = set().union(*(_kinds(model.__pydantic_core_schema__) for model in models))
    # Bounds after a validator of ours stand in no core schema: pydantic wraps them into functions.
    annotations = [(field.annotation, field.metadata) for model in models for field in model.model_fields.values()]
    kinds |= {kind for annotation in annotations for kind in _bounds(annotation)}
    return {(None, PydanticKnownError(kind, _VALUES).message_template) for kind in kinds}


_NUMBER = {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than", "le": "less_than_equal"}
_KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool_type", "bool_parsing"),
    "date": ("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"),
    "datetime": (
        "datetime_type",
        "datetime_parsing",
        "datetime_object_invalid",
        "datetime_from_date_parsing",
        "timezone_aware",
    ),
    "decimal": ("decimal_type", "decimal_parsing", "finite_number"),
    "int": ("int_type", "int_parsing", "int_parsing_size", "int_from_float"),
    "float": ("float_type", "float_parsing", "finite_number"),
    "literal": ("literal_error",),
    "enum": ("enum",),
    "model": ("model_type",),
    "dict": ("dict_type",),
    "list": ("list_type",),
    "tuple": ("tuple_type",),
    "str": ("string_type", "string_unicode"),
    "none": ("none_required",),
    "any": (),
}
_BOUNDS = {
    ("str", "max_length"): "string_too_long",
    ("str", "min_length"): "string_too_short",
    ("str", "pattern"): "string_pattern_mismatch",
    ("list", "max_length"): "too_long",
    ("list", "min_length"): "too_short",
    ("tuple", "max_length"): "too_long",
    ("tuple", "min_length"): "too_short",
    ("decimal", "max_digits"): "decimal_max_digits",
    ("decimal", "decimal_places"): "decimal_max_places",
}
_STRUCTURE = {
    "model-field", "model-fields", "nullable", "default", "definitions", "definition-ref",
    "function-after", "function-before", "function-plain", "function-wrap", "no-info", "with-info",
    "format", "function", "to-string", "union", "chain", "json-or-python", "is-instance",
}  # fmt: skip
_VALUES = {
    "gt": 0, "ge": 0, "lt": 0, "le": 0, "max_length": 1, "min_length": 1, "actual_length": 1, "max_digits": 1,
    "decimal_places": 1, "whole_digits": 1, "field_type": "", "pattern": "", "error": "", "expected": "",
    "class_name": "",
}  # fmt: skip
"""What pydantic wants to know before it shows a template: any value will do, and it leaves alone what it needs not."""


_BOUND = {
    **_NUMBER,
    "max_digits": "decimal_max_digits",
    "decimal_places": "decimal_max_places",
}


def _bounds(annotation: object) -> Iterator[str]:
    """The faults that the bounds written at a type, and inside it, can find."""
    if isinstance(annotation, list | tuple):
        inside = list(annotation)
    else:
        inside = [*getattr(annotation, "__metadata__", ()), *typing.get_args(annotation)]
        inside += getattr(annotation, "metadata", None) or []
    for name, kind in _BOUND.items():
        if getattr(annotation, name, None) is not None:
            yield kind
            if name == "max_digits":
                yield "decimal_whole_digits"
    for part in inside:
        yield from _bounds(part)


def _kinds(schema: object) -> set[str]:
    """The kinds of fault that a core schema and all inside it can find."""
    if isinstance(schema, list | tuple):
        return set().union(*map(_kinds, schema))
    if not isinstance(schema, dict):
        return set()
    inside = set().union(*(_kinds(part) for name, part in schema.items() if name not in ("serialization", "metadata")))
    kind = schema.get("type")
    if not isinstance(kind, str) or kind in _STRUCTURE:
        return inside
    assert kind in _KINDS, f"a schema of type {kind}: say here which faults it finds"
    found = inside | set(_KINDS[kind]) | {_BOUNDS[kind, name] for name in schema if (kind, name) in _BOUNDS}
    if kind == "decimal" and "max_digits" in schema:
        found.add("decimal_whole_digits")
    if kind in ("decimal", "int", "float"):
        found |= {fault for name, fault in _NUMBER.items() if name in schema}
    return found
