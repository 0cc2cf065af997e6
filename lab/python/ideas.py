#!/usr/bin/env python3
"""Compares ideas for the head: each is fitted without one set and measured on it, and its alarms on benign conversations are counted.

    node --import tsx lab/export-rows.ts build/vectors build/lab/rows.jsonl
    python3 -m venv build/lab/venv && build/lab/venv/bin/pip install numpy
    build/lab/venv/bin/python lab/python/ideas.py [A PART OF AN IDEA'S NAME]

Prints a row of a Markdown table an idea: AUROC on each set left out, their mean, AUROC on jailbreakbench's replies without a refusal in
their opening, and the shares of conversations that reach the lines set at 1 % and 5 % on the kept-aside mt-bench-101: of sgd-test, and of
one half of the kept-aside ones at the lines of the other half. What is chosen here is trained anew by `gabion detector train`.
"""

import json
import re
import sys
from dataclasses import dataclass, field

import numpy as np
from measures import auroc, highest, line_at

ROWS = 'build/lab/rows.jsonl'
WIDTH = 384
ROOT = np.sqrt(WIDTH)
LEFT_OUT = ('jailbreakbench', 'xstest', 'hh-rlhf-harmless')
MASSES = {
    'jailbreakbench': (0.5, 0.5), 'xstest': (0.5, 0.5), 'hh-rlhf-harmless': (0.35, 0.65), 'templates': (1.0, 1.0), 'mt-bench-101': (0.0, 1.0),
}  # fmt: skip
LIST = re.compile(r'^\s*(?:\d+[.)]|step \d+|[-*•])\s', re.I | re.M)
ASSENT = re.compile(r"^\W*(?:sure|of course|certainly|absolutely|yes|here(?:'s| is| are)|step 1|title)\b", re.I)


@dataclass
class Idea:
    name: str
    c: float = 1e-3
    user: bool = True
    flag_freedom: float = 17
    product: float = 1.0
    pairs: float = 0.0
    cosine: bool = False
    flags: tuple = ()
    flag_weight: float = 4
    topic_unless_refused: bool = False
    group_even: bool = False
    pooling: str = 'maximum'
    masses: dict = field(default_factory=lambda: MASSES)


SHIPPED = {'c': 4e-4, 'product': 0.5, 'pairs': 0.3}
IDEAS = [
    Idea('reference'),
    Idea('C = 5e-4', c=5e-4),
    Idea('C = 3e-3', c=3e-3),
    Idea('product block at half scale', product=0.5),
    Idea('product block at double scale', product=2),
    Idea('half product + cosine of user and reply', product=0.5, cosine=True),
    Idea('half product, C = 5e-4', product=0.5, c=5e-4),
    Idea('the same + list flag', product=0.5, c=5e-4, flags=('list',)),
    Idea('the same + assent flag', product=0.5, c=5e-4, flags=('assent',)),
    Idea('the same + list and assent flags', product=0.5, c=5e-4, flags=('list', 'assent')),
    Idea('the same, topic counts unless refused (two factors)', product=0.5, c=5e-4, topic_unless_refused=True),
    Idea('the same, every group weighs the same', product=0.5, c=5e-4, group_even=True),
    Idea('the same, mass of hh-rlhf doubled', product=0.5, c=5e-4, masses={**MASSES, 'hh-rlhf-harmless': (0.7, 1.3)}),
    Idea('the same, mass of the templates halved', product=0.5, c=5e-4, masses={**MASSES, 'templates': (0.5, 0.5)}),
    Idea('the same, mass of mt-bench-101 doubled', product=0.5, c=5e-4, masses={**MASSES, 'mt-bench-101': (0.0, 2.0)}),
    Idea('comparisons within groups, share 0.3', pairs=0.3),
    Idea('comparisons, half product, C = 5e-4, share 0.1', product=0.5, c=5e-4, pairs=0.1),
    Idea('comparisons, half product, C = 5e-4, share 0.6', product=0.5, c=5e-4, pairs=0.6),
    Idea('comparisons, half product, C = 4e-4, share 0.3 (shipped)', **SHIPPED),
    Idea('shipped + list and assent flags', **SHIPPED, flags=('list', 'assent'), flag_weight=1),
    Idea('shipped, mean vector of a long reply', **SHIPPED, pooling='mean'),
    Idea('shipped, first window of a long reply', **SHIPPED, pooling='first'),
    Idea('shipped, soft maximum over windows', **SHIPPED, pooling='soft'),
    Idea('noUser, reference', user=False, flag_freedom=101),
    Idea('noUser, shipped', user=False, flag_freedom=101, **SHIPPED),
]


