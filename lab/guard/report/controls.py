#!/usr/bin/env python3
"""Makes the tables of controls of every set, and of the calibration of every deployment, from a file of scores (evaluate.py).

    python3 lab/guard/report/controls.py lab/guard/scores/guard-4.jsonl.gz
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tables import AT, RULES_DECIDE, Scoring, auroc, by_group, calibration_error, column, flipped, labels_of, print_table, sets_of  # noqa: E402

# Sets that are ranked together → the output by which they are.
RANKED_BY = {('deployments',): 'breaks', ('flips',): 'breaks', ('grids',): 'breaks'}
RANKED_BY |= {('dev-complibench-rule-airlines', 'dev-complibench-cross-airlines'): 'breaks', ('dev-complibench-policy-airlines',): 'breaks'}
RANKED_BY |= {(name,): 'unsafe' for name in ('dev-harmbench-response', 'dev-xstest-response', 'diasafety-test', 'unsafe sets, kept fifth')}


def controls_table(sets, scoring):
    """What each part of the input, and what parts of the reply alone tell; without history or message on the share of the replies that has it."""
    lines = []
    for names, output in RANKED_BY.items():
        rows = [row for name in names for row in sets.get(name, [])]
        if not rows:
            continue
        wanted = labels_of(rows, output) > 0

        def area(some, condition='shown', output=output):
            return auroc(scoring.log_odds(some, output, condition), labels_of(some, output) > 0) if some and condition in some[0]['logits'] else ''

        asked = [row for row in rows if 'no user' in row['logits']]
        parts = [np.array([row['terms'][AT[output]] for row in rows]), [row['length'] for row in rows], [-sum(row['flags']) for row in rows]]
        alone = [auroc(column(rows, output), wanted), *(auroc(part, wanted) for part in parts)]
        lines.append((' and '.join(names), len(rows), area(rows), area(rows, 'none'), *alone, len(asked), *(area(asked, one) for one in ('shown', 'no history', 'no user'))))
    header = ('set', 'replies', 'guard', 'no rules', 'encoder alone', 'words alone', 'reply length', 'no refusal phrase')
    print_table('Controls: AUROC', (*header, 'of these', 'guard', 'no history', 'no user'), lines)
    lines = []
    for name in RULES_DECIDE:
        asked = [row for row in sets.get(name, []) if 'no user' in row['logits']]
        for condition in ('shown', 'no history', 'no user') if asked else ():
            if condition in asked[0]['logits']:
                lines.append((name, condition, *flipped(asked, scoring.log_odds(asked, 'breaks', condition))))
    if lines:
        print_table('The same reply under other rules, ranked right', ('set', 'input', 'ranked right', 'pairs'), lines)


def calibration_table(rows, scoring, bins=5):
    """Of each deployment that its calibration has not seen; by chance: labels drawn from the very probabilities."""
    rng, lines = np.random.default_rng(1), []
    for name, at in by_group(rows).items():
        cells = []
        for output in ('breaks', 'wavers', 'complies', 'pressure'):
            known = [rows[index] for index in at if output in rows[index]['labels']]
            scores, wanted = scoring.log_odds(known, output), labels_of(known, output) > 0
            probability = 1 / (1 + np.exp(-scores))
            drawn = [calibration_error(scores, rng.random(len(known)) < probability, bins) for _ in range(100)]
            cells += [calibration_error(scores, wanted, bins), float(np.mean(drawn)), float(probability.mean() - wanted.mean())]
        lines.append((name, len(at), *cells))
    lines.sort()
    columns = np.array([line[2:] for line in lines])
    lines += [('median', '', *np.median(columns, 0)), ('greatest', '', *columns.max(0))]
    header = [part for output in ('breaks', 'wavers', 'complies', 'pressure') for part in (output, 'by chance', 'predicted less true share')]
    print_table('Calibration error of each deployment left out (five bins)', ('deployment', 'replies', *header), lines)


def main():
    for path in sys.argv[1:]:
        sets = sets_of(path)
        scoring = Scoring(sets)
        print(f'\n## {path}')
        controls_table(sets, scoring)
        if 'deployments' in sets:
            calibration_table(sets['deployments'], scoring)


if __name__ == '__main__':
    main()
