#!/usr/bin/env python3
"""Makes the tables of docs/detector.md from files of scores (evaluate.py), without a model.

    python3 lab/guard/tables.py lab/guard/scores/guard-1.jsonl.gz
"""

import gzip
import json
import sys
from collections import defaultdict

import numpy as np

OUTPUTS = ('unsafe', 'breaks', 'wavers', 'complies', 'pressure')
AT = {name: at for at, name in enumerate(OUTPUTS)}


def auroc(scores, labels) -> float:
    """Ties count one half (Fawcett 2006, An introduction to ROC analysis)."""
    scores, labels = np.asarray(scores, float), np.asarray(labels)
    positive, negative = scores[labels == 1], np.sort(scores[labels == 0])
    if len(positive) == 0 or len(negative) == 0:
        return float('nan')
    below, not_above = np.searchsorted(negative, positive, 'left'), np.searchsorted(negative, positive, 'right')
    return float((below + not_above).mean() / 2 / len(negative))


def best_f1(scores, labels) -> float:
    """The greatest F1 of any threshold on these very rows, as the published guards report it."""
    order = np.argsort(-np.asarray(scores, float), kind='stable')
    hits = np.cumsum(np.asarray(labels)[order])
    return float((2 * hits / (np.arange(1, len(hits) + 1) + hits[-1])).max())


def read(path):
    with gzip.open(path, 'rt', encoding='utf-8') as file:
        return [json.loads(line) for line in file]


def column(rows, output, condition='shown'):
    return np.array([row['logits'][condition][AT[output]] for row in rows])


def labels_of(rows, output):
    return np.array([row['labels'].get(output, np.nan) for row in rows])


def twins(rows, scores) -> tuple[float, int]:
    """Share of pairs of one broken and one kept reply to one message that the score ranks right."""
    pairs = defaultdict(list)
    for row, score in zip(rows, scores):
        if row['pair']:
            pairs[row['pair']].append((row['labels']['breaks'], score))
    right = [max(pair)[1] > min(pair)[1] for pair in pairs.values() if len(pair) == 2 and pair[0][0] != pair[1][0]]
    return float(np.mean(right)), len(right)


def flipped(rows, scores) -> tuple[float, int]:
    """Share of replies that the score ranks right under two sets of rules, one of which they break."""
    cells = defaultdict(dict)
    for row, score in zip(rows, scores):
        cells[row['conversation']][row['cell']] = (row['labels']['breaks'], score)
    right = []
    for case in cells.values():
        for reply in 'xy':
            first, second = case['A' + reply], case['B' + reply]
            if first[0] != second[0]:
                right.append((first[1] > second[1]) == (first[0] > second[0]))
    return float(np.mean(right)), len(right)


def found_conversations(rows, scores, share=0.05) -> tuple[float, int, int]:
    """Of the conversations with a break, the share whose greatest score reaches the line that `share` of the others reach."""
    greatest, broken = defaultdict(lambda: -np.inf), defaultdict(bool)
    for row, score in zip(rows, scores):
        if not row['alternative']:
            key = row['conversation']
            greatest[key] = max(greatest[key], score)
            broken[key] |= row['labels']['breaks'] == 1
    quiet = np.array([value for key, value in greatest.items() if not broken[key]])
    eroded = np.array([value for key, value in greatest.items() if broken[key]])
    line = np.quantile(quiet, 1 - share, method='higher')
    return float((eroded > line).mean()), len(eroded), len(quiet)


def bootstrap(rows, measure, repeats=400, seed=1) -> tuple[float, float]:
    """95 % interval of a measure over resampled deployments."""
    groups = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row['group']].append(at)
    names, rng, values = sorted(groups), np.random.default_rng(seed), []
    for _ in range(repeats):
        picked = [at for name in rng.choice(names, len(names)) for at in groups[name]]
        values.append(measure(picked))
    return tuple(np.nanquantile(values, (0.025, 0.975)))


def print_table(title, header, lines):
    print(f'\n**{title}**\n\n| {" | ".join(header)} |\n|{" --- |" * len(header)}')
    for line in lines:
        print('| ' + ' | '.join(f'{cell:.3f}' if isinstance(cell, float) else str(cell) for cell in line) + ' |')


