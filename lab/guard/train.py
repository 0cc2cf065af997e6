#!/usr/bin/env python3
"""Trains the guard and saves it as WORK/guard-FOLD.pt; an interrupted run resumes.

    npm run setup -- --for test                      # build/golden has PyTorch, build/cache the encoder's checkpoint
    npm run build:ts
    build/golden/bin/python lab/guard/train.py --fold 1 --stage reading --lr 2e-4 --steps 650 --name reading
    build/golden/bin/python lab/guard/train.py --fold 1 --init build/guard/reading.pt --steps 2050
    build/golden/bin/python lab/guard/train.py --fold 1 --quick

The first stage learns to read a rule from short rows, the second one everything.
`--fold all` trains on everything that may be trained on: nothing of its own data can measure it.
"""

import argparse
import hashlib
import json
import pickle
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from model import Guard, combined, load_runs, logits, no_rules
from records import NAN, OUTPUTS, lines_of
from segments import Budgets, Encoding, assemble, collate
from sources import FOLDS, RULE_SETS, UNSAFE_SETS, batches, is_left_out, position, prepare
from tables import auroc, flipped, twins
from terms import offsets

ROOT = Path(__file__).resolve().parents[2]
BUDGETS = Budgets()
LOSS_WEIGHTS = torch.tensor([{'unsafe': 1.0, 'breaks': 1.0, 'wavers': 0.5, 'complies': 0.3, 'pressure': 0.3}[name] for name in OUTPUTS])
RANK_WEIGHT, SMOOTHING = 0.5, 0.05
# Shares of the kinds of data of the two stages: first rules are learned from short rows, then deployments count most.
SHARES = {
    'reading': {'grids': 0.15, 'flips': 0.2, 'rules': 0.65},
    'all': {'deployments': 0.6, 'grids': 0.1, 'flips': 0.12, 'rules': 0.05, 'unsafe': 0.13},
}
# Of the breaking replies drawn, the shares that are shown again: next to rules that they keep; next to the broken rule alone and to two of the
# closest others alone; with their twins, under a rule that demands what they do. Of the replies with a label under a new rule, those under it.
CONTRASTED, NAMED, REVERSED, INVENTED = 0.45, 0.15, 0.35, 0.5
ALTERED = 0.7  # of the contrasts have an altered rule in the place of the broken one, if there is one
AVERAGED, AVERAGED_EVERY = 0.2, 5  # the last part of the steps whose weights are averaged, every few steps
POOL = 6  # batches drawn together and sorted by length
ROW = 220  # tokens; a batch holds as many rows as have the area of --batch such rows
FOREIGN = 0.5  # of the rows with a single rule get rules of other rows next to it
BREAKS = OUTPUTS.index('breaks')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--fold', choices=list(FOLDS), default='1')
    encoder = 'config.json, model.safetensors, tokenizer.json of a BERT, MPNet, RoBERTa, XLM-R or DistilBERT'
    parser.add_argument('--encoder', type=Path, default=ROOT / 'build/cache/all-MiniLM-L6-v2', help=encoder)
    parser.add_argument('--data', type=Path, default=ROOT / 'data')
    parser.add_argument('--work', type=Path, default=ROOT / 'build/guard')
    parser.add_argument('--gabion', default=f'node {ROOT}/dist/cli/main.js', help='the command that ranks rules')
    parser.add_argument('--steps', type=int, default=1500)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--lr', type=float, default=1.5e-4, help='of the top layer')
    parser.add_argument('--decay', type=float, default=0.8, help='of the learning rate, per layer downwards')
    parser.add_argument('--head-lr', type=float, default=2e-3)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--init', type=Path, help='a trained guard to begin with (NAME.pt)')
    parser.add_argument('--measure', type=int, default=0, help='scores what the fold leaves out every so many steps, into NAME.curve.jsonl')
    parser.add_argument('--stage', choices=list(SHARES), default='all', help='reading: short rows of rules only')
    parser.add_argument('--blocks', action='store_true', help='the context does not see the reply; the product cannot run such a guard')
    parser.add_argument('--name', help='of the result, instead of the fold')
    parser.add_argument('--quick', action='store_true', help='a tenth of the steps')
    return parser.parse_args()


