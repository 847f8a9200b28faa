"""TOML text as values, and the line on which each of them stands."""

import tomllib
from dataclasses import dataclass, field
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

Path = tuple[str | int, ...]


@dataclass
class Place:
    """A key or item of the file: its line, and what it holds."""

    line: int
    within: dict[str | int, "Place"] = field(default_factory=dict)

    def line_of(self, path: Path) -> int:
        """The line of what lies nearest to the path; steps that the file does not have are passed over."""
        place = self
        for step in path:
            place = place.within.get(step, place)
        return place.line


class TomlSyntaxError(ValueError):
    """The text is not TOML."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


def read(text: str) -> tuple[dict[str, Any], Place]:
    """The values of a TOML text and where they stand."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlSyntaxError(_line_in(str(error), text), str(error).split(" (at ")[0]) from None
    return values, places(text)


def places(text: str) -> Place:
    """The line of every key and item of a valid TOML text."""
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    root = Place(1)
    for node in tree.root_node.named_children:
        if node.type == "pair":
            _pair(node, root)
        elif node.type in ("table", "table_array_element"):
            _table(node, root)
    return root


def _table(node: Node, root: Place) -> None:
    header, *pairs = [child for child in node.named_children if child.type != "comment"]
    place = _descend(root, _keys(header), _line(header))
    if node.type == "table_array_element":
        place = place.within.setdefault(len(place.within), Place(_line(header)))
    for pair in pairs:
        _pair(pair, place)


def _pair(node: Node, place: Place) -> None:
    key, value = [child for child in node.named_children if child.type != "comment"]
    _value(value, _descend(place, _keys(key), _line(key)))


def _value(node: Node, place: Place) -> None:
    members = [child for child in node.named_children if child.type != "comment"]
    if node.type == "inline_table":
        for pair in members:
            _pair(pair, place)
    elif node.type == "array":
        for position, item in enumerate(members):
            _value(item, place.within.setdefault(position, Place(_line(item))))


def _descend(place: Place, keys: list[str], line: int) -> Place:
    for key in keys:
        place = _last(place).within.setdefault(key, Place(line))
    return place


def _last(place: Place) -> Place:
    """Of a list of tables the one that the file is filling; any other place as it is."""
    numbers = [step for step in place.within if isinstance(step, int)]
    return place.within[max(numbers)] if numbers else place


def _keys(node: Node) -> list[str]:
    if node.type == "dotted_key":
        return [key for child in node.named_children for key in _keys(child)]
    written = (node.text or b"").decode()
    if node.type == "quoted_key":
        return [next(iter(tomllib.loads(f"{written} = 1")))]
    return [written]


def _line(node: Node) -> int:
    return node.start_point[0] + 1


def _line_in(message: str, text: str) -> int:
    """The line that tomllib names; at the end of the document it names none."""
    if "(at line " in message:
        return int(message.split("(at line ")[1].split(",")[0])
    return text.count("\n") + 1
