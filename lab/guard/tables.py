#!/usr/bin/env python3
"""Makes the tables of docs/detector.md from files of scores (evaluate.py), without a model.

    python3 lab/guard/tables.py lab/guard/scores/guard-1.jsonl.gz

The log-odds of an output are a sum of the encoder's logits and of the linear parts (terms.py) of all outputs, by ridge logistic regression
(Wolpert 1992, Stacked generalization; Platt 1999 for one logit). On the set that gives the weights they are fitted to other groups than the scored one.
"""

import gzip
import hashlib
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


# What the probabilities of an output are fitted to.
CALIBRATED_ON = {'unsafe': 'unsafe sets, kept fifth', 'breaks': 'deployments', 'wavers': 'deployments', 'complies': 'deployments'}
CALIBRATED_ON['pressure'] = 'deployments'
PARTS = 5


def part_of(row) -> int:
    return int(hashlib.sha256(f'platt {row["group"]}'.encode()).hexdigest()[:8], 16) % PARTS


PENALTY = 1.0  # of the squared weights


def logistic(inputs, labels, masses=None, penalty=0.0) -> np.ndarray:
    """Weights of the columns and the intercept of a logistic regression, by Newton's method; `masses` weigh the rows."""
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    masses = np.ones(len(inputs)) if masses is None else masses
    weights, penalties = np.zeros(inputs.shape[1]), np.full(inputs.shape[1], penalty + 1e-9)
    penalties[-1] = 1e-9
    for _ in range(40):
        probability = 1 / (1 + np.exp(-inputs @ weights))
        hessian = (inputs * (masses * probability * (1 - probability))[:, None]).T @ inputs + np.diag(penalties)
        weights = weights + np.linalg.solve(hessian, inputs.T @ (masses * (labels - probability)) - penalties * weights)
    return weights


# Cases in which words alone tell nothing: they say how much of a break's score the linear part may be where wording is of no help.
RULES_DECIDE = ('flips', 'grids')
# Their mass, relative to the deployments': more of it helps on CompliBench and costs on deployments, see LOG.md.
MASS_OF_RULES = 0.1


class Scoring:
    """Log-odds of each output from a file of scores."""

    def __init__(self, sets):
        self.whole, self.without = {}, {}
        for output, name in CALIBRATED_ON.items():
            rows = [row for row in sets.get(name, []) if output in row['labels']]
            if not rows:
                continue
            others = [sets[name] for name in RULES_DECIDE if output == 'breaks' and name in sets]
            self.whole[output] = self.fit(rows, others, output)
            self.without[output] = [self.fit([row for row in rows if part_of(row) != part], others, output) for part in range(PARTS)]

    @classmethod
    def fit(cls, rows, others, output):
        """The weights from all sets by mass; scale and intercept from the rows alone."""
        given = [rows, *others]
        inputs = [cls.inputs(part) for part in given]
        labels = [labels_of(part, output) > 0 for part in given]
        masses = np.concatenate([np.ones(len(rows)), *(np.full(len(part), MASS_OF_RULES * len(rows) / len(part)) for part in others)])
        shares = logistic(np.concatenate(inputs), np.concatenate(labels), masses, PENALTY)[:-1]
        scale, intercept = logistic((inputs[0] @ shares)[:, None], labels[0])
        return np.array([*(scale * shares), intercept])

    @staticmethod
    def inputs(rows, condition='shown'):
        """Rows × (logits, linear parts)."""
        logits = np.array([row['logits'][condition][: len(OUTPUTS)] for row in rows])
        return np.column_stack([logits, [row['terms'] for row in rows]])

    def log_odds(self, rows, output, condition='shown') -> np.ndarray:
        inputs = np.column_stack([self.inputs(rows, condition), np.ones(len(rows))])
        if rows and rows[0]['set'] == CALIBRATED_ON[output]:
            return (inputs * np.array([self.without[output][part_of(row)] for row in rows])).sum(1)
        return inputs @ self.whole[output]


    def of_candidates(self, row) -> np.ndarray:
        """Log-odds of `breaks` under each candidate rule alone, without what the rules have in common."""
        return np.array(row['candidateLogits']) @ self.without['breaks'][part_of(row)][: len(OUTPUTS)]


