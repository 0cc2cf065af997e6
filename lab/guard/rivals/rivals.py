#!/usr/bin/env python3
"""Scores the same replies with other guards that run in a process without a graphics card, next to the guard's committed scores.

    python3 -m venv build/rivals/python && build/rivals/python/bin/pip install -r lab/guard/rivals/requirements.txt
    mkdir -p build/rivals/node && cp lab/guard/rivals/package.json build/rivals/node && npm install --prefix build/rivals/node
    build/rivals/python/bin/python lab/guard/rivals/rivals.py --scores lab/guard/scores/guard-4.jsonl.gz

Writes lab/guard/scores/rivals.json (scores, no texts) and the block `rivals` of docs/limits.md; `--table` makes the block from the stored
scores, next to those of another run of the guard.
"""

import argparse
import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / 'report')]
from conversations import Shipped  # noqa: E402
from tables import Scoring, auroc, best_f1, labels_of, sets_of  # noqa: E402

# Set of the scores → the output that it is labeled by.
SETS = {'dev-harmbench-response': 'unsafe', 'dev-xstest-response': 'unsafe', 'deployments': 'breaks'}
NAMES = {'dev-harmbench-response': 'HarmBench responses', 'dev-xstest-response': 'XSTest responses', 'deployments': 'deployments left out'}

FIGURES = ('AUROC / best F1', 'harmless ones blocked')

# F1 of their own decision, as published. HarmBench and XSTest responses are the same two sets of human labels as here; DynaBench is not.
PUBLISHED = (
    ('Llama Guard 3 8B', '.851', '.877', '.131'),
    ('WildGuard 7B', '.863', '.947', '.209'),
    ('GuardReasoner 1B', '.848', '.901', ''),
    ('GuardReasoner 8B', '.855', '.943', '.220'),
    ('GPT-4o-mini', '.836', '.837', '.701'),
    ('DynaGuard 1.7B', '.843', '.845', '.652'),
    ('DynaGuard 4B', '.843', '.936', '.720'),
    ('DynaGuard 8B, without reasoning', '.871', '.882', '.725'),
    ('DynaGuard 8B', '.870', '.896', '.731'),
)
SOURCES = (
    'Of the two public sets 599 and 441 replies are here; the published figures are on all 602 and 446. The first four are by Liu et al. 2025, GuardReasoner-VL, arXiv 2505.11049, table 2 (DynaBench: as the others); the others and the column DynaBench by '
    'Hoover et al. 2025, DynaGuard, arXiv 2509.02563v3, table 3. They are F1 of each model at its own decision; the best F1 of a score here is at a '
    'threshold that was chosen on the same rows, so it is an upper bound. DynaBench (one policy and one dialogue per prompt) is another test set than the '
    'deployments here, and could not be obtained: those two columns do not compare.'
)


def texts_of(rows) -> list[tuple[str, str]]:
    """Message and reply of each row, from data/."""
    found = {}
    for name in {row['set'] for row in rows}:
        if name != 'deployments':
            with gzip.open(ROOT / 'data' / f'{name}.jsonl.gz', 'rt', encoding='utf-8') as file:
                for given in map(json.loads, file):
                    message, reply = (turn['content'] for turn in given['turns'][-2:])
                    found[given['id'], 0, False] = message, reply
    for name in {row['group'] for row in rows if row['set'] == 'deployments'}:
        written = json.loads((ROOT / 'data/deployments' / f'{name}.json').read_text('utf-8'))
        for conversation in written['conversations']:
            for at, exchange in enumerate(conversation['exchanges']):
                for alternative, reply in ((False, exchange), (True, exchange.get('alt'))):
                    if reply:
                        found[conversation['id'], at, alternative] = exchange['user'], reply['assistant']
    return [found[row['conversation'], row['exchange'], row['alternative']] for row in rows]


def by_stackone(texts) -> list[tuple[float, int]]:
    """The probability of its worst chunk, and whether that is beyond its own threshold; without the package's patterns, which block little."""
    from stackone_defender.classifiers.tier2_classifier import Tier2Classifier

    classifier, found = Tier2Classifier(), []
    classifier.warmup()
    threshold = classifier.get_config()['high_risk_threshold']
    for at, text in enumerate(texts):
        judged = classifier.classify_by_chunks(text)
        if judged['skipped'] and 'error' in judged['skip_reason']:
            raise RuntimeError(judged['skip_reason'])
        score = float(judged.get('score') or 0.0)  # none of a text that is too short for it
        found.append((round(score, 4), int(score >= threshold)))
        if at % 500 == 0:
            print(f'stackone-defender: {at} of {len(texts)}', file=sys.stderr, flush=True)
    return found


def by_llm_guardrail(texts) -> list[tuple[float, int]]:
    given = ''.join(json.dumps(text) + '\n' for text in texts)
    command = ['node', str(Path(__file__).with_name('llm-guardrail.mjs'))]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, cwd=ROOT)
    return [(round(score, 4), blocked) for score, blocked in map(json.loads, done.stdout.splitlines())]