def kind_of(source: str) -> str:
    return source if source in ('deployments', 'flips', 'grids') else 'rules' if source.startswith('rules/') else 'unsafe'


def is_trained(source: str) -> bool:
    return source in ('deployments', 'flips', 'grids', *UNSAFE_SETS) or source.startswith('rules/')


def training_records(sources, fold, batch_of) -> list:
    return [one for source, rows in sources.items() if is_trained(source) for one in rows if not is_left_out(one, fold, batch_of)]


def masses(source: str) -> tuple[float, float]:
    if source.startswith('rules/'):
        mass = RULE_SETS[source.removeprefix('rules/')][0]
        return mass / 2, mass / 2
    return UNSAFE_SETS.get(source, (1.0, 1.0))


class Sampler:
    """Draws records: a kind by its share, a source and label by mass, a group by the root of its size, then a row."""

    def __init__(self, records, shares):
        by_class, total = {}, {}
        for record in records:
            output = 'unsafe' if kind_of(record.source) == 'unsafe' else 'breaks'
            key = (record.source, int(record.label(output)))
            by_class.setdefault(key, {}).setdefault(record.group, []).append(record)
        for source, label in by_class:
            total[kind_of(source)] = total.get(kind_of(source), 0) + masses(source)[label]
        self.rows, weights = [], []
        for (source, label), groups in by_class.items():
            roots = sum(len(rows) ** 0.5 for rows in groups.values())
            mass = masses(source)[label] / total[kind_of(source)] * shares.get(kind_of(source), 0)
            for rows in groups.values():
                self.rows += rows
                weights += [mass * len(rows) ** 0.5 / roots / len(rows)] * len(rows)
        self.cumulative = np.cumsum(weights)
        self.shortness = 1 if 'deployments' in shares else 4  # rows of rules alone are short: more of them fill a batch

    def draw(self, rng, count):
        at = np.searchsorted(self.cumulative, rng.random(count) * self.cumulative[-1])
        return [self.rows[min(index, len(self.rows) - 1)] for index in at]


class AlteredRules:
    """Rules that a deployment does not have (data/altered/README.md). Some could stand in the place of one of its own: breaking replies keep
    them, or do what they demand. Others are new, and replies that keep all of the deployment's own rules break them."""

    def __init__(self, encoding, data: Path):
        self.permits, self.demands, self.new = {}, {}, {}
        of_rule = {}
        for file in sorted((data / 'altered').glob('new-*.jsonl')):
            for row in lines_of(file):
                ids = encoding.ids(row['text'])
                for label, names in ((1.0, row['breaks']), (0.0, row['keeps'])):
                    for name in names:
                        self.new.setdefault((row['deployment'], name), []).append((ids, label, row['breaks'] + row['keeps']))
        for file in sorted((data / 'altered').glob('altered-*.jsonl')):
            for row in lines_of(file):
                if row['deployment'] not in of_rule:
                    rules = json.loads((data / 'deployments' / f'{row["deployment"]}.json').read_text('utf-8'))['rules']
                    of_rule[row['deployment']] = {rule['id']: at for at, rule in enumerate(rules)}
                key = row['deployment'], of_rule[row['deployment']][row['rule']]
                self.permits[key] = [(encoding.ids(text), set(ids)) for text, ids in zip(row['permits'], row['except']['permits'])]
                if row['demand']:
                    self.demands[key] = encoding.ids(row['demand']), set(row['except']['demand'])

    @staticmethod
    def name_of(record) -> str:
        return f'{record.conversation}/{record.exchange + 1}'

    def permitting(self, record) -> list:
        """Token ids of the rules under which a breaking reply is fine."""
        return [ids for ids, excluded in self.permits.get((record.group, record.rule), ()) if self.name_of(record) not in excluded]

    def invented(self, record) -> list:
        """New rules that are labeled for a reply: token ids, label, and names of all replies with a label under it."""
        return self.new.get((record.group, self.name_of(record) + 'a' * record.is_alternative), [])

    def demanding(self, record) -> list:
        """Token ids of the rule that a breaking reply fulfils and its twin does not; none or one."""
        ids, excluded = self.demands.get((record.group, record.rule), (None, ()))
        return [] if ids is None or self.name_of(record) in excluded else [ids]