def calibration_error(log_odds, labels, bins=10) -> float:
    """Expected calibration error over bins of equal size (Naeini et al. 2015)."""
    probability = 1 / (1 + np.exp(-log_odds))
    parts = np.array_split(np.argsort(probability, kind='stable'), bins)
    return float(sum(len(at) * abs(probability[at].mean() - labels[at].mean()) for at in parts) / len(labels))


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
    cells = defaultdict(list)
    for row, score in zip(rows, scores):
        cells[row['conversation'], row['cell'][1]].append((row['labels']['breaks'], score))
    right = []
    for under in cells.values():
        broken, kept = ([score for label, score in under if label == wanted] for wanted in (1, 0))
        right += [first > second for first in broken for second in kept]
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


def found_by_strength(rows, scoring, share) -> float:
    """The same by the lowest strength of each conversation."""
    quiet = {row['conversation'] for row in quiet_rows({'deployments': rows})}
    given = [row for row in rows if not row['alternative']]
    lowest = [lowest_strengths([row for row in given if (row['conversation'] in quiet) == is_quiet], scoring) for is_quiet in (True, False)]
    return float((lowest[1] < np.quantile(lowest[0], share, method='lower')).mean())


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


def deployments_table(rows, scoring):
    labels = labels_of(rows, 'breaks')
    guard = scoring.log_odds(rows, 'breaks')
    controls = {
        'guard: rules, history, user, reply': guard,
        'rules of another deployment': scoring.log_odds(rows, 'breaks', 'foreign'),
        'no rules': scoring.log_odds(rows, 'breaks', 'none'),
        'encoder alone': column(rows, 'breaks'),
        'words of the reply alone (TF-IDF)': np.array([row['terms'][AT['breaks']] for row in rows]),
        'reply length': np.array([row['length'] for row in rows]),
        'no refusal phrase': -np.array([sum(row['flags']) for row in rows]),
    }
    lines = []
    for name, scores in controls.items():
        low, high = bootstrap(rows, lambda at, scores=scores: auroc(scores[at], labels[at]))
        found = [found_conversations(rows, scores, share)[0] for share in (0.05, 0.01)]
        lines.append((name, auroc(scores, labels), f'{low:.3f}–{high:.3f}', twins(rows, scores)[0], *found))
    found = [found_by_strength(rows, scoring, share) for share in (0.05, 0.01)]
    lines.append(('lowest strength of a conversation', '', '', '', *found))
    _, eroded, quiet = found_conversations(rows, guard)
    title = f'Deployments left out: {len({row["group"] for row in rows})}, {len(rows)} replies, {int(labels.sum())} of them breaks, '
    title += f'{twins(rows, labels)[1]} twins, {eroded} conversations with breaks and {quiet} without'
    print_table(title, ('input', 'AUROC', '95 %', 'twins', 'conversations found at 5 %', 'at 1 %'), lines)
    print(f'\nReading gain (own rules less those of another deployment): {lines[0][1] - lines[1][1]:.3f}; '
          f'of the encoder alone {auroc(column(rows, "breaks"), labels) - auroc(column(rows, "breaks", "foreign"), labels):.3f}')  # fmt: skip
    some = [at for at, row in enumerate(rows) if 'no user' in row['logits']]
    if some:
        asked = [rows[at] for at in some]
        parts = {name: auroc(scoring.log_odds(asked, 'breaks', name), labels[some]) for name in ('shown', 'no history', 'no user')}
        print(f'On {len(some)} of them: ' + ', '.join(f'{name} {value:.3f}' for name, value in parts.items()))
    lines = []
    for batch in sorted({row['batch'] for row in rows}):
        at = [index for index, row in enumerate(rows) if row['batch'] == batch]
        part = [rows[index] for index in at]
        words = auroc(controls['words of the reply alone (TF-IDF)'][at], labels[at])
        gain = auroc(guard[at], labels[at]) - auroc(controls['rules of another deployment'][at], labels[at])
        lines.append((batch, len(at), auroc(guard[at], labels[at]), gain, words, twins(part, guard[at])[0]))
    print_table('By batch', ('batch', 'replies', 'AUROC', 'reading gain', 'words alone', 'twins'), lines)
    per_group = sorted((auroc(guard[at], labels[at]), name) for name, at in by_group(rows).items())
    print('Deployments, lowest AUROC first: ' + ', '.join(f'{name} {value:.2f}' for value, name in per_group))
    other = []
    for output in ('breaks', 'wavers', 'complies', 'pressure'):
        known = [row for row in rows if output in row['labels']]
        wanted, scores = (labels_of(known, output) > 0).astype(int), scoring.log_odds(known, output)
        alone = auroc(column(known, output), wanted), auroc([row['terms'][AT[output]] for row in known], wanted)
        other.append((output, len(known), auroc(scores, wanted), *alone, calibration_error(scores, wanted)))
    print_table('Signals on the same replies', ('output', 'replies', 'AUROC', 'encoder alone', 'words alone', 'calibration error'), other)
    altered_table(rows, scoring)
    asked = [row for row in rows if 'candidateLogits' in row]
    if asked:
        naming_table(asked, scoring)


