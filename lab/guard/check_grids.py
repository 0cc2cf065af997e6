#!/usr/bin/env python3
"""Checks grids of rules and replies (data/grids/README.md), and prints their number and the share of broken cells.

    python3 lab/guard/check_grids.py data/grids/*.jsonl
"""

import json
import sys
from pathlib import Path


def faults_of(grid, ids) -> list[str]:
    found = ['the id repeats'] if grid['id'] in ids else []
    rules, replies, breaks = grid['rules'], grid['replies'], grid['breaks']
    if not (3 <= len(rules) <= 5 and 3 <= len(replies) <= 5):
        found.append('3 to 5 rules and replies')
    if len(breaks) != len(rules) or any(len(row) != len(replies) or set(row) - set('01') for row in breaks):
        return [*found, 'breaks: a string for each rule with 0 or 1 for each reply']
    found += [f'rule {at} is broken by all or none of the replies' for at, row in enumerate(breaks) if len(set(row)) == 1]
    found += [f'reply {at} breaks all or none of the rules' for at, column in enumerate(zip(*breaks)) if len(set(column)) == 1]
    if any(set(exchange) != {'user', 'assistant'} for exchange in grid['context']):
        found.append('context: exchanges of user and assistant')
    if not 1 <= len(grid['others']) <= 5:
        found.append('others: 1 to 5')
    if any(not isinstance(text, str) or not text.strip() for text in [grid['user'], *rules, *replies, *grid['others']]):
        found.append('an empty text')
    return found


def main():
    faults = 0
    for path in map(Path, sys.argv[1:]):
        ids, cells = set(), ''
        for number, line in enumerate(path.read_text('utf-8').splitlines(), 1):
            try:
                grid = json.loads(line)
                found = faults_of(grid, ids)
                ids.add(grid['id'])
                cells += ''.join(grid['breaks'])
            except (ValueError, KeyError, TypeError) as error:
                found = [f'{type(error).__name__}: {error}']
            faults += len(found)
            for fault in found:
                print(f'{path}:{number}: {fault}')
        print(f'{path}: {len(ids)} grids, {len(cells)} cells, {cells.count("1") / max(1, len(cells)):.2f} broken')
    sys.exit(faults > 0)


if __name__ == '__main__':
    main()