def with_altered(record, ids, shown) -> list:
    """Rules at the indices shown, with an altered one in the place of the broken one."""
    return [ids if at == record.rule else record.rules[at] for at in shown]


class Views:
    """Augmented inputs of a record, with the labels that hold for what is shown."""

    def __init__(self, records, of_terms, encoding, altered, rng):
        self.rng, self.altered, self.ends = rng, altered, encoding.ends
        self.named = {
            (record.group, altered.name_of(record) + 'a' * record.is_alternative): record
            for record in records
            if record.source == 'deployments'
        }
        self.offsets = {id(record): offset for record, offset in zip(records, of_terms)}
        self.foreign = [record for record in records if record.source == 'deployments']
        self.single = {}
        for record in records:
            if record.kind == 'rules' and len(record.rules) == 1:
                self.single.setdefault(record.source, []).append(record)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def other_rules(self, record, focus):
        """Rules that the reply does not break: its own without the one in question, or another deployment's."""
        if focus is not None and self.chance(0.5):
            kept = [at for at in self.rng.permutation(len(record.rules)) if at != focus][: int(self.rng.integers(1, 6))]
            return np.concatenate([record.rules[at] for at in kept])
        other = record
        while other.group == record.group:
            other = self.foreign[int(self.rng.integers(len(self.foreign)))]
        return np.concatenate([other.lines[at] for at in self.rng.permutation(len(other.lines))[:5]])

    def altered_rules(self, record, ids):
        """The closest rules, with an altered one in the place of the broken one, or the altered one alone."""
        shown = [record.rule] if self.chance(0.2) else list(record.rule_order[: int(self.rng.integers(2, 7))])
        if record.rule not in shown:
            shown[min(2, len(shown) - 1)] = record.rule
        if self.chance(0.3):
            shown = list(self.rng.permutation(shown))
        return np.concatenate(with_altered(record, ids, shown))

    def contrast(self, record):
        """Rules next to which a breaking reply is fine."""
        permitting = self.altered.permitting(record)
        if permitting and self.chance(ALTERED):
            return self.altered_rules(record, permitting[int(self.rng.integers(len(permitting)))])
        return self.other_rules(record, record.rule)

    def under_new_rule(self, record):
        """A group of views: the reply, and another one with the other label, under a new rule among their deployment's; none if there is none."""
        found = self.altered.invented(record)
        if not found or not self.chance(INVENTED):
            return []
        ids, label, names = found[int(self.rng.integers(len(found)))]
        others = [self.named[record.group, name] for name in names if (record.group, name) in self.named]
        others = [(other, value) for other in others for text, value, _ in self.altered.invented(other) if text is ids and value != label]
        if not others:
            return []
        group = []
        for member, value in ((record, label), others[int(self.rng.integers(len(others)))]):
            own = list(member.rule_order[: int(self.rng.integers(0, 5))])
            place = int(self.rng.integers(min(3, len(own)) + 1))
            rules = np.concatenate([*(member.rules[at] for at in own[:place]), ids, *(member.rules[at] for at in own[place:])])
            group.append(self.view(member, None, False, (rules, value)))
        return [group]

    def again(self, broken, members):
        """Further groups of views of a breaking reply: under single rules, and with its twin under a demand."""
        groups = []
        if broken.rule is not None and len(broken.rules) > 2 and self.chance(NAMED):
            others = [at for at in broken.rule_order if at != broken.rule][:3]
            chosen = [broken.rule, *self.rng.permutation(others)[:2]]
            groups.append([self.view(broken, None, False, (broken.rules[at], float(at == broken.rule))) for at in chosen])
        kept = [member for member in members if member.label('breaks') == 0 and member.label('wavers') == 0]
        for ids in self.altered.demanding(broken):
            if kept and self.chance(REVERSED):
                rules = self.altered_rules(broken, ids)
                groups.append([self.view(member, None, False, (rules, float(member is kept[0]))) for member in (broken, kept[0])])
        return groups

    def rules(self, record, focus, labels):
        """Token ids of the rules shown; clears `breaks` and `wavers` when the broken rule (or the twin's, `focus`) is certain to be absent."""
        rng = self.rng
        if not record.lines:
            return record.prompt
        if record.kind == 'rules':
            return np.concatenate(self.of_rule_set(record, focus, labels))
        draw = rng.random()
        if draw < 0.1:
            return record.prompt[:0]
        if draw < 0.23:  # one rule alone
            at = focus if focus is not None and self.chance(0.5) else int(rng.integers(len(record.rules)))
            if record.rule is not None and at != record.rule:
                labels['breaks'] = labels['wavers'] = 0.0
            return record.rules[at]
        if draw < 0.33:
            labels['breaks'] = labels['wavers'] = 0.0
            return self.other_rules(record, focus if focus is not None else record.rule)
        if draw < 0.42:
            return record.prompt
        of_rules = self.chance(0.5)
        items, order = (record.rules, record.rule_order) if of_rules else (record.lines, record.line_order)
        shown = list(order[: int(rng.integers(2, 7))])
        if self.chance(0.3):
            shown = list(rng.permutation(shown))
        if of_rules and focus is not None and focus not in shown and self.chance(0.7):
            shown[-1] = focus
        return np.concatenate([items[at] for at in shown])

    def of_rule_set(self, record, focus, labels):
        """All rules of a row in any order; some with the decisive one alone, or with rules of other rows next to it."""
        rng = self.rng
        if len(record.rules) > 1:
            alone = focus is not None and self.chance(0.3)
            order = rng.permutation(len(record.rules))
            return [record.rules[focus]] if alone else [record.rules[at] for at in order]
        if not self.chance(FOREIGN):
            return record.rules
        others = self.single[record.source]
        found = [others[int(at)] for at in rng.integers(len(others), size=int(rng.integers(1, 5)))]
        items = [other.rules[0] for other in found if other.group != record.group]
        place, is_shown = int(rng.integers(len(items) + 1)), not self.chance(0.12) or not items
        if not is_shown:
            labels['breaks'] = 0.0
        return [*items[:place], *(record.rules if is_shown else []), *items[place:]]

    def history(self, record):
        if record.kind == 'rules':
            return record.history
        draw = self.rng.random()
        if draw < 0.15:
            return record.history[:0]
        return record.history[-int(self.rng.integers(8, BUDGETS.history + 1)) :] if draw < 0.3 else record.history

    def reply(self, record):
        reply, flags = record.reply, record.flags
        is_plain = record.kind != 'rules' and len(reply) > 24
        if is_plain and self.chance(0.15 if record.lines else 0.4):
            length = int(self.rng.integers(24, min(len(reply), BUDGETS.reply) + 1))
            start = 0 if self.chance(0.6) or flags[0] else int(self.rng.integers(0, len(reply) - length + 1))
            reply, flags = reply[start : start + length], flags if start == 0 else (0.0, flags[1])
        return reply[: BUDGETS.reply], flags

    def view(self, record, focus, without_reply: bool, given=None):
        """Input, labels, flags and the linear part. Pressure is a property of the user's message: only inputs without the reply train it.

        `given`: token ids of rules and whether the reply breaks them; default: an augmentation of the record's own.
        """
        labels = {name: record.label(name) for name in OUTPUTS}
        offset = self.offsets[id(record)]
        if given:
            labels['breaks'] = labels['wavers'] = given[1]
        rules = (given[0] if given else self.rules(record, focus, labels))[: BUDGETS.rules]
        history = self.history(record)[-BUDGETS.history :]
        user = record.user[-BUDGETS.user :]
        if not record.lines and self.chance(0.25):
            user = user[:0]
        if without_reply:
            labels = {name: NAN for name in OUTPUTS} | {'pressure': labels['pressure']}
            return assemble(self.ends, rules, history, user, record.reply[:0]), labels, (0.0, 0.0), offset
        reply, flags = self.reply(record)
        labels['pressure'] = NAN
        return assemble(self.ends, rules, history, user, reply), labels, flags, offset


