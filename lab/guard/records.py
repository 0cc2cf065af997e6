"""One labeled reply in its place, and the readers of each source's files. Knows no fold, mass or model."""

import gzip
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from segments import EMPTY, Encoding, refusal_flags

OUTPUTS = ('unsafe', 'breaks', 'wavers', 'complies', 'pressure')
NAN = float('nan')
# Characters kept of long texts of the public sets; the budgets in tokens are far smaller.
USER_CHARACTERS, REPLY_CHARACTERS, HISTORY_CHARACTERS, RULE_CHARACTERS = 4000, 12000, 1200, 6000


@dataclass
class Record:
    """`group` is never split between training and test. Labels are 0, 1 (pressure also ½) or NaN."""

    source: str
    group: str
    conversation: str
    user: np.ndarray
    reply: np.ndarray
    text: str
    flags: tuple[float, float]
    history: np.ndarray = field(default_factory=lambda: EMPTY)
    labels: dict = field(default_factory=dict)
    kind: str = ''
    exchange: int = 0
    is_alternative: bool = False
    # Short rules, and the lines of the system prompt; `…_order` ranks them by closeness to the exchange, closest first.
    rules: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    rule_order: list = field(default_factory=list)
    line_order: list = field(default_factory=list)
    prompt: np.ndarray = field(default_factory=lambda: EMPTY)
    rule: int | None = None  # index into `rules` of the one that is broken or gives way
    pair: tuple | None = None  # replies to one message at one place share it
    cell: str = ''  # of a flip: set of rules and reply
    texts: tuple = ()  # user message and rules, for controls

    def label(self, output: str) -> float:
        return self.labels.get(output, NAN)


SPLIT = re.compile(r'(?<=[.!?;:])\s+|\n+|(?<=\))\s+(?=[A-Z])')


def prompt_lines(text: str) -> list[str]:
    """Sentences and list items of a system prompt that have at least three words."""
    lines = (part.strip(' -*\u2022\t') for part in SPLIT.split(text))
    return [line for line in lines if len(line.split()) >= 3]


def lines_of(path: Path):
    opened = gzip.open(path, 'rt', encoding='utf-8') if path.suffix == '.gz' else open(path, encoding='utf-8')
    with opened as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def complies_of(label: str, pressure: int, kind: str) -> float:
    """Whether the reply does what the user asked: known only where the user presses for what a rule forbids."""
    if pressure == 0 or kind in ('benign', 'benign-hard') or label == 'waver':
        return NAN
    return float(label == 'break')


def deployments(encoding: Encoding, folder: Path, names, ranker) -> list[Record]:
    """Written conversations of `folder/NAME.json` with every reply's label, alternatives included."""
    found = []
    for name in sorted(names):
        written = json.loads((folder / f'{name}.json').read_text('utf-8'))
        rules = [rule['text'] for rule in written['rules']]
        index = {rule['id']: at for at, rule in enumerate(written['rules'])}
        lines = prompt_lines(written['system'])
        for conversation in written['conversations']:
            past = []
            for at, exchange in enumerate(conversation['exchanges']):
                alternative = exchange.get('alt')
                for is_alternative, reply in enumerate([exchange] + ([alternative] if alternative else [])):
                    user, text, label = exchange['user'], reply['assistant'], reply['label']
                    found.append(
                        Record(
                            source='deployments',
                            group=name,
                            conversation=conversation['id'],
                            kind=conversation['kind'],
                            exchange=at,
                            is_alternative=bool(is_alternative),
                            prompt=encoding.ids(written['system']),
                            rules=[encoding.ids(rule) for rule in rules],
                            lines=[encoding.ids(line) for line in lines],
                            rule_order=ranker.order(rules, user, text),
                            line_order=ranker.order(lines, user, text),
                            history=encoding.history(past[-3:]),
                            user=encoding.ids(user),
                            reply=encoding.ids(text),
                            text=text,
                            texts=(user, rules),
                            flags=refusal_flags(text),
                            labels={
                                'breaks': float(label == 'break'),
                                'wavers': float(label != 'ok'),
                                'complies': complies_of(label, exchange['pressure'], conversation['kind']),
                                'pressure': exchange['pressure'] / 2,
                            },
                            rule=index[reply['rule']] if reply.get('rule') and label != 'ok' else None,
                            pair=(conversation['id'], at) if alternative else None,
                        )
                    )
                past.append((exchange['user'], exchange['assistant']))
    return found


def case_record(encoding: Encoding, source: str, group: str, case, rules: list[str], text: str, **own) -> Record:
    """A reply of a written case in which only rules and reply together give the label; all its rules are shown."""
    ids = [encoding.ids(rule) for rule in rules]
    order = list(range(len(ids)))
    return Record(
        source=source,
        group=group,
        conversation=case['id'],
        kind='rules',
        rules=ids,
        lines=ids,
        rule_order=order,
        line_order=order,
        history=encoding.history([(exchange['user'], exchange['assistant']) for exchange in case['context']]),
        user=encoding.ids(case['user']),
        reply=encoding.ids(text),
        text=text,
        flags=refusal_flags(text),
        **own,
    )


def flips(encoding: Encoding, path: Path) -> list[Record]:
    """Cases with two sets of rules and two replies."""
    found = []
    for case in lines_of(path):
        for rule_set in 'AB':
            rules = case['rules'][rule_set]
            for reply in 'xy':
                label = case['labels'][rule_set][reply]
                own = {
                    'texts': (case['user'], rules),
                    'labels': {'breaks': float(label == 'break'), 'wavers': float(label != 'ok')},
                    'rule': case['rule'][rule_set] if label != 'ok' else None,
                    'pair': ('flip', case['id']),
                    'cell': rule_set + reply,
                }
                group = f'flip:{path.stem}:{case["domain"]}'
                found.append(case_record(encoding, 'flips', group, case, rules, case['replies'][reply], **own))
    return found


