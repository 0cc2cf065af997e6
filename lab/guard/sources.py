"""Which sets train the guard, with which mass, and what a fold leaves out. The sets are described in data/MANIFEST.json."""

import hashlib
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import ranking
from records import deployments, exchanges, flips, grids, prompt_lines, rule_sets
from segments import Encoding

# Masses of the rows without and with the label, within the sets of this kind.
UNSAFE_SETS = {
    'jailbreakbench': (0.5, 0.5),
    'xstest': (0.5, 0.5),
    'hh-rlhf-harmless': (0.4, 0.2),
    'gptfuzz': (0.75, 0.75),
    'pyrit-scorer-evals': (0.3, 0.3),
    'past-tense': (0.4, 0.4),
    'refusal-direction': (0.25, 0.35),
    'adaptive-attacks': (0.05, 0.35),
    'dices': (0.25, 0.15),
    'latent-jailbreak': (0.1, 0.1),
    'derta-safety-outputs': (0.2, 0),
    'derta-malicious-tuning': (0, 0.2),
    'pyrit-manyshot': (0, 0.25),
    'coconot-pref': (0.5, 0),
    'arena-hard': (0.4, 0),
    'gpteacher': (0.3, 0),
    'medquad': (0.15, 0),
    'openassistant-samples': (0.15, 0),
    'tau-bench': (0.3, 0),
    'safedecoding-refusals': (0.1, 0),
    'mt-bench-101': (0.8, 0),
}
SAFE_SETS = {'mt-bench-101', 'tau-bench'}
# Sets of rules: mass, whether rows come in twins, whether "neutral" rows count as kept.
RULE_SETS = {
    'moral_stories': (1.0, True, False),
    'contrastive_norms': (0.8, True, False),
    'contract_nli': (0.3, False, True),
    'conjnli': (0.25, False, True),
    'structflow': (0.12, False, False),
    'ifeval_outputs': (0.06, False, False),
    'promptpex': (0.5, False, False),
    'model_spec': (0.1, False, False),
    'agentdojo_injection': (0.3, False, False),
}
# Never trained on: data for measuring (their names begin with dev-), DiaSafety's test part, and three sets of false alarms.
MEASURED_UNSAFE = ('dev-harmbench-response', 'dev-xstest-response', 'diasafety-test')
MEASURED_SAFE = ('sgd-test', 'vera-mh')
MEASURED_RULES = ('dev-complibench-rule-airlines', 'dev-complibench-cross-airlines', 'dev-complibench-policy-airlines')
# Shares by hash of the group that are kept for false alarms whatever the fold.
KEPT_FOR_ALARMS = {'mt-bench-101': 0.4, 'tau-bench': 0.2, 'coconot-pref': 0.2, 'gpteacher': 0.2}
# The bundled encoder's vocabulary is English.
OTHER_LANGUAGES = ('languages-1', 'languages-2', 'languages-3')


@dataclass(frozen=True)
class Fold:
    """Batches of deployments, files of flips and of grids, and the fifth of the unsafe sets' groups (by hash) that training does not see."""

    batches: tuple[str, ...] = ()
    flips: tuple[str, ...] = ()
    grids: tuple[str, ...] = ()
    fifth: int | None = None


# Whole batches: files of one batch share their writer's style.
FOLDS = {
    'all': Fold(),
    '1': Fold(('plain-3', 'long-2', 'agent-2', 'voice-a', 'voice-e', 'slow-3'), ('f2', 'f7', 'f8', 'f12'), ('g3', 'g7'), 0),
    '2': Fold(('plain-1', 'slow-1', 'voice-b', 'mixed-2'), ('f1', 'f6', 'f9'), ('g1', 'g8'), 1),
    '3': Fold(('plain-2', 'long-1', 'voice-c', 'silent-1'), ('f3', 'f5', 'f10'), ('g2', 'g5'), 2),
    '4': Fold(('named', 'mixed-1', 'voice-d', 'agent-4'), ('f4', 'f11'), ('g4',), 3),
    '5': Fold(('plain-4', 'agent-1', 'long-4'), ('f13',), ('g6',), 4),
}


def position(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32


def is_kept_for_alarms(record) -> bool:
    return position(record.group) < KEPT_FOR_ALARMS.get(record.source, 0)


def is_left_out(record, fold: Fold, batch_of: dict) -> bool:
    """Whether the fold keeps the record from training."""
    if record.source == 'deployments':
        return batch_of[record.group] in fold.batches
    if record.source == 'flips':
        return record.group.split(':')[1] in fold.flips
    if record.source == 'grids':
        return record.group.split(':')[1] in fold.grids
    if record.source in UNSAFE_SETS:
        return is_kept_for_alarms(record) or (fold.fifth is not None and int(5 * position(f'fold {record.group}')) == fold.fifth)
    return False


def batches(data: Path) -> dict[str, str]:
    """Deployment → batch, without those in other languages."""
    files = json.loads((data / 'deployment-batches.json').read_text('utf-8'))
    return {name: batch for batch, names in files.items() if batch not in OTHER_LANGUAGES for name in names}


def prepare(encoder: Path, data: Path, gabion: list[str], work: Path) -> dict[str, list]:
    """Source → records, of everything that trains or measures; kept in `work` for the next run with the same inputs."""
    stamp = hashlib.sha256()
    for file in sorted([*Path(__file__).parent.glob('*.py'), *data.rglob('*.json*'), encoder / 'tokenizer.json']):
        if file.name not in ('train.py', 'evaluate.py', 'model.py', 'export.py', 'tables.py', 'terms.py'):
            stamp.update(file.read_bytes())
    target = work / f'records-{stamp.hexdigest()[:16]}.pkl'
    if target.exists():
        with open(target, 'rb') as file:
            return pickle.load(file)
    work.mkdir(parents=True, exist_ok=True)
    encoding, names = Encoding(encoder), sorted(batches(data))
    ranker = ranking.Ranker(gabion, ranking.texts_of(data / 'deployments', names, prompt_lines), work)
    found = {'deployments': deployments(encoding, data / 'deployments', names, ranker)}
    found['flips'] = [record for path in sorted((data / 'flips').glob('*.jsonl')) for record in flips(encoding, path)]
    found['grids'] = [record for path in sorted((data / 'grids').glob('*.jsonl')) for record in grids(encoding, path)]
    for name, (_, has_twins, keeps_neutral) in RULE_SETS.items():
        found[f'rules/{name}'] = rule_sets(encoding, data / 'rules' / f'{name}.jsonl.gz', has_twins, keeps_neutral)
    for name in MEASURED_RULES:
        found[name] = rule_sets(encoding, data / f'{name}.jsonl.gz', False, False)
    for name in (*UNSAFE_SETS, *MEASURED_UNSAFE, *MEASURED_SAFE):
        found[name] = exchanges(encoding, data / f'{name}.jsonl.gz', name in SAFE_SETS or name in MEASURED_SAFE)
    for name, rows in found.items():
        print(f'{name}: {len(rows)} replies', flush=True)
    with open(target, 'wb') as file:
        pickle.dump(found, file, protocol=4)
    return found