GUARDS = {'stackone-defender 0.9.4': by_stackone, 'llm_guardrail 2.1.2': by_llm_guardrail}


def id_of(row) -> str:
    return f'{row["conversation"]}/{row["exchange"]}{"/alt" if row["alternative"] else ""}'


def labeled(sets, name) -> list:
    return [row for row in sets[name] if SETS[name] in row['labels']]


def scored(sets, limit) -> dict:
    """Set → the replies, and per guard and input their scores with its own decisions."""
    found = {}
    for name in SETS:
        rows = labeled(sets, name)
        rows = rows[:: max(1, len(rows) // limit)] if limit else rows
        texts = texts_of(rows)
        inputs = {'reply': [reply for _, reply in texts], 'message and reply': [f'{message}\n{reply}' for message, reply in texts]}
        found[name] = {'replies': [id_of(row) for row in rows]}
        for guard, score in GUARDS.items():
            found[name][guard] = {given: score(part) for given, part in inputs.items()}
    return found


def compared(sets, shipped, stored) -> dict:
    """Set → labels, and per guard and input scores and decisions, gabion's (by its alert lines) among them, where both have the reply."""
    scoring, found = Scoring(sets), {}
    for name, part in stored.items():
        place = {reply: at for at, reply in enumerate(part['replies'])}
        rows = [row for row in labeled(sets, name) if id_of(row) in place]
        at = [place[id_of(row)] for row in rows]
        odds = {measure: shipped.log_odds(rows, measure) for measure in ('unsafe', 'breaks')}
        blocked = np.logical_or.reduce([1 / (1 + np.exp(-odds[measure])) >= shipped.lines['alert'][measure] for measure in odds])
        own = np.column_stack([scoring.log_odds(rows, SETS[name]), blocked])
        scores = {'gabion: rules, history, message and reply': own}
        scores |= {f'{guard}: {given}': np.array(part[guard][given])[at] for guard in GUARDS for given in part[guard]}
        found[name] = labels_of(rows, SETS[name]), scores
    return found


def table(found) -> str:
    header = ['guard', *(f'{NAMES[name]} ({len(labels)}): {figure}' for name, (labels, _) in found.items() for figure in FIGURES)]
    lines = []
    for guard in next(iter(found.values()))[1]:
        cells = []
        for labels, scores in found.values():
            score, blocked = scores[guard].T
            cells += [figures(score, labels), percent(blocked[labels == 0].mean())]
        lines.append([guard, *cells])
    nothing = [cell for labels, _ in found.values() for cell in (figures(np.zeros(len(labels)), labels), '100 %')]
    lines.append(['_everything blocked_', *nothing])
    published = ['published', 'HarmBench responses: F1', 'XSTest responses: F1', 'DynaBench: F1']
    return '\n\n'.join([markdown(header, lines), markdown(published, PUBLISHED), SOURCES])


def figures(scores, labels) -> str:
    """Where all scores are equal, the best F1 is that of blocking everything."""
    f1 = best_f1(scores, labels) if np.ptp(scores) > 0 else 2 * np.mean(labels) / (1 + np.mean(labels))
    return f'{auroc(scores, labels):.3f} / {f1:.3f}'.replace('0.', '.')


def percent(share) -> str:
    return f'{100 * share:.0f} %'


def markdown(header, lines) -> str:
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, ['---'] + ['--:'] * (len(header) - 1), *lines))


def write_block(page: Path, name: str, text: str) -> None:
    """As writeBlock of docs-block.ts."""
    before = page.read_text('utf-8')
    block = re.compile(rf'(<!-- {name}:[^>]*-->).*(<!-- end of {name} -->)', re.DOTALL)
    if not block.search(before):
        raise SystemExit(f'{page} has no block {name}')
    page.write_text(block.sub(lambda match: f'{match[1]}\n\n{text}\n\n{match[2]}', before), 'utf-8')
    subprocess.run(['node', str(ROOT / 'node_modules/prettier/bin/prettier.cjs'), '--log-level', 'warn', '--write', str(page)], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--scores', type=Path, default=ROOT / 'lab/guard/scores/guard-4.jsonl.gz', help="the guard's, of evaluate.py")
    parser.add_argument('--guard', type=Path, default=ROOT / 'models/guard', help='the folder whose alert lines block')
    parser.add_argument('--limit', type=int, help='replies of each set')
    parser.add_argument('--out', type=Path, default=ROOT / 'lab/guard/scores/rivals.json')
    parser.add_argument('--table', action='store_true')
    options = parser.parse_args()
    sets = sets_of(options.scores)
    if not options.table:
        options.out.write_text(json.dumps(scored(sets, options.limit), separators=(',', ':')) + '\n', 'utf-8')
    text = table(compared(sets, Shipped(options.guard), json.loads(options.out.read_text('utf-8'))))
    print(text)
    if options.limit is None:
        write_block(ROOT / 'docs/limits.md', 'rivals', text)


if __name__ == '__main__':
    main()
