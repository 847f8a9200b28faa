from importlib.resources import files

import pytest

from clearance_sim.commands.customs import scenario_text
from clearance_sim.procedure.context import context, contexts
from clearance_sim.procedure.levers import ARMS


@pytest.mark.parametrize("name", contexts())
@pytest.mark.parametrize("arm", ARMS[:3], ids=lambda arm: arm.name)
def test_packaged_scenario_is_what_model_writes(name, arm):
    """A packaged scenario is what the model writes today."""
    packaged = files("clearance_sim") / "scenarios" / f"{name}-{arm.name}.toml"
    written_today = scenario_text(context(name), arm)
    assert packaged.read_text(encoding="utf-8") == written_today, "run `clearance-sim customs --packaged`"
