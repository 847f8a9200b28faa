"""What benchmarks and stress tests import of ours is there: they run too seldom to notice a rename themselves."""

import ast
from importlib import import_module
from pathlib import Path

TESTS = Path(__file__).parents[1]
OURS = ("backend", "clearance_sim", "contracts", "verifier")


def missing_names(source: str) -> list[str]:
    """Names that a source imports from modules of ours, and that these do not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS:
            found += [f"{node.module}.{alias.name}" for alias in node.names if not _is_there(node.module, alias.name)]
    return found


def _is_there(module: str, name: str) -> bool:
    try:
        if hasattr(import_module(module), name):
            return True
        import_module(f"{module}.{name}")
    except ModuleNotFoundError as error:
        # A package that this set of packages does not have says nothing about our names.
        return error.name is not None and error.name.split(".")[0] not in OURS
    return True


def test_seldom_run_programs_import_existing_names():
    sources = [*(TESTS / "benchmarks").rglob("*.py"), *(TESTS / "stress").rglob("*.py")]
    assert len(sources) > 15
    missing = {str(path.relative_to(TESTS)): missing_names(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: names for path, names in missing.items() if names} == {}


def test_missing_name_is_found():
    planted = "from backend.adapters.node_client import Node, by_node\nfrom backend.nowhere import anything\n"
    assert missing_names(planted) == ["backend.adapters.node_client.by_node", "backend.nowhere.anything"]