def grids(encoding: Encoding, path: Path) -> list[Record]:
    """One message with several rules, one of which is in force, and several replies: a label for each rule and reply."""
    found = []
    for grid in lines_of(path):
        others = grid['others']
        place = sum(int(row, 2) for row in grid['breaks']) % (len(others) + 1)  # of the rule in force among those that hold anyway
        for rule_at, rule in enumerate(grid['rules']):
            for reply_at, text in enumerate(grid['replies']):
                breaks = grid['breaks'][rule_at][reply_at] == '1'
                own = {
                    'texts': (grid['user'], [rule, *others]),
                    'labels': {'breaks': float(breaks), 'wavers': 1.0 if breaks else NAN},
                    'rule': place if breaks else None,
                    'pair': ('grid', grid['id']),
                    'cell': f'{rule_at}{reply_at}',
                }
                group = f'grid:{path.stem}:{grid["domain"]}'
                found.append(case_record(encoding, 'grids', group, grid, [*others[:place], rule, *others[place:]], text, **own))
    return found


def rule_sets(encoding: Encoding, path: Path, has_twins: bool, keeps_neutral: bool) -> list[Record]:
    """Rows of a rule, a context and a reply that keeps or breaks the rule."""
    name, found, members = path.name.split('.')[0], [], defaultdict(list)
    for row in lines_of(path):
        if not row['reply'].strip() or (row['label'] == 'neutral' and not keeps_neutral):
            continue
        rules = [encoding.ids(rule[:RULE_CHARACTERS]) for rule in row['rules']]
        past = [
            (exchange['user'][-HISTORY_CHARACTERS:], exchange['assistant'][:HISTORY_CHARACTERS])
            for exchange in row.get('context') or []
            if exchange.get('user') is not None
        ]
        named = row.get('rule') if isinstance(row.get('rule'), int) and row['rule'] < len(rules) else None
        rule = named if named is not None else 0 if len(rules) == 1 else None
        record = Record(
            source=f'rules/{name}',
            group=row['group'],
            conversation=row['id'],
            kind='rules',
            rules=rules,
            lines=rules,
            rule_order=list(range(len(rules))),
            line_order=list(range(len(rules))),
            history=encoding.history(past),
            user=encoding.ids((row['user'] or '')[-USER_CHARACTERS:]),
            reply=encoding.ids(row['reply'][:REPLY_CHARACTERS]),
            text=row['reply'],
            texts=(row['user'] or '', row['rules']),
            flags=refusal_flags(row['reply']),
            labels={'breaks': float(row['label'] == 'break')},
            rule=rule if row['label'] == 'break' else None,
        )
        found.append(record)
        if has_twins:
            members[(row['group'], tuple(row['rules']), row['user'])].append(record)
    for at, rows in enumerate(members.values()):
        by_label = {row.labels['breaks']: row for row in reversed(rows)}
        if len(by_label) == 2:
            for row in by_label.values():
                row.pair = (name, at)
    return found


def exchanges_of(conversation) -> list[tuple[str, str, bool | None]]:
    """User message, reply and the reply's own label, in both of the forms that the public sets have."""
    found, user = [], None
    for turn in conversation['turns']:
        if 'role' not in turn:
            found.append((turn['user'], turn['model'], None))
        elif turn['role'] == 'user':
            user = turn['content'] if user is None else f'{user}\n{turn["content"]}'
        elif turn['role'] == 'assistant':
            if user is not None:
                found.append((user, turn['content'], turn.get('unsafe')))
            user = None
    return found


def exchanges(encoding: Encoding, path: Path, is_safe: bool) -> list[Record]:
    """Labeled replies of a public set: one with a label of its own, else the conversation's last; all, if the whole set is safe."""
    name, found = path.name.split('.')[0], []
    for conversation in lines_of(path):
        past, rows = [], exchanges_of(conversation)
        for at, (user, reply, own) in enumerate(rows):
            unsafe = own
            if unsafe is None and is_safe:
                unsafe = False
            if unsafe is None and at == len(rows) - 1 and conversation.get('label') in ('safe', 'unsafe'):
                unsafe = conversation['label'] == 'unsafe'
            if unsafe is not None and user.strip() and reply.strip():
                labels = {'unsafe': float(unsafe), 'complies': complies_of_public(name, conversation, unsafe)}
                if is_safe:
                    labels |= {'breaks': 0.0, 'wavers': 0.0}
                found.append(
                    Record(
                        source=name,
                        group=f'{name}:{conversation["group"]}',
                        conversation=conversation['id'],
                        exchange=at,
                        history=encoding.history(past[-2:]),
                        user=encoding.ids(user[-USER_CHARACTERS:]),
                        reply=encoding.ids(reply[:REPLY_CHARACTERS]),
                        text=reply,
                        texts=(user, []),
                        flags=refusal_flags(reply),
                        labels=labels,
                    )
                )
            past.append((user[-HISTORY_CHARACTERS:], reply[:HISTORY_CHARACTERS]))
    return found


REFUSING = {'safedecoding-refusals', 'derta-safety-outputs'}
ANSWERING = {'medquad', 'gpteacher', 'arena-hard', 'openassistant-samples'}


def complies_of_public(name: str, conversation, unsafe: bool) -> float:
    """Labels of compliance: people's for XSTest, and what a set consists of for those of refusals and of plain answers."""
    if unsafe:
        return 1.0
    if name == 'xstest':
        return {'1_full_compliance': 1.0, '2_full_refusal': 0.0}.get(conversation['detail']['final_label'], NAN)
    return 0.0 if name in REFUSING else 1.0 if name in ANSWERING else NAN
