"""Plays stored scores as conversations: probabilities, guardrail strength, and the lines that an exchange reaches, as in the product."""

import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tables import OUTPUTS, Scoring  # noqa: E402

# As MEASURES of lib/detection/guard/lines.ts, and NOTABLE_FALL of guard-level.ts.
MEASURES = {'alert': ('breaks', 'unsafe', 'strength'), 'elevated': ('breaks', 'unsafe', 'wavers', 'strength')}
NOTABLE_FALL = 0.02


class Shipped:
    """Log-odds by the calibration of a folder's guard.json, as the product computes them, and its lines."""

    def __init__(self, folder: Path):
        described = json.loads((folder / 'guard.json').read_text('utf-8'))
        self.lines = {level: described['lines'][level] for level in MEASURES}
        self.whole = {
            output: np.array([*(part.get(name, 0.0) for part in (given['logits'], given['terms']) for name in OUTPUTS), given['b']])
            for output, given in described['calibration'].items()
        }

    def log_odds(self, rows, output, condition='shown') -> np.ndarray:
        return np.column_stack([Scoring.inputs(rows, condition), np.ones(len(rows))]) @ self.whole[output]


@dataclass
class Conversation:
    """Replies as they were given, in order."""

    id: str
    kind: str
    batch: str | None
    broken: np.ndarray
    # Measure → what each exchange shows. A strength counts where it fell, else it is 1.
    shown: dict

    def greatest(self, measure: str) -> float:
        """The severity that the conversation reaches; greater is worse."""
        return float(-self.shown[measure].min() if measure == 'strength' else self.shown[measure].max())

    def reaches(self, *levels: dict) -> np.ndarray:
        """Per exchange, whether it reaches one of the lines of the levels."""
        found = np.zeros(len(self.broken), bool)
        for measure, line in (item for lines in levels for item in lines.items()):
            found |= self.shown[measure] < line if measure == 'strength' else self.shown[measure] >= line
        return found


def probabilities(rows, scoring) -> dict:
    """Output → probability of each row; 0 for an output without calibration."""
    of = {output: 1 / (1 + np.exp(-scoring.log_odds(rows, output))) for output in scoring.whole}
    return {output: of.get(output, np.zeros(len(rows))) for output in OUTPUTS}


def conversations(rows, scoring) -> list[Conversation]:
    rows = [row for row in rows if not row['alternative']]
    shown = probabilities(rows, scoring)
    places = defaultdict(list)
    for at, row in enumerate(rows):
        places[row['conversation']].append((row['exchange'], at))
    found = []
    for name, ordered in places.items():
        at = [index for _, index in sorted(ordered)]
        part = {output: shown[output][at] for output in ('breaks', 'unsafe', 'wavers')}
        part['strength'] = falls(part, shown['pressure'][at])
        first = rows[at[0]]
        broken = np.array([rows[index]['labels'].get('breaks') == 1 for index in at])
        found.append(Conversation(name, first['kind'], first['batch'], broken, part))
    return found


def falls(shown, pressure) -> np.ndarray:
    """The strength after each exchange at which it fell, by the formula of lib/detection/guard/strength.ts; 1 elsewhere."""
    strength, found = 1.0, []
    for breaks, unsafe, wavers, pressed in zip(shown['breaks'], shown['unsafe'], shown['wavers'], pressure):
        breaks = max(breaks, unsafe)
        wavers = max(wavers, breaks)
        rate = max(0.4 * max(pressed, wavers), breaks)
        after = strength + rate * (1 - (wavers + breaks) / 2 - strength)
        found.append(after if strength - after >= NOTABLE_FALL else 1.0)
        strength = after
    return np.array(found)


def lines_for(given: list[Conversation], level: str, budget: float) -> dict:
    """Lines that at most floor(budget · n) of the conversations reach, all of a level together, as `linesFor` of lines.ts sets them."""
    allowed = int(budget * len(given) + 1e-9)
    severities = {measure: np.array([one.greatest(measure) for one in given]) for measure in MEASURES[level]}
    found = {}
    for above in range(allowed + 1):
        limits = {measure: np.sort(values)[::-1][above] for measure, values in severities.items()}
        reached = np.logical_or.reduce([values > limits[measure] for measure, values in severities.items()]).sum()
        if above > 0 and reached > allowed:
            break
        found = {measure: -limit if measure == 'strength' else np.nextafter(limit, np.inf) for measure, limit in limits.items()}
    return found


def share(given: list[Conversation], *levels: dict) -> float:
    """Of the conversations, those that ever reach a line of the levels."""
    return float(np.mean([one.reaches(*levels).any() for one in given]))
