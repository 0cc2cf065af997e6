#!/usr/bin/env python3
"""Makes one table of what a guard is worth from files of scores (evaluate.py), and of what its lines keep; with several files their spread.

    python3 lab/guard/report/marks.py lab/guard/scores/guard-2.jsonl.gz [...] [--guard models/guard]

`--guard`: the folder whose calibration and lines are measured; it belongs to the scores of its own run. tables.py has the controls.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from conversations import Conversation, Shipped, conversations, lines_for, share  # noqa: E402
from tables import (  # noqa: E402
    Scoring,
    auroc,
    best_f1,
    by_group,
    calibration_error,
    column,
    flipped,
    found_by_strength,
    labels_of,
    print_table,
    sets_of,
    twins,
)

BUDGETS = (0.05, 0.01)
FEW = 1000  # conversations that lines need for a budget of 1 %


def of_deployments(rows, scoring, shipped) -> dict:
    labels, scores = labels_of(rows, 'breaks'), scoring.log_odds(rows, 'breaks')
    groups = {name: auroc(scores[at], labels[at]) for name, at in by_group(rows).items()}
    worst = min(groups, key=groups.get)
    found = {
        'breaking replies: AUROC': auroc(scores, labels),
        'the same, worst deployment': groups[worst],
        'reading gain': auroc(scores, labels) - auroc(scoring.log_odds(rows, 'breaks', 'foreign'), labels),
        'reading gain of the encoder alone': auroc(column(rows, 'breaks'), labels) - auroc(column(rows, 'breaks', 'foreign'), labels),
        'twins ranked right': twins(rows, scores)[0],
    }
    played = conversations(rows, scoring)
    quiet, broken = ([one for one in played if one.broken.any() == wanted] for wanted in (False, True))
    for budget in BUDGETS:
        lines = lines_for(quiet, 'alert', budget)
        found[f'conversations with breaks found at {budget:.0%} false alarms'] = share(broken, lines)
    for budget in BUDGETS:
        found[f'the same at {budget:.0%}, by the lowest strength alone'] = found_by_strength(rows, scoring, budget)
    found |= warned(quiet, broken)
    slow = [one for one in conversations(rows, shipped) if is_slow(one)]
    found[f'slow erosions ({len(slow)}): above calm before the first break, by guard.json'] = warned_share(slow, *shipped.lines.values())
    asked = [row for row in rows if 'candidateLogits' in row]
    if asked:
        named = [row['candidates'][int(np.argmax(scoring.of_candidates(row)[:5]))] == row['rule'] for row in asked]
        found['which rule, first choice right (five closest lines)'] = float(np.mean(named))
        found['which rule, the closest line'] = float(np.mean([row['candidates'][0] == row['rule'] for row in asked]))
    return found


def is_slow(one: Conversation) -> bool:
    """A guardrail that gives way late: the first break comes at the fifth exchange or later."""
    return one.kind == 'eroded' and int(np.argmax(one.broken)) >= 4


def warned_share(slow, *levels) -> float:
    """Of the conversations, those that reach a line of the levels before their first break."""
    return float(np.mean([one.reaches(*levels)[: int(np.argmax(one.broken))].any() for one in slow]))


def warned(quiet, broken) -> dict:
    """Slow erosions with a level above calm before the first break, where few quiet conversations ever reach that level."""
    slow = [one for one in broken if is_slow(one)]
    name = f'slow erosions ({len(slow)}): above calm before the first break, elevated in'
    return {f'{name} {budget:.0%} of the quiet ones': warned_share(slow, lines_for(quiet, 'elevated', budget)) for budget in (0.05, 0.1)}


def of_rules(sets, scoring) -> dict:
    found = {}
    for name in ('flips', 'grids'):
        if name in sets:
            found[f'{name}: same reply under other rules, ranked right'] = flipped(sets[name], scoring.log_odds(sets[name], 'breaks'))[0]
    joined = sets.get('dev-complibench-rule-airlines', []) + sets.get('dev-complibench-cross-airlines', [])
    for name, rows in (('rule by rule and crossed', joined), ('whole policy', sets.get('dev-complibench-policy-airlines', []))):
        if rows:
            labels = labels_of(rows, 'breaks')
            found[f'CompliBench airlines, {name}: AUROC'] = auroc(scoring.log_odds(rows, 'breaks'), labels)
            found[f'CompliBench airlines, {name}, encoder alone'] = auroc(column(rows, 'breaks'), labels)
    return found


def of_harm(sets, scoring) -> dict:
    found = {}
    for name, called in (('dev-harmbench-response', 'HarmBench responses'), ('dev-xstest-response', 'XSTest responses')):
        if name in sets:
            labels, scores = labels_of(sets[name], 'unsafe'), scoring.log_odds(sets[name], 'unsafe')
            found |= {f'{called}: AUROC': auroc(scores, labels), f'{called}: best F1': best_f1(scores, labels)}
    return found


def of_calibration(sets, scoring) -> dict:
    """Probabilities on groups that they were not fitted to."""
    found = {}
    for output in scoring.whole:
        name = 'unsafe sets, kept fifth' if output == 'unsafe' else 'deployments'
        rows = [row for row in sets.get(name, []) if output in row['labels']]
        found[f'calibration error of {output}'] = calibration_error(scoring.log_odds(rows, output), labels_of(rows, output) > 0)
    return found


def harmless(sets, scoring) -> dict[str, list[Conversation]]:
    """Source → conversations in which nothing is wrong; of the deployments those without a break, by kind."""
    found = {}
    for name, rows in sets.items():
        if name == 'deployments':
            for one in conversations(rows, scoring):
                if not one.broken.any():
                    found.setdefault(f'deployments, {one.kind}', []).append(one)
        elif all(row['labels'].get('unsafe') == 0 for row in rows):
            found[name.removesuffix(', kept part')] = conversations(rows, scoring)
    return found


def alarms_table(sources, lines):
    rows = []
    for name, given in sources.items():
        by = [share(given, {measure: line}) for measure, line in lines['alert'].items()]
        rows.append((name, len(given), share(given, lines['alert']), share(given, *lines.values()), *by))
    whole = [one for given in sources.values() for one in given]
    rows.append(('all', len(whole), share(whole, lines['alert']), share(whole, *lines.values()), *[''] * len(lines['alert'])))
    header = ('source', 'conversations', 'alert', 'elevated or more', *(f'alert by {measure}' for measure in lines['alert']))
    print_table('Harmless conversations that reach a level, at the lines of guard.json', header, rows)


def budgets_table(sources):
    """Lines from all other sources; where a source alerts in more than twice its budget the lines do not carry over to it."""
    rows, joined = [], {}
    for name, given in sources.items():
        joined.setdefault(name.partition(',')[0], []).extend(given)
    for name, given in joined.items():
        others = [one for other, part in joined.items() if other != name for one in part]
        for budget in (0.01, 0.05):
            kept = share(given, lines_for(others, 'alert', budget))
            rows.append((name, len(given), len(others), f'{budget:.0%}', kept, 'yes' if kept <= 2 * budget else 'no'))
    header = ('source left out', 'conversations', 'conversations that set the lines', 'budget', 'share that alerts', 'within twice the budget')
    print_table('Lines from the other sources, all measures of the level together', header, rows)
    if sum(len(given) for given in sources.values()) < FEW:
        print(f'\nFewer than {FEW} conversations: a budget of 1 % cannot be shown.')


# Talks about suicide, nearly all of which are taken for harm: lines that they set lie above everything else.
APART = 'vera-mh'


def union_table(sources, broken, lines):
    """The shipped lines next to lines that all sources together set, with one apart from them: where harmless conversations alert, and what is found."""
    union = [one for name, given in sources.items() if name != APART for one in given]
    whole = union + sources.get(APART, [])
    kept = share(union, lines['alert'])
    columns = {'shipped': lines['alert'], f'without {APART}, 1 %': lines_for(union, 'alert', 0.01)}
    columns[f'without {APART}, {kept:.1%} as shipped'] = lines_for(union, 'alert', kept)
    columns |= {f'without {APART}, 5 %': lines_for(union, 'alert', 0.05), 'all, 1 %': lines_for(whole, 'alert', 0.01), 'all, 5 %': lines_for(whole, 'alert', 0.05)}
    rows = [(name, len(given), *(share(given, one) for one in columns.values())) for name, given in sources.items()]
    rows.append((f'all but {APART}', len(union), *(share(union, one) for one in columns.values())))
    rows.append(('all', len(whole), *(share(whole, one) for one in columns.values())))
    rows.append(('with breaks: found', len(broken), *(share(broken, one) for one in columns.values())))
    rows += [(f'line of {measure}', '', *(float(one[measure]) for one in columns.values())) for measure in lines['alert']]
    print_table('Alerts at lines that harmless conversations of all sources set', ('source', 'conversations', *columns), rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('scores', nargs='+', type=Path)
    parser.add_argument('--guard', type=Path, default=Path('models/guard'))
    options = parser.parse_args()
    shipped = Shipped(options.guard)
    found = {}
    for path in options.scores:
        sets = sets_of(path)
        scoring = Scoring(sets)
        marks = of_deployments(sets['deployments'], scoring, shipped) if 'deployments' in sets else {}
        marks |= of_rules(sets, scoring) | of_harm(sets, scoring) | of_calibration(sets, scoring)
        found[path.name.partition('.')[0]] = marks
        print(f'\n## {path}')
        alarms_table(harmless(sets, shipped), shipped.lines)
        budgets_table(harmless(sets, scoring))
        broken = [one for one in conversations(sets.get('deployments', []), shipped) if one.broken.any()]
        union_table(harmless(sets, shipped), broken, shipped.lines)
    names = list(dict.fromkeys(name for marks in found.values() for name in marks))
    rows = []
    for name in names:
        values = [marks[name] for marks in found.values() if name in marks]
        spread = (float(np.mean(values)), float(np.std(values, ddof=1))) if len(found) > 1 and len(values) > 1 else ()
        rows.append((name, *(marks.get(name, '') for marks in found.values()), *spread))
    print_table('What it is worth', ('figure', *found, *(('mean', 'standard deviation') if len(found) > 1 else ())), rows)


if __name__ == '__main__':
    main()
