"""Does one zone lie in another? Exactly: with fractions, so that no rounding ever lets a zone grow by a hair.

Rings are closed lists of (lon, lat), as `zone_ring` gives them.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

Ring = Sequence[tuple[float, float]]
_Point = tuple[Fraction, Fraction]
_Edge = tuple[_Point, _Point]


def within(inner: Ring, outer: Ring) -> bool:
    """Whether no point of `inner` lies outside `outer`; edges may touch. False where `outer` crosses itself.

    A simple ring's outside is one piece that reaches to infinity: if the edges of `inner` stay in `outer`, all of it does.
    """
    if not is_simple(outer):
        return False
    walls = _edges(outer)
    return all(_stays_inside(edge, walls) for edge in _edges(inner))


def is_simple(ring: Ring) -> bool:
    """Whether a closed ring neither crosses nor touches itself."""
    edges = _edges(ring)
    count = len(edges)
    if count < 3 or any(start == end for start, end in edges):
        return False
    for first, second in itertools.combinations(range(count), 2):
        meetings = _meetings(edges[first], edges[second])
        neighbours = second == first + 1 or (first == 0 and second == count - 1)
        if len(meetings) > (1 if neighbours else 0):
            return False
    return True


def contains(ring: Ring, point: tuple[float, float] | _Point) -> bool:
    """Inside or on the edge."""
    return _contains(_edges(ring), (Fraction(point[0]), Fraction(point[1])))


def _edges(ring: Ring) -> list[_Edge]:
    points = [(Fraction(lon), Fraction(lat)) for lon, lat in ring]
    return list(itertools.pairwise(points))


def _stays_inside(edge: _Edge, walls: list[_Edge]) -> bool:
    """Cut at every wall it meets, an edge is inside or outside piece by piece: each piece's middle decides."""
    cuts = {Fraction(0), Fraction(1)}
    for wall in walls:
        cuts |= _meetings(edge, wall)
    places = sorted(cuts)
    return all(_contains(walls, _at(edge, (a + b) / 2)) for a, b in itertools.pairwise(places))


def _contains(walls: list[_Edge], point: _Point) -> bool:
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in walls:
        side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if side == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and (side > 0) == (y2 > y1):
            inside = not inside
    return inside


def _meetings(edge: _Edge, wall: _Edge) -> set[Fraction]:
    """Where along `edge` (0 to 1) it meets `wall`: nowhere, once, or at both ends of what they share."""
    (ax, ay), (bx, by) = edge
    (cx, cy), (dx, dy) = wall
    if max(ax, bx) < min(cx, dx) or max(cx, dx) < min(ax, bx) or max(ay, by) < min(cy, dy) or max(cy, dy) < min(ay, by):
        return set()
    along, across = (bx - ax, by - ay), (dx - cx, dy - cy)
    to_wall = (cx - ax, cy - ay)
    turn = along[0] * across[1] - along[1] * across[0]
    if turn != 0:
        here = (to_wall[0] * across[1] - to_wall[1] * across[0]) / turn
        there = (to_wall[0] * along[1] - to_wall[1] * along[0]) / turn
        return {here} if 0 <= here <= 1 and 0 <= there <= 1 else set()
    if to_wall[0] * along[1] != to_wall[1] * along[0]:
        return set()
    length = along[0] ** 2 + along[1] ** 2
    ends = [((px - ax) * along[0] + (py - ay) * along[1]) / length for px, py in wall]
    first, last = max(min(ends), Fraction(0)), min(max(ends), Fraction(1))
    return {first, last} if first <= last else set()


def _at(edge: _Edge, share: Fraction) -> _Point:
    (ax, ay), (bx, by) = edge
    return ax + (bx - ax) * share, ay + (by - ay) * share
