"""Sending out agents: how many in all, how deep, and what of their conclusions comes back."""

import json

from castalia.actions.action import Allowance, Branches, Session, State, said
from castalia.actions.agents import Spawn, join
from castalia.document import Call, Document, Part


def test_agents_that_send_out_agents_come_to_an_end() -> None:
    root = Session({"spawn": Spawn()}, State(allowance=Allowance(16), depth=3))
    generations = [[root]]
    while generations[-1]:
        agents = []
        for session in generations[-1]:
            for count in (3, 2, 1):
                outcome = session.act(Call("spawn", json.dumps({"briefs": ["go on"] * count})))
                agents += [session.fork() for _ in outcome.briefs] if isinstance(outcome, Branches) else []
        generations.append(agents)
    assert [len(agents) for agents in generations] == [1, 6, 10, 0], "sixteen in all"


def test_agents_go_no_deeper_than_allowed() -> None:
    session = Session({"spawn": Spawn()}, State(depth=2))
    outcomes = []
    for _ in range(3):
        outcomes.append(session.act(Call("spawn", '[["go on"]]')))
        session = session.fork()
    assert [isinstance(outcome, Branches) for outcome in outcomes] == [True, True, False]
    assert outcomes[-1].text() == "error: an agent this deep sends out no agents of its own"


def test_conclusions_come_back_and_thoughts_do_not() -> None:
    first = Document((Part("hm", "assistant", thought=True), Part(" 7 ", "assistant"), Part("seen", "tool")))
    assert join([first, said("nothing"), Document((Part("8", "assistant"),))]).text() == "7; -; 8"
