#!/usr/bin/env python3
"""Checks altered and new rules of the deployments (data/altered/README.md), and prints their numbers.

    python3 lab/guard/check_altered.py data
"""

import json
import sys
from pathlib import Path


def places_of(deployment):
    """Label of each reply, by `CONVERSATION/EXCHANGE`, with an `a` at the end for the alternative."""
    found = {}
    for conversation in deployment['conversations']:
        for number, exchange in enumerate(conversation['exchanges'], 1):
            for suffix, reply in (('', exchange), ('a', exchange.get('alt'))):
                if reply:
                    found[f'{conversation["id"]}/{number}{suffix}'] = reply['label']
    return found


def faults_of_altered(row, rules, places, seen) -> list[str]:
    found = [f'no rule {row["rule"]}'] if row['rule'] not in rules else []
    if (row['deployment'], row['rule']) in seen:
        found.append('the rule has a line already')
    texts = [*row['permits'], *([row['demand']] if row['demand'] else [])]
    if len(row['permits']) != 2 or any(not isinstance(text, str) or len(text.split()) < 3 for text in texts):
        found.append('permits: two texts; demand: a text or null')
    if len({*texts, rules.get(row['rule'])}) != len(texts) + 1:
        found.append('a text repeats')
    if len(row['except']['permits']) != 2:
        found.append('except.permits: two lists')
    excluded = [one for part in (*row['except']['permits'], row['except']['demand']) for one in part]
    return found + [f'no exchange {one}' for one in excluded if one not in places]


def faults_of_new(row, rules, places, seen) -> list[str]:
    found = ['the text repeats'] if row['text'] in rules.values() or (row['deployment'], row['text']) in seen else []
    if not row['breaks'] or not row['keeps'] or set(row['breaks']) & set(row['keeps']):
        found.append('breaks and keeps: different replies in each')
    return found + [f'no reply {one} that keeps all rules' for one in (*row['breaks'], *row['keeps']) if places.get(one) != 'ok']


def main():
    data, faults = Path(sys.argv[1]), 0
    deployments = {}
    for kind, faults_of in (('altered', faults_of_altered), ('new', faults_of_new)):
        seen = set()
        for file in sorted((data / 'altered').glob(f'{kind}-*.jsonl')):
            for number, line in enumerate(file.read_text('utf-8').splitlines(), 1):
                row = json.loads(line)
                name = row['deployment']
                if name not in deployments:
                    deployment = json.loads((data / 'deployments' / f'{name}.json').read_text('utf-8'))
                    deployments[name] = {rule['id']: rule['text'] for rule in deployment['rules']}, places_of(deployment)
                found = faults_of(row, *deployments[name], seen)
                seen.add((name, row['rule' if kind == 'altered' else 'text']))
                faults += len(found)
                for fault in found:
                    print(f'{file}:{number}: {fault}')
        print(f'{kind} rules: {len(seen)} of {len({name for name, _ in seen})} deployments')
    sys.exit(faults > 0)


if __name__ == '__main__':
    main()