def part_of_grid(record, members, rng):
    """Two rules and two replies of a grid, the record's among them, so that both the other rule and the other reply change its label."""
    cells = {member.cell: member for member in members}
    rule, reply = record.cell
    label = record.label('breaks')
    rules = [other for other in {cell[0] for cell in cells} if cells[other + reply].label('breaks') != label]
    replies = [other for other in {cell[1] for cell in cells} if cells[rule + other].label('breaks') != label]
    rule2, reply2 = (sorted(others)[int(rng.integers(len(others)))] for others in (rules, replies))
    return [record, cells[rule + reply2], cells[rule2 + reply], cells[rule2 + reply2]]


def focus_of(members) -> int | None:
    """The rule that decides: the broken one; of sets of rules only if it stands at one place in all of them."""
    broken = [member.rule for member in members if member.label('breaks') == 1]
    if not broken or (members[0].kind == 'rules' and len(set(broken)) > 1):
        return None
    return broken[0]


def draw_batches(sampler, views, pairs, rng, size):
    """Batches of groups of views: the replies of a pair come together, under the same cuts."""
    pool = []
    for record in sampler.draw(rng, size * POOL * sampler.shortness):
        if record.source == 'deployments' and rng.random() < 0.1:
            pool.append([views.view(record, None, True)])
            continue
        members = pairs.get(record.pair, [record]) if record.pair else [record]
        if record.source == 'grids':
            members = part_of_grid(record, members, rng)
        focus = focus_of(members)
        state, group = rng.bit_generator.state, []
        for member in members:
            rng.bit_generator.state = state
            group.append(views.view(member, focus, False))
        broken = [member for member in members if member.source == 'deployments' and member.label('breaks') == 1]
        if broken and rng.random() < CONTRASTED:
            group.append(views.view(broken[0], None, False, (views.contrast(broken[0]), 0.0)))
        pool.append(group)
        pool += views.again(broken[0], members) if broken else views.under_new_rule(record) if record.source == 'deployments' else []
    width = {id(group): max(len(one[0][0]) for one in group) for group in pool}
    pool.sort(key=lambda group: width[id(group)] + rng.random() * 16)
    found, batch, area = [], [], 0
    for group in pool:
        batch.append(group)
        area = sum(map(len, batch)) * max(width[id(one)] for one in batch)
        if area >= size * ROW:
            found.append(batch)
            batch, area = [], 0
    if area >= size * ROW / 2:
        found.append(batch)
    random.Random(int(rng.integers(2**31))).shuffle(found)
    return found


