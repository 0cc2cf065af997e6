#!/usr/bin/env python3
"""Trains the second stage without one set and measures it on that set, alone and added to the first stage.

    node --import tsx lab/export-rows.ts build/vectors build/lab/rows.jsonl
    node scripts/bundle-model.mjs --source-only
    python3 -m venv build/lab/venv
    build/lab/venv/bin/pip install torch==2.15.0 numpy safetensors tokenizers
    build/lab/venv/bin/python lab/python/train.py --leave-out xstest --seed 1

Appends a line of JSON with all scores' measures to build/lab/results.jsonl. Without --leave-out it trains on all sets and
measures what is never trained on.
"""

import argparse
import json
import math
import random
import time

import numpy as np
import torch
from torch.nn import functional as F

from encoder import load_encoder, parameter_groups
from measures import alarms, auroc, within_groups
from pairs import batch_of, changed, read_rows, row_weights, windows_of

POOLINGS = {
    'first window': lambda scores: scores[0],
    'mean of windows': lambda scores: float(np.mean(scores)),
    'soft maximum': lambda scores: float(np.log(np.mean(np.exp(scores)))),
    'maximum': max,
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--leave-out', choices=['jailbreakbench', 'xstest', 'hh-rlhf-harmless'])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--steps', type=int, default=420)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--window', type=int, default=190)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rows', default='build/lab/rows.jsonl')
    parser.add_argument('--checkpoint', default='build/cache/all-MiniLM-L6-v2/model.safetensors')
    parser.add_argument('--tokenizer', default='models/all-MiniLM-L6-v2/tokenizer.json')
    parser.add_argument('--xstest', default='data/xstest.jsonl.gz')
    parser.add_argument('--results', default='build/lab/results.jsonl')
    parser.add_argument('--weights', help='where the trained weights go')
    parser.add_argument('--fp32', action='store_true', help='train in fp32; default is bf16 arithmetic on fp32 weights')
    return parser.parse_args()


def loss_of(scores, rows, drawn, known):
    """The part that some of the drawn rows have in the loss of all of them."""
    smooth = lambda target: target * 0.95 + 0.025  # noqa: E731
    unsafe = torch.tensor([row.unsafe for row in rows], dtype=torch.float32)
    loss = F.binary_cross_entropy_with_logits(scores[:, 0], smooth(unsafe), reduction='sum') / drawn
    told = [i for i, row in enumerate(rows) if row.complies is not None]
    if told:
        complies = torch.tensor([rows[i].complies for i in told], dtype=torch.float32)
        loss = loss + 0.3 * F.binary_cross_entropy_with_logits(scores[told, 1], smooth(complies), reduction='sum') / known
    return loss


def train(model, rows, cutter, options):
    dice = random.Random(options.seed)
    weights = row_weights(rows)
    optimizer = torch.optim.AdamW(parameter_groups(model, 5e-5, 2e-3, 2e-2, 0.8, 0.01), betas=(0.9, 0.98))
    warm = max(1, round(0.08 * options.steps))
    cosine = lambda step: 0.05 + 0.95 * (1 + math.cos(math.pi * (step - warm) / (options.steps - warm))) / 2  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / warm if step < warm else cosine(step))
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    begin = time.time()
    for step in range(options.steps):
        drawn = dice.choices(rows, weights, k=options.batch)
        pairs = [changed(row, rows, cutter, options.window, dice) for row in drawn]
        known = sum(row.complies is not None for row in drawn)
        optimizer.zero_grad()
        loss = 0.0
        # Pairs of about one length run together, so that little is padded.
        order = sorted(range(len(drawn)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]))
        for first in range(0, len(order), 8):
            part = order[first : first + 8]
            with torch.autocast('cpu', torch.bfloat16, enabled=not options.fp32):
                scores = model(*batch_of([pairs[i] for i in part])).float()
            share = loss_of(scores, [drawn[i] for i in part], len(drawn), known)
            share.backward()
            loss += share.item()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0:
            print(f'step {step}: loss {loss:.3f}, {time.time() - begin:.0f} s', flush=True)


