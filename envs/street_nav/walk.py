"""Free movement: where a turn makes the agent look, and where `forward()` takes it.

A turn looks for streets in the sector of its word and takes the one nearest to where the word
points; `slightly left` and `slightly right` take the next one on that side; a word in whose sector
the agent looks already takes the next street clockwise in that sector. Where no street leads in the
direction, the agent looks there all the same. `forward()` takes the street nearest to where the
agent looks, within 45 degrees. On a bend the agent's head follows the street.
"""

from collections import deque
from collections.abc import Mapping

from .actions import FORWARD, TurnRule, signed_turn, turn, whole_degrees
from .types import World

MAX_OFF_DEG = 45


def turned(facing: int, word: str, turns: TurnRule, exits: Mapping[int, float]) -> int:
    """Where one looks after a turn, in whole degrees."""
    headings = {whole_degrees(heading) for heading in exits.values()}
    fitting = [heading for heading in headings if turns.word(facing, heading) == word]
    others = [heading for heading in fitting if heading != facing]
    if not others:
        return facing if fitting else turns.aim(word, facing)
    if len(fitting) > len(others) and word != "slightly left":
        return min(others, key=lambda heading: (heading - facing) % 360)
    aim = facing if word.startswith("slightly") else turns.aim(word, facing)
    return min(others, key=lambda heading: (abs(signed_turn(aim, heading)), heading))


def way_ahead(facing: int, exits: Mapping[int, float]) -> int | None:
    """The node that `forward()` leads to, None if no street leads ahead."""
    nearest: tuple[int, int] | None = None
    for node, heading in exits.items():
        off = abs(signed_turn(facing, whole_degrees(heading)))
        if off <= MAX_OFF_DEG and (nearest is None or (off, node) < nearest):
            nearest = off, node
    return None if nearest is None else nearest[1]


def facing_after(world: World, came_from: int, node: int) -> int:
    """Where one looks who has walked from one node to the next: along the street."""
    arrival = whole_degrees(world.exits(came_from)[node])
    onward = [heading for other, heading in world.exits(node).items() if other != came_from]
    return whole_degrees(onward[0]) if len(onward) == 1 else arrival


def step_towards(world: World, node: int, facing: int, target: int, turns: TurnRule) -> str:
    """The first action on the way to a neighbouring node: forward, or the first of few turns.

    Raises ValueError if no turns lead there (two streets in the same direction).
    """
    exits = world.exits(node)
    if way_ahead(facing, exits) != target:
        said = turns.word(facing, whole_degrees(exits[target]))
        if way_ahead(turned(facing, said, turns, exits), exits) == target:
            return turn(said)
    first: dict[int, str | None] = {facing: None}
    queue = deque([facing])
    while queue:
        looking = queue.popleft()
        if way_ahead(looking, exits) == target:
            return first[looking] or FORWARD
        for word in turns.words:
            after = turned(looking, word, turns, exits)
            if after not in first:
                first[after] = first[looking] or turn(word)
                queue.append(after)
    raise ValueError(f"node {target} must be reachable from {node} by turns; it is not")
