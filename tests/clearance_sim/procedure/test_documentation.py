from pathlib import Path

from clearance_sim.commands.parameters import markdown_table

PAGE = Path(__file__).parents[3] / "docs" / "customs-model.md"


def test_the_page_lists_every_parameter_as_it_is():
    assert markdown_table() in PAGE.read_text(encoding="utf-8")
