#!/usr/bin/env python3
"""Scores everything that a run did not train on, and writes the scores reply by reply: lab/guard/scores/NAME.jsonl.gz.

    build/golden/bin/python lab/guard/evaluate.py --fold 1
    build/golden/bin/python lab/guard/tables.py lab/guard/scores/guard-1.jsonl.gz

A line is one reply: its place, its labels, the five logits under each condition, and the linear part. Tables are made from these files alone.
"""

import argparse
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from model import SHOWN_LINES, Guard, load_runs, logits, no_rules
from ranking import Ranker, texts_of
from records import OUTPUTS, prompt_lines
from segments import Budgets, Encoding
from sources import FOLDS, MEASURED_RULES, MEASURED_SAFE, MEASURED_UNSAFE, UNSAFE_SETS, batches, is_kept_for_alarms, is_left_out, position, prepare
from train import ROOT, AlteredRules, linear_part, training_records, with_altered

BUDGETS = Budgets()
SHARE_OF_CONTROLS = 0.4  # of the conversations, for controls that need passes of their own
SHARE_OF_GRIDS = 0.4  # of those left out, which have thousands of cells
NAMED_LINES = 8  # the closest lines of which the guard names the broken rule's


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fold', choices=list(FOLDS), default='1')
    parser.add_argument('--run', nargs='+', help='FILE or FILE=SHARE, whose mean is taken; default: WORK/guard-FOLD.pt')
    parser.add_argument('--name', help='of the file of scores; default: that of the first run')
    parser.add_argument('--encoder', type=Path, default=ROOT / 'build/cache/all-MiniLM-L6-v2')
    parser.add_argument('--data', type=Path, default=ROOT / 'data')
    parser.add_argument('--work', type=Path, default=ROOT / 'build/guard')
    parser.add_argument('--gabion', default=f'node {ROOT}/dist/cli/main.js')
    parser.add_argument('--out', type=Path, default=ROOT / 'lab/guard/scores')
    parser.add_argument('--sets', nargs='*', default=['deployments', 'flips', 'grids', 'rules', 'unsafe', 'safe'])
    return parser.parse_args()