@torch.inference_mode()
def score(model, rows, options):
    """Scores of every reply under each pooling, reckoned in order of length so that little is padded."""
    model.eval()
    pairs = [(index, pair) for index, row in enumerate(rows) for pair in windows_of(row, options.window)]
    found = [[] for _ in rows]
    order = sorted(range(len(pairs)), key=lambda i: len(pairs[i][1][0]) + len(pairs[i][1][1]))
    scores = np.zeros(len(pairs))
    for first in range(0, len(order), 64):
        part = order[first : first + 64]
        with torch.autocast('cpu', torch.bfloat16, enabled=not options.fp32):
            scores[part] = model(*batch_of([pairs[i][1] for i in part]))[:, 0].float().numpy()
    for (index, _), value in zip(pairs, scores):
        found[index].append(float(value))
    return {name: np.array([pool(values) for values in found]) for name, pool in POOLINGS.items()}


def write_scores(options, name, *parts):
    """Keeps every score, so that sums with other first stages can be looked at without training again."""
    file = options.results.replace('results.jsonl', f'scores-{options.leave_out or "none"}-{name}-{options.seed}.jsonl')
    with open(file, 'w') as out:
        for rows, found in parts:
            for index, row in enumerate(rows):
                scores = {pooling: round(float(values[index]), 5) for pooling, values in found.items()}
                out.write(json.dumps({'set': row.set, 'conversation': row.conversation, 'exchange': row.exchange, **scores}) + '\n')


def main():
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    rows, cutter = read_rows(options.rows, options.xstest, options.tokenizer)
    training = [row for row in rows if row.part == 'training' and row.set != options.leave_out]
    model = load_encoder(options.checkpoint)
    begin = time.time()
    train(model, training, cutter, options)
    seconds = time.time() - begin
    if options.weights:
        torch.save(model.state_dict(), options.weights)
    benign = [row for row in rows if row.part == 'keptAside']
    if options.leave_out:
        # The scale of the sum needs some benign replies, not all.
        benign = random.Random(0).sample(benign, 500)
        tested = {options.leave_out: [row for row in rows if row.set == options.leave_out]}
    else:
        tested = {name: [row for row in rows if row.set == name] for name in ('diasafety-test', 'sgd-test')}
    heads = np.array([row.head for row in benign])
    on_benign = score(model, benign, options)
    for name, members in tested.items():
        found = score(model, members, options)
        head = np.array([row.head for row in members])
        write_scores(options, name, (benign, on_benign), (members, found))
        columns = {'first stage': (heads, head)}
        for pooling in POOLINGS:
            columns[pooling] = (on_benign[pooling], found[pooling])
            z = lambda values, scale: (values - scale.mean()) / scale.std()  # noqa: E731
            columns[f'sum, {pooling}'] = (
                z(heads, heads) + z(on_benign[pooling], on_benign[pooling]),
                z(head, heads) + z(found[pooling], on_benign[pooling]),
            )
        labels = np.array([row.unsafe for row in members])
        open_rows = np.array([not row.opening for row in members])
        groups = [row.group for row in members]
        for column, (quiet, values) in columns.items():
            line = {
                'set': name, 'leftOut': options.leave_out, 'seed': options.seed, 'steps': options.steps, 'window': options.window,
                'seconds': round(seconds), 'score': column,
            }  # fmt: skip
            if labels.any():
                line |= {
                    'auroc': auroc(values, labels),
                    'withoutRefusal': auroc(values[open_rows], labels[open_rows]),
                    'withinGroup': within_groups(values, labels, groups),
                }
            else:
                line |= alarms(benign, quiet, members, values)
            with open(options.results, 'a') as out:
                out.write(json.dumps(line) + '\n')
    print(f'trained in {seconds:.0f} s, flags {model.flags.tolist()}')


main()
