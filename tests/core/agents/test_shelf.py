from __future__ import annotations

import pytest

from app.core.agents.agent import Agent
from app.core.agents.shelf import Fault, Shelf
from app.core.errors import NotFound

SHELF = Shelf(
    agents={"research": Agent("research", "R", ("a/b",))},
    faults={"broken": Fault("broken.toml", ("model is missing.", "More."), kept=False)},
)


def test_found() -> None:
    """An agent is found by the name it is called by."""
    assert "R" == SHELF.find("agent/research").name


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("agent/reserch", "Did you mean agent/research? orgate agent list shows them; make one with: "),
        ("agent/zzz", "There is no agent 'agent/zzz'. orgate agent list"),
        ("agent/zzz", "make one with: orgate agent new zzz --model openai/gpt-4o-mini"),
        ("agent/; rm", "make one with: orgate agent new NAME --model"),
        ("agent/", "make one with: orgate agent new NAME --model"),
    ],
)
def test_unknown(model: str, told: str) -> None:
    """Whoever calls an agent that there is not is told near names and the command that makes one."""
    with pytest.raises(NotFound) as refused:
        SHELF.find(model)

    assert told in refused.value.message
    assert ("unknown_agent", "model", 404) == (refused.value.code, refused.value.param, refused.value.status)


def test_unusable() -> None:
    """An agent whose file cannot be used is told apart from one that there is not, with the first reason."""
    with pytest.raises(
        NotFound, match=r"cannot be used: model is missing\. All that is wrong: orgate agent check"
    ) as it:
        SHELF.find("agent/broken")

    assert "agent_unusable" == it.value.code