class Rows:
    """All exchanges as arrays."""

    def __init__(self):
        self.fields = [json.loads(line) for line in open(ROWS)]
        vectors = np.fromfile(ROWS.replace('.jsonl', '.f32'), '<f4').reshape(-1, WIDTH).astype(np.float64)
        at = np.cumsum([0] + [1 + row['windows'] for row in self.fields])
        self.user = vectors[at[:-1]]
        self.windows = [vectors[first + 1 : last] for first, last in zip(at, at[1:])]
        mean = np.array([windows.mean(0) if len(windows) else np.zeros(WIDTH) for windows in self.windows])
        self.reply = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)
        self.part = np.array([row['part'] for row in self.fields])
        self.set = np.array([row['set'] for row in self.fields])
        self.group = np.array([row['group'] for row in self.fields])
        self.unsafe = np.array([row['label'] == 'unsafe' for row in self.fields], float)
        self.refused = np.array([[row['flags']['opening'], row['flags']['anywhere']] for row in self.fields], float)
        texts = [row['reply'].replace('\u2019', "'") for row in self.fields]
        self.flags = {
            'list': np.array([[LIST.search(text) is not None] for text in texts], float),
            'assent': np.array([[ASSENT.search(text[:60]) is not None] for text in texts], float),
        }
        self.owner = np.repeat(np.arange(len(self.fields)), [max(1, len(windows)) for windows in self.windows])
        self.every = np.concatenate([windows if len(windows) else np.zeros((1, WIDTH)) for windows in self.windows])


def columns(rows, members, replies, idea, center):
    """Blocks of features, each with what its deviations are divided by."""
    zr, zu = ROOT * (replies - center), ROOT * (rows.user[members] - center)
    blocks = [(zr, 1.0)] + ([(zu, 1.0)] if idea.user else []) + [(zr * zu, idea.product)]
    single = [(rows.refused[members], np.sqrt(idea.flag_freedom))]
    if idea.cosine:
        single.append(((replies * rows.user[members]).sum(1, keepdims=True), 1.0))
    single += [(rows.flags[name][members], np.sqrt(idea.flag_weight)) for name in idea.flags]
    if idea.topic_unless_refused:
        single.append((zu * rows.refused[members][:, :1], 1.0))
    return blocks, single


def row_weights(rows, members, idea):
    weights = np.zeros(len(members))
    for name, masses in idea.masses.items():
        for unsafe, mass in zip((1, 0), masses):
            chosen = (rows.set[members] == name) & (rows.unsafe[members] == unsafe)
            if not chosen.any():
                continue
            if idea.group_even:
                _, inverse, counts = np.unique(rows.group[members][chosen], return_inverse=True, return_counts=True)
                weights[chosen] = mass / len(counts) / counts[inverse]
            else:
                weights[chosen] = mass / chosen.sum()
    return weights / weights.mean()


def comparisons(rows, members, share):
    """Unsafe and safe rows of one group, at most 60 a group and 4,000 a set, with their weights."""
    dice = np.random.default_rng(0)
    found = []
    for name in LEFT_OUT:
        pairs = []
        inside = np.flatnonzero(rows.set[members] == name)
        by_group = {}
        for index in inside:
            by_group.setdefault(rows.group[members[index]], ([], []))[int(rows.unsafe[members[index]])].append(index)
        for safe, unsafe in by_group.values():
            every = [(high, low) for high in unsafe for low in safe]
            pairs += [every[i] for i in dice.choice(len(every), 60, replace=False)] if len(every) > 60 else every
        if len(pairs) > 4000:
            pairs = [pairs[i] for i in dice.choice(len(pairs), 4000, replace=False)]
        found += [(high, low, share * len(members) / len(pairs)) for high, low in pairs]
    return found


