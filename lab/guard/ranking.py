"""Orders rules and prompt lines by closeness to an exchange, with the sentence vectors that gabion computes anyway."""

import hashlib
import json
import subprocess
from pathlib import Path

import numpy as np


class Ranker:
    """Vectors of all texts are computed in one call of the command line, and kept in `work`."""

    def __init__(self, gabion: list[str], texts, work: Path):
        unique = sorted(set(texts))
        lines = ''.join(json.dumps({'text': text}) + '\n' for text in unique)
        source = work / f'ranking-{hashlib.sha256(lines.encode()).hexdigest()[:16]}.jsonl'
        target = source.with_suffix('.npy')
        if not target.exists():
            source.write_text(lines, 'utf-8')
            command = [*gabion, 'embed', '--quiet', '--input', str(source), '--format', 'jsonl', '--out', str(target)]
            subprocess.run(command, check=True)
        self.index = {text: at for at, text in enumerate(unique)}
        self.vectors = np.load(target)

    def of(self, texts) -> np.ndarray:
        return self.vectors[[self.index[text] for text in texts]]

    def order(self, items, user: str, reply: str) -> list[int]:
        """Indices of the items, closest first: the greatest cosine with the message, the reply, or both in one text."""
        closeness = self.of(items) @ self.of([user, reply, f'{user}\n{reply}']).T
        return np.argsort(-closeness.max(1), kind='stable').tolist()

    def closest(self, text: str, items) -> int:
        return int((self.of(items) @ self.of([text])[0]).argmax())


def texts_of(folder: Path, names, lines_of_prompt):
    """Every text that ranking the rules of these deployments needs."""
    for name in names:
        written = json.loads((folder / f'{name}.json').read_text('utf-8'))
        yield from (rule['text'] for rule in written['rules'])
        yield from lines_of_prompt(written['system'])
        for conversation in written['conversations']:
            for exchange in conversation['exchanges']:
                yield exchange['user']
                for reply in (exchange, exchange.get('alt')):
                    if reply:
                        yield reply['assistant']
                        yield f'{exchange["user"]}\n{reply["assistant"]}'
