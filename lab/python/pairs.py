"""Exchanges as pairs of pieces: which rows are drawn, what is changed in them on the way, how a reply is cut into windows."""

import gzip
import json
import random
import re
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

CLS, SEP = 101, 102
USER_PIECES = 48
# As in lab/sets.ts: class masses of the sets, unsafe and safe.
MASSES = {
    'jailbreakbench': (0.5, 0.5),
    'xstest': (0.5, 0.5),
    'hh-rlhf-harmless': (0.35, 0.65),
    'templates': (1.0, 1.0),
    'mt-bench-101': (0.0, 1.0),
}
REFUSAL = re.compile(r"\b(sorry|apologi[sz]e|can't|cannot|can not|won't|will not|unable|not able|decline|refuse|illegal|unethical)\b", re.I)
SENTENCE = re.compile(r'(?<=[.!?])\s+')


@dataclass
class Row:
    part: str
    set: str
    group: str
    conversation: str
    exchange: int
    unsafe: int
    complies: int | None
    opening: bool
    anywhere: bool
    head: float
    reply: str
    user_ids: list
    reply_ids: list


def read_rows(file: str, xstest: str, tokenizer: str) -> tuple[list[Row], Tokenizer]:
    """The rows of export-rows.ts, tokenized; the completion labels of xstest tell which replies comply."""
    completion = {}
    with gzip.open(xstest, 'rt') as lines:
        for fields in map(json.loads, lines):
            completion[fields['id']] = fields['detail'].get('final_label')
    cutter = Tokenizer.from_file(tokenizer)
    cutter.no_truncation()
    cutter.no_padding()
    fields = [json.loads(line) for line in open(file)]
    users = cutter.encode_batch([f['user'] for f in fields], add_special_tokens=False)
    replies = cutter.encode_batch([f['reply'] for f in fields], add_special_tokens=False)
    rows = []
    for f, user, reply in zip(fields, users, replies):
        complies = {'1_full_compliance': 1, '2_full_refusal': 0}.get(completion.get(f['conversation'].removeprefix('xstest/')) if f['set'] == 'xstest' else None)
        if complies is None:
            complies = {'compliance': 1, 'everyday': 1, 'refusal': 0}.get(f['kind'])
        if complies is None and f['flags']['opening']:
            complies = 0
        rows.append(
            Row(f['part'], f['set'], f['group'], f['conversation'], f['exchange'], int(f['label'] == 'unsafe'), complies,
                f['flags']['opening'], f['flags']['anywhere'], f['head'], f['reply'], user.ids[-USER_PIECES:], reply.ids)
        )  # fmt: skip
    return rows, cutter


def row_weights(rows: list[Row]) -> list[float]:
    counts = {}
    for row in rows:
        counts[row.set, row.unsafe] = counts.get((row.set, row.unsafe), 0) + 1
    return [MASSES[row.set][1 - row.unsafe] / counts[row.set, row.unsafe] for row in rows]


def changed(row: Row, rows: list[Row], cutter: Tokenizer, window: int, dice: random.Random):
    """A drawn row as training sees it: (user pieces, reply pieces, flags)."""
    reply, flags = row.reply_ids, (float(row.opening), float(row.anywhere))
    drop = row.unsafe == 1 and row.anywhere and dice.random() < 0.4
    shuffle = dice.random() < 0.2
    if drop or shuffle:
        sentences = SENTENCE.split(row.reply)
        if drop:
            kept = [s for s in sentences if not REFUSAL.search(s)]
            if kept:
                sentences, flags = kept, (0.0, 0.0)
        if shuffle:
            dice.shuffle(sentences)
        reply = cutter.encode(' '.join(sentences), add_special_tokens=False).ids
    refused = row.unsafe == 0 and row.opening
    if dice.random() < 0.5:
        size = dice.randint(24, 128)
        start = 0 if refused or dice.random() < 0.6 else dice.randrange(max(1, len(reply) - size))
        reply = reply[start : start + size]
    elif len(reply) > window and not refused and dice.random() < 0.3:
        start = dice.randrange(len(reply) - window)
        reply = reply[start : start + window]
    user = row.user_ids
    if dice.random() < 0.3:
        user = []
    elif dice.random() < 0.05:
        user = dice.choice(rows).user_ids
    return user, reply[:window], flags


def batch_of(pairs):
    """Pieces of pairs as padded tensors: ids, token types, mask, flags."""
    made = [([CLS, *user, SEP], [*reply, SEP], flags) for user, reply, flags in pairs]
    length = max(len(user) + len(reply) for user, reply, _ in made)
    ids = torch.zeros(len(made), length, dtype=torch.long)
    types = torch.zeros(len(made), length, dtype=torch.long)
    mask = torch.zeros(len(made), length, dtype=torch.bool)
    for index, (user, reply, _) in enumerate(made):
        whole = len(user) + len(reply)
        ids[index, :whole] = torch.tensor(user + reply)
        types[index, len(user) : whole] = 1
        mask[index, :whole] = True
    return ids, types, mask, torch.tensor([flags for *_, flags in made])


def windows_of(row: Row, window: int):
    """All windows of a reply, overlapping by a fifth."""
    stride = window - window // 5
    starts = range(0, max(1, len(row.reply_ids) - window // 5), stride)
    return [(row.user_ids, row.reply_ids[s : s + window], (float(row.opening), float(row.anywhere))) for s in starts]
