from pathlib import Path

from clearance_sim.commands.customs import markdown_parameters

PAGE = Path(__file__).parents[3] / "docs" / "customs-model.md"


def test_page_lists_every_parameter_as_it_is():
    assert markdown_parameters() in PAGE.read_text(encoding="utf-8")
