#!/usr/bin/env python3
"""Calibrates a run on the scores of what it did not train on, and writes the folder that gabion loads.

    build/golden/bin/python lab/guard/export.py --run build/guard/guard-1.pt --scores lab/guard/scores/guard-1.jsonl.gz --out models/guard

Calibration: see tables.py. Lines are quantiles of the greatest probabilities of conversations without a break.
"""

import argparse
import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from model import FEATURE_SCALE, SHOWN_LINES, load_runs, stored_encoder
from records import OUTPUTS
from segments import Budgets
from sources import FOLDS, batches, prepare
from tables import AT, CALIBRATED_ON, Scoring, auroc, greatest, labels_of, lowest_strengths, quiet_rows, sets_of
from terms import BUCKET_BITS
from train import ROOT, linear_part, training_records

# An output that does not beat this control is left out of `calibration`, and the product does not report it.
CONTROLLED = ('complies', 'pressure')


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--run', nargs='+', required=True, help='FILE or FILE=SHARE, whose mean is taken')
    parser.add_argument('--scores', type=Path, required=True)
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument('--encoder', type=Path, default=ROOT / 'models/all-MiniLM-L6-v2', help="gabion's folder, whose tables are shared")
    parser.add_argument('--checkpoint', type=Path, default=ROOT / 'build/cache/all-MiniLM-L6-v2', help='the encoder that was trained from')
    parser.add_argument('--whole', action='store_true', help='write all of the encoder, so that the guard needs no other folder')
    parser.add_argument('--data', type=Path, default=ROOT / 'data')
    parser.add_argument('--work', type=Path, default=ROOT / 'build/guard')
    parser.add_argument('--gabion', default=f'node {ROOT}/dist/cli/main.js')
    return parser.parse_args()


def calibration(sets, scoring) -> dict:
    """Per output: weights of the logits and of the linear parts, and the intercept."""
    found = {}
    for output, name in CALIBRATED_ON.items():
        rows = [row for row in sets[name] if output in row['labels']]
        labels = (labels_of(rows, output) > 0).astype(int)
        words = auroc([row['terms'][AT[output]] for row in rows], labels)
        both = auroc(scoring.log_odds(rows, output), labels)
        if output in CONTROLLED and both <= words:
            print(f'{output}: {both:.3f}, its words alone {words:.3f}: left out')
            continue
        *weights, b = (round(float(value), 4) for value in scoring.whole[output])
        parts = {'logits': weights[: len(OUTPUTS)], 'terms': weights[len(OUTPUTS) :]}
        found[output] = {part: {name: value for name, value in zip(OUTPUTS, values) if value} for part, values in parts.items()} | {'b': b}
    return found


def lines(sets, scoring) -> dict:
    """What few of the deployments' conversations without a break reach: 2, 1 and 5 % (alert), 10 % (elevated)."""
    rows = quiet_rows(sets)

    def quantile(output, share):
        value = np.quantile(greatest(rows, output, scoring), 1 - share, method='higher')
        return round(float(1 / (1 + np.exp(-value))), 4)

    def strength(share):
        return round(float(np.quantile(lowest_strengths(rows, scoring), share, method='lower')), 4)

    return {
        'alert': {'breaks': quantile('breaks', 0.02), 'unsafe': quantile('unsafe', 0.01), 'strength': strength(0.05)},
        'elevated': {'breaks': quantile('breaks', 0.1), 'wavers': quantile('wavers', 0.1), 'strength': strength(0.1)},
    }


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main():
    options = arguments()
    weights_of, settings = load_runs(options.run)
    sets = sets_of(options.scores)
    scoring = Scoring(sets)
    calibrated = calibration(sets, scoring)
    fold, batch_of = FOLDS[settings['fold']], batches(options.data)
    sources = prepare(options.checkpoint, options.data, options.gabion.split(), options.work)
    terms = linear_part(training_records(sources, fold, batch_of), options.work)[1]
    options.out.mkdir(parents=True, exist_ok=True)
    tensors = stored_encoder(weights_of, options.whole)
    tensors |= {f'head.{part}': weights_of[f'head.{part}'].float() for part in ('weight', 'bias')}
    weights, intercepts = terms.weights()
    tensors |= {'terms.weight': torch.tensor(weights).bfloat16(), 'terms.idf': torch.tensor(terms.idf).bfloat16()}
    save_file(tensors, options.out / 'model.safetensors')
    encoder = options.checkpoint if options.whole else options.encoder
    if options.whole:
        for name in ('config.json', 'tokenizer.json'):
            shutil.copyfile(encoder / name, options.out / name)
    description = {
        'version': 1,
        'encoder': {'name': encoder.name, 'tokenizerSha256': sha256(encoder / 'tokenizer.json')},
        'weightsSha256': sha256(options.out / 'model.safetensors'),
        'outputs': OUTPUTS,
        'budgets': {'replyStride' if name == 'reply_stride' else name: value for name, value in asdict(Budgets()).items()},
        'shownRules': SHOWN_LINES,
        'features': ['mean:reply', 'mean:all', 'mean:user'],
        'featureScale': FEATURE_SCALE,
        'flagWeights': [[round(float(value), 6) for value in row] for row in weights_of['flags.weight']],
        'terms': {'bucketBits': BUCKET_BITS, 'intercepts': [round(float(value), 4) for value in intercepts]},
        'calibration': calibrated,
        'lines': lines(sets, scoring),
    }
    (options.out / 'guard.json').write_text(json.dumps(description, indent=2) + '\n')
    print(json.dumps({key: description[key] for key in ('calibration', 'lines')}, indent=1))


if __name__ == '__main__':
    main()