def loss_of(guard, batch):
    views = [view for group in batch for view in group]
    inputs = collate([view[0] for view in views])
    with torch.autocast('cpu', torch.bfloat16):
        scores = guard(*inputs, torch.tensor([view[2] for view in views]))
    # The encoder learns what the words alone do not tell.
    scores = scores + torch.from_numpy(np.stack([view[3] for view in views]))
    labels = torch.tensor([[view[1][name] for name in OUTPUTS] for view in views])
    known = ~torch.isnan(labels)
    smoothed = torch.nan_to_num(labels) * (1 - 2 * SMOOTHING) + SMOOTHING
    loss = (F.binary_cross_entropy_with_logits(scores, smoothed, reduction='none') * known * LOSS_WEIGHTS).sum() / len(views)
    differences, first = [], 0
    for group in batch:
        broken = [first + at for at, view in enumerate(group) if view[1]['breaks'] == 1]
        kept = [first + at for at, view in enumerate(group) if view[1]['breaks'] == 0]
        differences += [scores[b, BREAKS] - scores[k, BREAKS] for b in broken for k in kept]
        first += len(group)
    return loss + RANK_WEIGHT * F.softplus(-torch.stack(differences)).mean() if differences else loss


def linear_part(records, work: Path):
    """See `terms.offsets`; kept in `work` for a run that resumes."""
    stamp = hashlib.sha256(Path(__file__).with_name('terms.py').read_bytes())
    for record in records:
        stamp.update(f'{record.source} {record.conversation} {record.exchange} {record.labels}'.encode())
    target = work / f'terms-{stamp.hexdigest()[:16]}.pkl'
    if not target.exists():
        target.write_bytes(pickle.dumps(offsets(records)))
    return pickle.loads(target.read_bytes())


