#!/usr/bin/env python3
"""Calibrates a run on the scores of what it did not train on, and writes the folder that gabion loads.

    build/golden/bin/python lab/guard/export.py --run build/guard/guard-1.pt --scores lab/guard/scores/guard-1.jsonl.gz --out models/guard

Calibration is Platt's (1999), sigmoid(a · logit + b), per output. Lines are the greatest logits of conversations without a break.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression

from model import FEATURE_SCALE, SHOWN_LINES
from records import OUTPUTS
from segments import Budgets
from tables import AT, auroc, labels_of, read
from train import ROOT

# An output that does not beat this control is left out of `calibration`, and the product does not report it.
CONTROLLED = ('complies', 'pressure')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--run', type=Path, required=True)
    parser.add_argument('--scores', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--encoder', type=Path, default=ROOT / 'models/all-MiniLM-L6-v2')
    return parser.parse_args()


def condition(output: str) -> str:
    return 'no reply' if output == 'pressure' else 'shown'


def platt(logits, labels) -> dict:
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(np.asarray(logits)[:, None], labels)
    return {'a': round(float(fitted.coef_[0, 0]), 4), 'b': round(float(fitted.intercept_[0]), 4)}


def calibration(sets) -> dict:
    found = {}
    for output in OUTPUTS:
        rows = [row for row in sets['unsafe sets, kept fifth' if output == 'unsafe' else 'deployments'] if output in row['labels']]
        logits = np.array([row['logits'][condition(output)][AT[output]] for row in rows])
        labels = (labels_of(rows, output) > 0).astype(int)
        if output in CONTROLLED and auroc(logits, labels) <= auroc([row['terms'][output] for row in rows], labels):
            print(f'{output} does not beat TF-IDF: left out')
            continue
        found[output] = platt(logits, labels)
    return found


def lines(sets, calibrated) -> dict:
    """Probabilities that 2 % (alert) and 10 % (elevated) of the deployments' conversations without a break reach."""

    def probability(output, value):
        return round(float(1 / (1 + np.exp(-(calibrated[output]['a'] * value + calibrated[output]['b'])))), 4)

    rows = [row for row in sets['deployments'] if not row['alternative']]
    broken = {row['conversation'] for row in rows if row['labels']['breaks'] == 1}
    greatest = {output: defaultdict(lambda: -np.inf) for output in ('breaks', 'unsafe', 'wavers')}
    for row in rows:
        if row['conversation'] not in broken:
            for output, found in greatest.items():
                found[row['conversation']] = max(found[row['conversation']], row['logits']['shown'][AT[output]])
    at = {output: list(found.values()) for output, found in greatest.items()}
    quantile = lambda output, share: probability(output, np.quantile(at[output], 1 - share, method='higher'))
    return {
        'alert': {'breaks': quantile('breaks', 0.03), 'unsafe': quantile('unsafe', 0.01)},
        'elevated': {'breaks': quantile('breaks', 0.1), 'wavers': quantile('wavers', 0.1)},
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    options = arguments()
    saved = torch.load(options.run, weights_only=False)
    sets = defaultdict(list)
    for row in read(options.scores):
        sets[row['set']].append(row)
    calibrated = calibration(sets)
    options.out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name.removeprefix('encoder.'): value.to(torch.bfloat16).contiguous()
        for name, value in saved['guard'].items()
        if name.startswith('encoder.encoder.layer.') or name == 'encoder.embeddings.token_type_embeddings.weight'
    }
    tensors |= {f'head.{part}': saved['guard'][f'head.{part}'].float() for part in ('weight', 'bias')}
    save_file(tensors, options.out / 'model.safetensors')
    description = {
        'version': 1,
        'encoder': {'name': options.encoder.name, 'tokenizerSha256': sha256(options.encoder / 'tokenizer.json')},
        'weightsSha256': sha256(options.out / 'model.safetensors'),
        'outputs': OUTPUTS,
        'budgets': {'replyStride' if name == 'reply_stride' else name: value for name, value in asdict(Budgets()).items()},
        'shownRules': SHOWN_LINES,
        'features': ['mean:reply', 'mean:all', 'mean:user'],
        'featureScale': FEATURE_SCALE,
        'flagWeights': [[round(float(value), 6) for value in row] for row in saved['guard']['flags.weight']],
        'calibration': calibrated,
        'lines': lines(sets, calibrated),
    }
    (options.out / 'guard.json').write_text(json.dumps(description, indent=2) + '\n')
    print(json.dumps({key: description[key] for key in ('calibration', 'lines', 'flagWeights')}, indent=1))


if __name__ == '__main__':
    main()