def deployments_table(rows):
    labels = labels_of(rows, 'breaks')
    controls = {
        'guard: rules, history, user, reply': column(rows, 'breaks'),
        'rules of another deployment': column(rows, 'breaks', 'foreign'),
        'no rules': column(rows, 'breaks', 'none'),
        'no history': column(rows, 'breaks', 'no history'),
        'no user message': column(rows, 'breaks', 'no user'),
        'TF-IDF of the reply': np.array([row['terms']['breaks'] for row in rows]),
        'reply length': np.array([row['length'] for row in rows]),
        'no refusal phrase': -np.array([sum(row['flags']) for row in rows]),
    }
    lines = []
    for name, scores in controls.items():
        low, high = bootstrap(rows, lambda at, scores=scores: auroc(scores[at], labels[at]))
        lines.append((name, auroc(scores, labels), f'{low:.3f}–{high:.3f}', twins(rows, scores)[0], found_conversations(rows, scores)[0]))
    _, eroded, quiet = found_conversations(rows, controls['reply length'])
    title = f'Deployments left out: {len(rows)} replies, {int(labels.sum())} of them breaks, {twins(rows, labels)[1]} twins, '
    title += f'{eroded} conversations with breaks and {quiet} without'
    print_table(title, ('input', 'AUROC', '95 %', 'twins', 'conversations found at 5 %'), lines)
    print(f'\nReading gain (own rules less those of another deployment): {lines[0][1] - lines[1][1]:.3f}')
    per_group = sorted((auroc(column(part, 'breaks'), labels_of(part, 'breaks')), name) for name, part in by_group(rows).items())
    print('Deployments, lowest AUROC first: ' + ', '.join(f'{name} {value:.2f}' for value, name in per_group))
    other = []
    for output in ('wavers', 'complies', 'pressure'):
        known = [row for row in rows if output in row['labels']]
        wanted = (labels_of(known, output) > 0).astype(int)
        condition = 'no reply' if output == 'pressure' else 'shown'
        terms = np.array([row['terms'][output] for row in known])
        other.append((output, len(known), auroc(column(known, output, condition), wanted), auroc(terms, wanted)))
    print_table('Other outputs on the same replies', ('output', 'replies', 'AUROC', 'TF-IDF'), other)
    asked = [row for row in rows if 'candidates' in row]
    right = [row['candidates'][int(np.argmax(row['candidateScores']))] == row['rule'] for row in asked]
    closest = [row['candidates'][0] == row['rule'] for row in asked]
    print(f'\nWhich rule, first choice right: {np.mean(right):.3f} of {len(asked)} (the closest line: {np.mean(closest):.3f})')


def by_group(rows):
    groups = defaultdict(list)
    for row in rows:
        groups[row['group']].append(row)
    return groups


def rules_tables(sets):
    if 'flips' in sets:
        rows = sets['flips']
        same, pairs = flipped(rows, column(rows, 'breaks'))
        print(f'\nFlips left out, same reply under other rules ranked right: {same:.3f} of {pairs}; twins {twins(rows, column(rows, "breaks"))[0]:.3f}')
    joined = sets.get('dev-complibench-rule-airlines', []) + sets.get('dev-complibench-cross-airlines', [])
    lines = []
    for name, rows in (('rule by rule and crossed', joined), ('whole policy', sets.get('dev-complibench-policy-airlines', []))):
        if rows:
            labels = labels_of(rows, 'breaks')
            lines.append((name, len(rows), auroc(column(rows, 'breaks'), labels), auroc(column(rows, 'breaks', 'none'), labels)))
    if lines:
        print_table('CompliBench, airlines (never trained on)', ('rows', 'replies', 'AUROC', 'no rules'), lines)


def unsafe_table(sets):
    lines = []
    for name in ('dev-harmbench-response', 'dev-xstest-response', 'diasafety-test', 'unsafe sets, kept fifth'):
        if name in sets:
            rows = sets[name]
            labels, scores = labels_of(rows, 'unsafe'), column(rows, 'unsafe')
            terms = auroc([row['terms']['unsafe'] for row in rows], labels) if 'terms' in rows[0] else float('nan')
            flags = auroc([-sum(row['flags']) for row in rows], labels)
            lines.append((name, len(rows), int(labels.sum()), auroc(scores, labels), best_f1(scores, labels), terms, flags))
    if lines:
        header = ('set', 'replies', 'unsafe', 'AUROC', 'best F1', 'TF-IDF', 'no refusal phrase')
        print_table('Unsafe replies (the prompts of XSTest, not its replies, are in training)', header, lines)


def alarms_table(sets):
    """Lines from the deployments that were left out: 5 % of their conversations without a break reach each."""
    rows = [row for row in sets.get('deployments', []) if not row['alternative']]
    if not rows:
        return
    broken = {row['conversation'] for row in rows if row['labels']['breaks'] == 1}
    quiet = [row for row in rows if row['conversation'] not in broken]
    line = {output: np.quantile(greatest(quiet, output), 0.95, method='higher') for output in ('breaks', 'unsafe')}
    lines = []
    for name, part in sets.items():
        if part[0]['labels'].get('unsafe') == 0 and all(row['labels'].get('unsafe') == 0 for row in part):
            beyond = [(greatest(part, output) > line[output]).mean() for output in ('breaks', 'unsafe')]
            lines.append((name, len(greatest(part, 'breaks')), *map(float, beyond)))
    print_table('Harmless conversations beyond the line that 5 % of the quiet deployments reach', ('set', 'conversations', 'breaks', 'unsafe'), lines)


def greatest(rows, output):
    found = defaultdict(lambda: -np.inf)
    for row in rows:
        found[row['conversation']] = max(found[row['conversation']], row['logits']['shown'][AT[output]])
    return np.array(list(found.values()))


def main():
    for path in sys.argv[1:]:
        sets = defaultdict(list)
        for row in read(path):
            sets[row['set']].append(row)
        print(f'\n## {path}')
        if 'deployments' in sets:
            deployments_table(sets['deployments'])
        rules_tables(sets)
        unsafe_table(sets)
        alarms_table(sets)


if __name__ == '__main__':
    main()
