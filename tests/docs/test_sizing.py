"""The table of what a country needs follows from measured costs, and the page has its place."""

import pytest

from tests.benchmarks.sizing import BEGIN, END, PAGE, PAPERS, Cost, Costs, table, write

COSTS = Costs(
    paper=Cost(0.001, 0.001, 2, 1024, 1024, 0),
    declaration=Cost(0.010, 0.005, 10, 2048, 2048, 0.5),
    release=Cost(0.087, 0.042, 4, 1024, 1024, 1.5),
)


def test_country_needs_multiples_of_measured_costs():
    text = table(COSTS, peak=1_000, daily=86_400_000)
    assert (
        f"| **all of it**: {len(PAPERS)} papers, declaration, release | 100.00 ms | 50.00 ms | 20.0 | 6.0 KiB |" in text
    )
    assert "| cores for servers, busy all the time | 100 | 100 on average |" in text
    assert "| cores for PostgreSQL | 50 | 50 on average |" in text
    assert "| rows | 20,000 a second | 1,728 million a day |" in text
    assert "| database | 5.9 MiB a second | 494 GiB a day |" in text
    assert "34,560 that anchor, 86,400 with decisions" in text


def test_table_on_page_is_a_measured_one():
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    expected = table(COSTS).splitlines()
    found = shown.strip().splitlines()
    assert [line.split("|")[1] for line in found if line] == [line.split("|")[1] for line in expected if line]


def test_table_replaces_what_stood_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}after\n", encoding="utf-8")
    write("new\n", page)
    assert page.read_text(encoding="utf-8") == f"before\n{BEGIN}\nnew\n\n{END}after\n"
    page.write_text("no place", encoding="utf-8")
    with pytest.raises(AssertionError, match="no place"):
        write("new\n", page)