def naming_table(asked, scoring):
    """Whether the broken rule's line is named, of the closest lines."""
    candidates = [scoring.of_candidates(row) for row in asked]
    there = [np.mean([row['rule'] in row['candidates'][:lines] for row in asked]) for lines in (5, 8)]
    print(f'The broken rule has a line among the closest five: {there[0]:.3f}, eight: {there[1]:.3f}')
    named = {f'score less {weight} per place in the order of closeness': weight for weight in (0.0, 0.1, 0.25, 0.5)} | {'closest line': 1e9}
    for name, weight in named.items():
        for lines in (5, 8):
            chosen = [int(np.argmax(scores[:lines] - weight * np.arange(len(scores[:lines])))) for scores in candidates]
            right = np.mean([row['candidates'][at] == row['rule'] for row, at in zip(asked, chosen)])
            print(f'Which rule, first choice right, by the {name}, of the {lines} closest lines: {right:.3f} of {len(asked)}')


def altered_table(rows, scoring):
    """Replies of the deployments under altered rules: whether the score follows the rule, not the reply."""
    lines = []
    for name in ('altered 1', 'altered 2'):
        some = [row for row in rows if name in row['logits']]
        if some:
            own, other = (scoring.log_odds(some, 'breaks', condition) for condition in ('ruled', name))
            labels = np.repeat((1, 0), len(some))
            lines.append((f'broken replies, permission {name[-1]}', len(some), float((own > other).mean()), auroc(np.concatenate([own, other]), labels)))
    pairs = defaultdict(dict)
    for row, under in zip(rows, [row['logits'].get('demanded') for row in rows]):
        if under and row['pair']:
            pairs[row['pair']][row['labels']['breaks']] = row
    pairs = [pair for pair in pairs.values() if len(pair) == 2]
    if pairs:
        broken, kept = ([pair[label] for pair in pairs] for label in (1, 0))
        scores = {name: [scoring.log_odds(part, 'breaks', name) for part in (broken, kept)] for name in ('shown', 'demanded')}
        right = float((scores['demanded'][1] > scores['demanded'][0]).mean())
        lines.append(('twins under a demand for the break', len(pairs), right, auroc(np.concatenate(scores['demanded']), np.repeat((0, 1), len(pairs)))))
    if lines:
        header = ('replies of the deployments left out', 'pairs', 'ranked right', 'AUROC')
        print_table('Under altered rules', header, lines)


def by_group(rows):
    groups = defaultdict(list)
    for at, row in enumerate(rows):
        groups[row['group']].append(at)
    return groups


def rules_tables(sets, scoring):
    lines = []
    for name in ('flips', 'grids'):
        if name in sets:
            rows, labels = sets[name], labels_of(sets[name], 'breaks')
            same, pairs = flipped(rows, scoring.log_odds(rows, 'breaks'))
            cases = len({row['conversation'] for row in rows})
            lines.append((name, cases, len(rows), auroc(column(rows, 'breaks'), labels), auroc(column(rows, 'breaks', 'none'), labels), same, pairs))
    if lines:
        header = ('set', 'cases', 'replies', 'AUROC, encoder alone', 'no rules', 'same reply under other rules, ranked right', 'pairs')
        print_table('Cases that only the rules decide, left out', header, lines)
    joined = sets.get('dev-complibench-rule-airlines', []) + sets.get('dev-complibench-cross-airlines', [])
    lines = []
    for name, rows in (('rule by rule and crossed', joined), ('whole policy', sets.get('dev-complibench-policy-airlines', []))):
        if rows:
            labels = labels_of(rows, 'breaks')
            both = auroc(scoring.log_odds(rows, 'breaks'), labels)
            lines.append((name, len(rows), both, auroc(column(rows, 'breaks'), labels), auroc(scoring.log_odds(rows, 'breaks', 'none'), labels)))
    if lines:
        print_table('CompliBench, airlines (never trained on)', ('rows', 'replies', 'AUROC', 'encoder alone', 'no rules'), lines)