class Scores:
    """Collects one row per reply; adds the logits of each condition, and the linear part."""

    def __init__(self, guard, terms, batch_of):
        self.guard, self.terms, self.batch_of = guard, terms, batch_of
        self.rows = []

    def add(self, group: str, records, conditions):
        """`conditions`: name → arguments of `logits`."""
        rows = [
            {
                'set': group,
                'source': record.source,
                'group': record.group,
                'batch': self.batch_of.get(record.group),
                'conversation': record.conversation,
                'exchange': record.exchange,
                'alternative': record.is_alternative,
                'kind': record.kind,
                'cell': record.cell,
                'pair': '/'.join(map(str, record.pair)) if record.pair else None,
                'rule': record.rule,
                'labels': {name: value for name, value in record.labels.items() if value == value},
                'length': len(record.reply),
                'flags': record.flags,
                'logits': {},
                'terms': [0.0] * len(OUTPUTS),
            }
            for record in records
        ]
        for output, values in self.terms.scores(records).items():
            for row, value in zip(rows, values):
                row['terms'][OUTPUTS.index(output)] = round(float(value), 4)
        for name, given in conditions.items():
            for row, values in zip(rows, logits(self.guard, records, BUDGETS, **given)):
                row['logits'][name] = [round(float(value), 4) for value in values]
            print(f'{group}, {name}: {len(rows)} replies', flush=True)
        self.rows += rows
        return rows

    def add_controls(self, rows, records):
        """Without the history, where records have one, and without the message, on a share of the conversations."""
        some = [at for at, record in enumerate(records) if position(record.conversation) < SHARE_OF_CONTROLS]
        conditions = {'no history': {'has_history': False}, 'no user': {'has_user': False}}
        if not any(len(record.history) for record in records):
            del conditions['no history']
        for name, given in conditions.items():
            for at, values in zip(some, logits(self.guard, [records[at] for at in some], BUDGETS, **given)):
                rows[at]['logits'][name] = [round(float(value), 4) for value in values]
            print(f'{rows[0]["set"]}, {name}: {len(some)} replies', flush=True)

    def save(self, target: Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        text = ''.join(json.dumps(row, separators=(',', ':')) + '\n' for row in self.rows)
        with open(target, 'wb') as raw, gzip.GzipFile('', 'wb', fileobj=raw, mtime=0) as file:
            file.write(text.encode())
        print(f'{target}: {len(self.rows)} replies')


def foreign_rules(encoding, ranker, data, names):
    """The closest five lines of the next deployment's prompt, in the order of names."""
    lines = {name: prompt_lines(json.loads((data / 'deployments' / f'{name}.json').read_text('utf-8'))['system']) for name in names}
    following = dict(zip(names, [*names[1:], names[0]]))

    def rules(record, budgets):
        other = lines[following[record.group]]
        order = ranker.order(other, record.texts[0], record.text)[:SHOWN_LINES]
        return np.concatenate([encoding.ids(other[at]) for at in order])[: budgets.rules]

    return rules


def altered_rules(scores, rows, records, altered):
    """Scores broken replies under the closest five rules of their deployment, as they are and with the broken one altered so that they keep it;
    of twins whose broken reply an altered rule demands, both under that rule."""
    shown = {}
    for at, record in enumerate(records):
        order = list(record.rule_order[:SHOWN_LINES])
        if record.rule is not None and record.rule not in order:
            order[min(2, len(order) - 1)] = record.rule
        shown[at] = order
    kept = {record.pair: at for at, record in enumerate(records) if record.pair and record.label('wavers') == 0}

    def score(name, given):
        """`given`: row → token ids of its rules."""
        some = sorted(given)
        rules = {id(records[at]): given[at] for at in some}
        found = logits(scores.guard, [records[at] for at in some], BUDGETS, rules=lambda record, budgets: rules[id(record)][: budgets.rules])
        for at, values in zip(some, found):
            rows[at]['logits'][name] = [round(float(value), 4) for value in values]
        print(f'{name}: {len(some)} replies', flush=True)

    broken = {at: record for at, record in enumerate(records) if record.label('breaks') == 1 and record.rule is not None}
    permits = {at: altered.permitting(record) for at, record in broken.items()}
    score('ruled', {at: np.concatenate([broken[at].rules[one] for one in shown[at]]) for at, found in permits.items() if found})
    for number in range(2):
        given = {at: found[number] for at, found in permits.items() if number < len(found)}
        score(f'altered {number + 1}', {at: np.concatenate(with_altered(broken[at], ids, shown[at])) for at, ids in given.items()})
    demanded = {}
    for at, record in broken.items():
        for ids in altered.demanding(record):
            if record.pair in kept:
                demanded[at] = demanded[kept[record.pair]] = np.concatenate(with_altered(record, ids, shown[at]))
    score('demanded', demanded)


def name_rules(scores, rows, records, ranker, data):
    """Scores each of the closest lines alone; the guard's choice is right if the line's closest rule is the broken one."""
    written = {}
    for row, record in zip(rows, records):
        if record.group not in written:
            written[record.group] = json.loads((data / 'deployments' / f'{record.group}.json').read_text('utf-8'))
    broken = [(row, record) for row, record in zip(rows, records) if record.label('breaks') == 1 and record.rule is not None]
    alone = []
    for at in range(NAMED_LINES):

        def one(record, budgets, at=at):
            return record.lines[record.line_order[min(at, len(record.lines) - 1)]][: budgets.rules]

        alone.append(logits(scores.guard, [record for _, record in broken], BUDGETS, rules=one))
    for (row, record), values in zip(broken, np.stack(alone, 1)):
        lines = prompt_lines(written[record.group]['system'])
        rules = [rule['text'] for rule in written[record.group]['rules']]
        shown = record.line_order[:NAMED_LINES]
        row['candidates'] = [ranker.closest(lines[at], rules) for at in shown]
        row['candidateLogits'] = [[round(float(value), 4) for value in one] for one in values[: len(shown)]]


def main():
    options = arguments()
    sources = prepare(options.encoder, options.data, options.gabion.split(), options.work)
    fold, batch_of = FOLDS[options.fold], batches(options.data)
    guard = Guard(options.encoder)
    runs = options.run or [options.work / f'guard-{options.fold}.pt']
    guard.load_state_dict(load_runs(runs)[0])
    split = defaultdict(lambda: ([], []))
    for source, records in sources.items():
        for record in records:
            split[source][is_left_out(record, fold, batch_of)].append(record)
    terms = linear_part(training_records(sources, fold, batch_of), options.work)[1]
    scores, encoding = Scores(guard, terms, batch_of), Encoding(options.encoder)
    if 'deployments' in options.sets and split['deployments'][1]:
        tested, names = split['deployments'][1], sorted(batch_of)
        ranker = Ranker(options.gabion.split(), texts_of(options.data / 'deployments', names, prompt_lines), options.work)
        foreign = foreign_rules(encoding, ranker, options.data, sorted({record.group for record in tested}))
        conditions = {'shown': {}, 'foreign': {'rules': foreign}, 'none': {'rules': no_rules}}
        rows = scores.add('deployments', tested, conditions)
        name_rules(scores, rows, tested, ranker, options.data)
        altered_rules(scores, rows, tested, AlteredRules(encoding, options.data))
        scores.add_controls(rows, tested)
    for name, share in {'flips': 1.0, 'grids': SHARE_OF_GRIDS}.items():
        tested = [record for record in split[name][1] if position(record.conversation) < share]
        if name in options.sets and tested:
            scores.add_controls(scores.add(name, tested, {'shown': {}, 'none': {'rules': no_rules}}), tested)
    if 'rules' in options.sets:
        for name in MEASURED_RULES:
            scores.add_controls(scores.add(name, sources[name], {'shown': {}, 'none': {'rules': no_rules}}), sources[name])
    if 'unsafe' in options.sets:
        for name in MEASURED_UNSAFE:
            scores.add_controls(scores.add(name, sources[name], {'shown': {}}), sources[name])
        kept = [record for source in UNSAFE_SETS for record in split[source][1] if not is_kept_for_alarms(record)]
        scores.add_controls(scores.add('unsafe sets, kept fifth', kept, {'shown': {}}), kept)
    if 'safe' in options.sets:
        for name in MEASURED_SAFE:
            scores.add(name, sources[name], {'shown': {}})
        for name in UNSAFE_SETS:
            kept = [record for record in sources[name] if is_kept_for_alarms(record)]
            if kept:
                scores.add(f'{name}, kept part', kept, {'shown': {}})
    name = options.name or Path(str(runs[0]).partition('=')[0]).stem
    scores.save(options.out / f'{name}.jsonl.gz')


if __name__ == '__main__':
    main()