def other_lines(records):
    """Lines of another deployment: of the next one in the order of names, a reply's own places of closeness taken from there."""
    lines = {record.group: record.lines for record in records}
    names = sorted(lines)
    following = dict(zip(names, [*names[1:], names[0]]))

    def rules(record, budgets):
        other = lines[following[record.group]]
        return np.concatenate([other[at] for at in record.line_order if at < len(other)][:5] or other[:5])[: budgets.rules]

    return rules


def measure(guard, tested, terms, slopes) -> dict:
    """AUROC of `breaks` (`unsafe` for unsafe sets) on what the fold leaves out, twins and flips ranked right."""
    found = {}
    for name, records in tested.items():
        output = 'unsafe' if kind_of(name) == 'unsafe' and not name.startswith('dev-complibench') else 'breaks'
        column, of_terms = OUTPUTS.index(output), terms.scores(records)[output] * slopes[OUTPUTS.index(output)]
        found_logits = logits(guard, records, BUDGETS)
        alone, scores = found_logits[:, column], combined(found_logits, of_terms, output)
        labels = [record.label(output) for record in records]
        found |= {name: auroc(scores, labels), f'{name}, encoder alone': auroc(alone, labels)}
        pairs = [{'pair': one.pair, 'conversation': one.conversation, 'cell': one.cell, 'labels': one.labels} for one in records]
        if name == 'deployments':
            found['twins'] = twins(pairs, scores)[0]
            without = logits(guard, records, BUDGETS, rules=no_rules)
            found['no rules'] = auroc(combined(without, of_terms, output), labels)
            other = other_lines(records)
            found['other rules'] = auroc(combined(logits(guard, records, BUDGETS, rules=other), of_terms, output), labels)
        if name in ('flips', 'grids'):
            found[f'{name}, same reply'] = flipped(pairs, scores)[0]
    return {name: round(value, 4) for name, value in found.items()}


def parameter_groups(guard, options):
    top = len(guard.layers) - 1
    layers = [
        {'params': list(layer.parameters()), 'lr': options.lr * options.decay ** (top - at), 'weight_decay': 0.01}
        for at, layer in enumerate(guard.layers)
    ]
    head = {'params': guard.new_parameters(), 'lr': options.head_lr, 'weight_decay': 0.01}
    # Refusal flags need a learning rate of their own to move in time.
    return [*layers, head, {'params': list(guard.flags.parameters()), 'lr': 1e-2, 'weight_decay': 0.0}]


def schedule(step: int, steps: int) -> float:
    """Warm-up over 8 % of the steps, then a cosine down to 5 %."""
    return min(1, (step + 1) / (0.08 * steps)) * (0.475 * (1 + np.cos(np.pi * step / steps)) + 0.05)