def fit(rows, members, idea):
    """Newton's method; returns a function that scores rows as at run time."""
    center = np.concatenate([rows.user[members], rows.reply[members]]).mean(0)
    means, scales, parts = [], [], []
    blocks, single = columns(rows, members, rows.reply[members], idea, center)
    for (values, factor), floored in [(b, True) for b in blocks] + [(s, False) for s in single]:
        deviation = values.std(0)
        deviation = np.maximum(deviation, 0.2 * np.median(deviation)) if floored else np.where(deviation == 0, 1, deviation)
        means.append(values.mean(0))
        scales.append(deviation / factor)
        parts.append(((values - means[-1]) / scales[-1]).astype(np.float32))
    features = np.hstack([*parts, np.ones((len(members), 1), np.float32)])
    target, weights = rows.unsafe[members], row_weights(rows, members, idea)
    if idea.pairs > 0:
        high, low, weight = (np.array(column) for column in zip(*comparisons(rows, members, idea.pairs)))
        features = np.vstack([features, features[high.astype(int)] - features[low.astype(int)]])
        target, weights = np.append(target, np.ones(len(high))), np.append(weights, weight)
    penalty = np.append(np.full(features.shape[1] - 1, 1 / idea.c), 0)
    point = np.zeros(features.shape[1])
    for _ in range(15):
        chance = 1 / (1 + np.exp(-(features @ point.astype(np.float32)).astype(float)))
        gradient = features.T @ (weights * (chance - target)).astype(np.float32) + penalty * point
        if np.abs(gradient).max() < 1e-2:
            break
        bent = features * np.sqrt(weights * chance * (1 - chance)).astype(np.float32)[:, None]
        curvature = (bent.T @ bent).astype(float)
        curvature[np.diag_indices_from(curvature)] += penalty + 1e-9
        point -= np.linalg.solve(curvature, gradient.astype(float))
    mean, scale = np.concatenate(means), np.concatenate(scales)

    def logits(chosen, replies):
        blocks, single = columns(rows, chosen, replies, idea, center)
        return ((np.hstack([values for values, _ in blocks + single]) - mean) / scale) @ point[:-1] + point[-1]

    def score(chosen):
        if idea.pooling == 'mean':
            return logits(chosen, rows.reply[chosen])
        inside = np.isin(rows.owner, chosen)
        owner, found = rows.owner[inside], logits(rows.owner[inside], rows.every[inside])
        if idea.pooling == 'first':
            return found[np.searchsorted(owner, chosen)]
        if idea.pooling == 'soft':
            total, count = np.zeros(len(rows.fields)), np.zeros(len(rows.fields))
            np.add.at(total, owner, np.exp(found))
            np.add.at(count, owner, 1)
            return np.log(total[chosen] / count[chosen])
        most = np.full(len(rows.fields), -np.inf)
        np.maximum.at(most, owner, found)
        return most[chosen]

    return score


def measure(rows, idea):
    training = np.flatnonzero(rows.part == 'training')
    benign = np.flatnonzero(rows.part == 'keptAside')
    areas, open_area = [], 0.0
    for name in LEFT_OUT:
        score = fit(rows, training[rows.set[training] != name], idea)
        tested = training[rows.set[training] == name]
        values = score(tested)
        areas.append(auroc(values, rows.unsafe[tested]))
        if name == 'jailbreakbench':
            unrefused = rows.refused[tested][:, 0] == 0
            open_area = auroc(values[unrefused], rows.unsafe[tested][unrefused])
    score = fit(rows, training, idea)
    tested = np.flatnonzero(rows.set == 'diasafety-test')
    areas.append(auroc(score(tested), rows.unsafe[tested]))
    maxima = {}
    for name, chosen in (('kept', benign), ('sgd', np.flatnonzero(rows.set == 'sgd-test'))):
        maxima[name] = highest([rows.fields[i]['conversation'] for i in chosen], score(chosen))
    dealt = np.random.default_rng(0).permutation(len(maxima['kept']))
    halves = [maxima['kept'][half] for half in (dealt[: len(dealt) // 2], dealt[len(dealt) // 2 :])]
    share = lambda values, line: 100 * float((values > line).mean())  # noqa: E731
    sgd = [share(maxima['sgd'], line_at(maxima['kept'], budget)) for budget in (0.01, 0.05)]
    kept = [np.mean([share(a, line_at(b, budget)) for a, b in (halves, halves[::-1])]) for budget in (0.01, 0.05)]
    cells = [f'{area:.4f}' for area in areas] + [f'{np.mean(areas):.4f}', f'{open_area:.3f}']
    cells += [f'{a:.1f} / {b:.1f} %' for a, b in (sgd, kept)]
    print(f'| {idea.name} | {" | ".join(cells)} |', flush=True)


def main():
    rows = Rows()
    print('| idea | jailbreakbench | xstest | hh-rlhf | diasafety | mean | jailbreakbench, not refused | sgd-test at 1 / 5 % | kept aside |')
    print('|' + ' --- |' * 9)
    for idea in IDEAS:
        if len(sys.argv) < 2 or sys.argv[1] in idea.name:
            measure(rows, idea)


main()
