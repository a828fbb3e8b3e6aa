"""Compare two sets of observations, field by field, and sort the differences by the rulings that explain them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Seen = dict[str, Any]
MISSING = '(missing)'


@dataclass(frozen=True)
class Difference:
    """One field of one step in which the two libraries differ.

    ``published`` and ``ours`` are the values of the field; ``steps`` are the scenario's steps up to this one, and
    ``published_so_far`` and ``ours_so_far`` what was seen at each of them.
    """

    scenario: dict[str, Any]
    steps: Sequence[dict[str, Any]]
    field: str
    published: Any
    ours: Any
    published_so_far: Sequence[Seen]
    ours_so_far: Sequence[Seen]

    @property
    def step(self) -> dict[str, Any]:
        return self.steps[-1]

    @property
    def place(self) -> str:
        return f'{self.scenario["id"]} step {len(self.steps) - 1} {self.field}'

    def __str__(self) -> str:
        step = {name: value for name, value in self.step.items() if name != 'op'}
        lines = (self.place, f'  step:      {step}', f'  published: {self.published}', f'  ours:      {self.ours}')
        return '\n'.join(lines)


@dataclass(frozen=True)
class Ruling:
    """A kind of difference that is intended: its tag (F-n or a ruling), the reason, and how to know it.

    With ``parts_ways`` the two caches no longer hold the same, so nothing after that step can be compared.
    """

    tag: str
    reason: str
    explains: Callable[[Difference], bool]
    parts_ways: bool = False


@dataclass
class Report:
    """What a comparison found."""

    unexplained: list[Difference] = field(default_factory=list)
    matched: Counter[str] = field(default_factory=Counter)
    steps_compared: int = 0
    steps_total: int = 0
    parted: Counter[str] = field(default_factory=Counter)

    def unused(self, rulings: Sequence[Ruling]) -> list[str]:
        return [ruling.tag for ruling in rulings if not self.matched[ruling.tag]]

    def summary(self) -> str:
        lines = [f'{self.steps_compared} of {self.steps_total} steps compared, {len(self.unexplained)} unexplained']
        for tag, count in sorted(self.matched.items()):
            scenarios = f', ended {self.parted[tag]} scenarios' if self.parted[tag] else ''
            lines.append(f'  {tag}: {count} differences{scenarios}')
        return '\n'.join(lines)


def fields(value: Any, other: Any, path: str = '') -> Iterator[tuple[str, Any, Any]]:
    """The paths at which two observations differ, as deep as their shapes agree."""
    if isinstance(value, dict) and isinstance(other, dict):
        for name in sorted(value.keys() | other.keys()):
            yield from fields(value.get(name, MISSING), other.get(name, MISSING), f'{path}.{name}' if path else name)
    elif _parallel(value, other):
        for index, (each, its) in enumerate(zip(value, other, strict=True)):
            yield from fields(each, its, f'{path}[{index}]')
    elif value != other:
        yield path, value, other


def _parallel(value: Any, other: Any) -> bool:
    if not (isinstance(value, list) and isinstance(other, list) and len(value) == len(other)):
        return False
    return any(isinstance(each, dict) for each in value)


def compare(
    scenarios: Sequence[dict[str, Any]],
    published: dict[str, list[Seen]],
    ours: dict[str, list[Seen]],
    rulings: Sequence[Ruling],
) -> Report:
    """Compare all *scenarios*; a scenario ends where the libraries part ways or where a difference has no ruling."""
    report = Report()
    for scenario in scenarios:
        report.steps_total += len(scenario['steps'])
        theirs, mine = published[scenario['id']], ours[scenario['id']]
        for count in range(1, len(scenario['steps']) + 1):
            report.steps_compared += 1
            so_far = (scenario['steps'][:count], theirs[:count], mine[:count])
            if _ends(_differences(scenario, *so_far), rulings, report):
                break
    return report


def _differences(
    scenario: dict[str, Any], steps: Sequence[dict[str, Any]], published: Sequence[Seen], ours: Sequence[Seen]
) -> list[Difference]:
    return [
        Difference(scenario, steps, path, value, other, published, ours)
        for path, value, other in fields(published[-1], ours[-1])
    ]


def _ends(differences: list[Difference], rulings: Sequence[Ruling], report: Report) -> bool:
    """Sort the differences of one step; true if the scenario cannot be compared any further."""
    found = [(difference, _ruling_for(difference, rulings)) for difference in differences]
    partings = [ruling.tag for _, ruling in found if ruling is not None and ruling.parts_ways]
    for difference, ruling in found:
        if ruling is not None:
            report.matched[ruling.tag] += 1
        elif not partings:
            report.unexplained.append(difference)
    report.parted.update(partings[:1])
    return bool(partings) or any(ruling is None for _, ruling in found)


def _ruling_for(difference: Difference, rulings: Sequence[Ruling]) -> Ruling | None:
    return next((ruling for ruling in rulings if ruling.explains(difference)), None)