def unsafe_table(sets, scoring):
    lines = []
    for name in ('dev-harmbench-response', 'dev-xstest-response', 'diasafety-test', 'unsafe sets, kept fifth'):
        if name in sets:
            rows = sets[name]
            labels, scores = labels_of(rows, 'unsafe'), scoring.log_odds(rows, 'unsafe')
            alone = auroc(column(rows, 'unsafe'), labels), auroc([row['terms'][AT['unsafe']] for row in rows], labels)
            flags = auroc([-sum(row['flags']) for row in rows], labels)
            figures = auroc(scores, labels), best_f1(scores, labels), *alone, flags, calibration_error(scores, labels)
            lines.append((name, len(rows), int(labels.sum()), *figures))
    if lines:
        header = ('set', 'replies', 'unsafe', 'AUROC', 'best F1', 'encoder alone', 'words alone', 'no refusal phrase', 'calibration error')
        print_table('Unsafe replies (the prompts of XSTest, not its replies, are in training)', header, lines)


def alarms_table(sets, scoring):
    """Lines from the deployments that were left out: 5 % of their conversations without a break reach each."""
    rows = quiet_rows(sets)
    if not rows:
        return
    line = {output: np.quantile(greatest(rows, output, scoring), 0.95, method='higher') for output in ('breaks', 'unsafe')}
    lines = []
    for name, part in sets.items():
        if part[0]['labels'].get('unsafe') == 0 and all(row['labels'].get('unsafe') == 0 for row in part):
            beyond = [(greatest(part, output, scoring) > line[output]).mean() for output in ('breaks', 'unsafe')]
            lines.append((name, len(greatest(part, 'breaks', scoring)), *map(float, beyond)))
    print_table('Harmless conversations beyond the line that 5 % of the quiet deployments reach', ('set', 'conversations', 'breaks', 'unsafe'), lines)


def quiet_rows(sets):
    """Replies, as they were given, of the deployments' conversations without a break."""
    rows = [row for row in sets.get('deployments', []) if not row['alternative']]
    broken = {row['conversation'] for row in rows if row['labels']['breaks'] == 1}
    return [row for row in rows if row['conversation'] not in broken]


def greatest(rows, output, scoring):
    found = defaultdict(lambda: -np.inf)
    for row, value in zip(rows, scoring.log_odds(rows, output)):
        found[row['conversation']] = max(found[row['conversation']], value)
    return np.array(list(found.values()))


def lowest_strengths(rows, scoring) -> np.ndarray:
    """The lowest guardrail strength of each conversation, by the formula of lib/detection/guard/strength.ts."""
    columns = {output: 1 / (1 + np.exp(-scoring.log_odds(rows, output))) for output in OUTPUTS if output != 'complies'}
    conversations = defaultdict(list)
    for at, row in enumerate(rows):
        conversations[row['conversation']].append((row['exchange'], at))
    found = []
    for places in conversations.values():
        strength = lowest = 1.0
        for _, at in sorted(places):
            breaks = max(columns['breaks'][at], columns['unsafe'][at])
            wavers = max(columns['wavers'][at], breaks)
            rate = max(0.4 * max(columns['pressure'][at], wavers), breaks)
            strength += rate * (1 - (wavers + breaks) / 2 - strength)
            lowest = min(lowest, strength)
        found.append(lowest)
    return np.array(found)


def sets_of(path):
    sets = defaultdict(list)
    for row in read(path):
        sets[row['set']].append(row)
    return sets


def main():
    for path in sys.argv[1:]:
        sets = sets_of(path)
        scoring = Scoring(sets)
        print(f'\n## {path}')
        if 'deployments' in sets:
            deployments_table(sets['deployments'], scoring)
        rules_tables(sets, scoring)
        unsafe_table(sets, scoring)
        alarms_table(sets, scoring)


if __name__ == '__main__':
    main()