def main():
    options = arguments()
    steps = options.steps // 10 if options.quick else options.steps
    options.work.mkdir(parents=True, exist_ok=True)
    name = options.name or f'guard-{options.fold}{"-quick" if options.quick else ""}'
    target, progress = options.work / f'{name}.pt', options.work / f'{name}.progress.pt'
    sources = prepare(options.encoder, options.data, options.gabion.split(), options.work)
    fold, batch_of = FOLDS[options.fold], batches(options.data)
    records = training_records(sources, fold, batch_of)
    pairs = {}
    for record in records:
        if record.pair:
            pairs.setdefault(record.pair, []).append(record)

    of_terms, terms, slopes = linear_part(records, options.work)
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a tenth of a step, and no operation here reads such memory
    guard = Guard(options.encoder, options.blocks)
    guard.encoder.set_attn_implementation('eager')  # on CPUs its backward pass is three times as fast as the fused one's
    if options.init:
        guard.load_state_dict(load_runs([options.init])[0])
    tested = {}
    if options.measure:
        for source in ('deployments', 'flips', 'grids'):
            share = 1 / 3 if source == 'deployments' else 1
            left_out = (one for one in sources[source] if is_left_out(one, fold, batch_of))
            tested[source] = [one for one in left_out if position(one.conversation) < share]
        for source in ('dev-complibench-rule-airlines', 'dev-harmbench-response'):
            tested[source] = sorted(sources[source], key=lambda record: position(record.conversation))[:300]
    optimizer = torch.optim.AdamW(parameter_groups(guard, options), betas=(0.9, 0.98))
    rates = [group['lr'] for group in optimizer.param_groups]
    sampler = Sampler(records, SHARES[options.stage])
    encoding = Encoding(options.encoder)
    views = Views(records, of_terms, encoding, AlteredRules(encoding, options.data), rng)
    step, averaged, count, losses, spent = 0, None, 0, [], 0.0
    settings = {key: str(value) for key, value in vars(options).items() if key not in ('work', 'gabion', 'data')}
    if progress.exists():
        saved = torch.load(progress, weights_only=False)
        if saved['settings'] == settings:
            guard.load_state_dict(saved['guard'])
            optimizer.load_state_dict(saved['optimizer'])
            rng.bit_generator.state, step, spent = saved['rng'], saved['step'], saved['spent']
            torch.set_rng_state(saved['torch_rng'])
            averaged, count = saved['averaged'], saved['count']
            print(f'resumed at step {step}', flush=True)
    print(f'{name}: {len(records)} replies, {steps} steps', flush=True)
    start, last_saved = time.monotonic() - spent, step
    while step < steps:
        for batch in draw_batches(sampler, views, pairs, rng, options.batch):
            if step >= steps:
                break
            for group, rate in zip(optimizer.param_groups, rates):
                group['lr'] = rate * schedule(step, steps)
            guard.train()
            loss = loss_of(guard, batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(guard.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
            step += 1
            if step > (1 - AVERAGED) * steps and step % AVERAGED_EVERY == 0:
                state = {key: value.double() for key, value in guard.state_dict().items() if value.is_floating_point()}
                averaged = state if averaged is None else {key: averaged[key] + value for key, value in state.items()}
                count += 1
            if step % 50 == 0:
                print(f'step {step}/{steps}  loss {np.mean(losses[-50:]):.3f}  {(time.monotonic() - start) / 60:.1f} min', flush=True)
            if options.measure and (step % options.measure == 0 or step == steps):
                figures = {'step': step, 'minutes': round((time.monotonic() - start) / 60, 1)} | measure(guard, tested, terms, slopes)
                print(json.dumps(figures), flush=True)
                with open(options.work / f'{name}.curve.jsonl', 'a') as file:
                    file.write(json.dumps(figures) + '\n')
        if step - last_saved >= 150 and step < steps:
            last_saved = step
            saved = {'settings': settings, 'guard': guard.state_dict(), 'optimizer': optimizer.state_dict(), 'rng': rng.bit_generator.state}
            saved |= {'torch_rng': torch.get_rng_state(), 'step': step, 'averaged': averaged, 'count': count, 'spent': time.monotonic() - start}
            torch.save(saved, progress.with_suffix('.new'))
            progress.with_suffix('.new').replace(progress)
    mean = {key: (value / count).float() for key, value in averaged.items()}
    torch.save({'guard': guard.state_dict() | mean, 'settings': settings, 'steps': steps}, target)
    progress.unlink(missing_ok=True)
    (options.work / f'{name}.json').write_text(json.dumps(settings | {'minutes': round((time.monotonic() - start) / 60, 1)}, indent=2))
    print(f'{target}: {(time.monotonic() - start) / 60:.1f} min', flush=True)


if __name__ == '__main__':
    main()
