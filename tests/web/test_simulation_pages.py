"""An analyst's pages in both languages, over a stand-in for the simulator."""

import re
import sys
from dataclasses import replace

import pytest

from backend.adapters.simulator import ProgramSimulator
from backend.services.simulations import run_next
from tests.web.test_pages import Browser

SETTINGS = {"scenario": "office", "replications": "2", "seed": "1"}
REVIEW, DESKS = "parameter:stations.review.service.mean_h", "parameter:stations.review.servers"


@pytest.fixture(scope="module")
def analyst(app, people):
    browser = Browser(app.test_client())
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": people["analyst"].email, "password": people["analyst"].password})
    return browser


@pytest.fixture
def run(analyst, system):
    """Orders a simulation on the form and runs it; gives the path of its page."""

    def run(**changes):
        analyst.get("/simulations/new?scenario=office")
        path = analyst.post("/simulations/new", {**SETTINGS, **changes}).headers["Location"]
        while run_next(system.ctx, lambda: False):
            continue
        return path

    return run


@pytest.mark.parametrize(("language", "words"), [("en", "wait, mean"), ("zh", "平均等待")])
def test_simulation_page_shows_its_input_and_results(analyst, run, language, words):
    path = run(**{REVIEW: "1.5"})
    page = analyst.get(f"{path}?lang={language}")
    assert words in page
    assert "1.40 – 1.60" in page
    assert "60.0 %" in page
    assert f"{path}/files/report.en.html" in page
    assert {"en": "Review", "zh": "审单"}[language] in page
    report = analyst.client.get(f"{path}/files/report.en.html")
    assert report.headers["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({DESKS: "13"}, "Give a number from 1 to 12."),
        ({DESKS: "2.5"}, "Give a whole number, such as 12."),
        ({REVIEW: "long"}, "Give a number such as 12.5."),
        ({"replications": "1000"}, "Give a number from 1 to 200."),
        ({"seed": "-1"}, "Give a number from 0 to 2147483647."),
    ],
)
def test_wrong_number_is_told_at_its_field(analyst, changes, fault):
    """The field keeps what was typed."""
    analyst.get("/simulations/new?scenario=office")
    page = analyst.post("/simulations/new", {**SETTINGS, REVIEW: "0.7", **changes}, status=422).text
    assert fault in page
    (name, typed) = next(iter(changes.items()))
    assert re.search(rf'name="{re.escape(name)}" value="{re.escape(typed)}"', page)


def test_faulty_scenario_file_is_refused_with_its_line(analyst):
    analyst.get("/simulations/new")
    text = "\n" * 6 + "servers = -1\n"
    page = analyst.post("/simulations/new", {"look": "1", "text": text}, status=422).text
    assert "Line 7" in page
    assert "servers = -1" in page
    assert "give zero or more" in page


def test_failed_simulation_explains_itself_in_the_readers_language(analyst, run):
    path = run(seed="4")
    assert "仿真程序异常结束" in analyst.get(f"{path}?lang=zh")


def test_two_simulations_stand_side_by_side(analyst, run):
    ids = [run(**{DESKS: desks}).rsplit("/", 1)[1] for desks in ("3", "4")]
    page = analyst.get(f"/simulations/compare?run={ids[0]}&run={ids[1]}")
    assert "stations.review.servers" in page
    assert page.index("7.50 h") < page.index("8.50 h")
    assert "Tick two to four" in analyst.get("/simulations/compare?run=1")


def test_a_simulation_is_cancelled_and_deleted(analyst, system):
    analyst.get("/simulations/new?scenario=office")
    path = analyst.post("/simulations/new", SETTINGS).headers["Location"]
    page = analyst.get(path)
    assert 'http-equiv="refresh"' in page
    analyst.post(f"{path}/cancel")
    assert "Cancelled" in analyst.get(path)
    analyst.post(f"{path}/delete")
    analyst.get(path, status=404)


def test_the_events_of_clearance_can_be_downloaded(analyst):
    assert "events.csv" in analyst.get("/release-times")
    assert analyst.get("/release-times/events.csv").startswith("declaration,step,occurred_at")


@pytest.mark.parametrize("path", ["/simulations", "/simulations/new", "/simulations/compare", "/release-times"])
def test_others_find_no_such_pages(app, people, path):
    browser = Browser(app.test_client())
    browser.get("/sign-in")
    browser.post("/sign-in", {"email": people["merchant"].email, "password": people["merchant"].password})
    browser.get(path, status=404)


@pytest.fixture
def without_simulator(app, system, tmp_path):
    """A server-only installation: our files are there, the libraries that the simulator computes with are not."""
    program = "import sys; sys.modules['numpy'] = None; from clearance_sim.cli import main; main()"
    simulator = ProgramSimulator(tmp_path, (sys.executable, "-c", program))
    before = app.extensions["provenport"]
    app.extensions["provenport"] = (replace(system.ctx, simulator=simulator), *before[1:])
    yield simulator
    app.extensions["provenport"] = before


@pytest.mark.parametrize(
    ("language", "words"), [("en", "add it with make simulator"), ("zh", "运维人员可运行 make simulator 安装")]
)
def test_missing_simulator_is_told_with_remedy(analyst, people, without_simulator, language, words):
    assert words in analyst.get(f"/simulations?lang={language}")
    as_program = {"Authorization": f"Bearer {people['analyst'].token}"}
    for path in ("/simulations/new?scenario=office", "/api/v1/simulation-scenarios?"):
        answer = analyst.client.get(f"{path}&lang={language}", headers={**as_program, "Accept-Language": language})
        assert (answer.status_code, words in answer.text) == (503, True), (path, answer.text)
