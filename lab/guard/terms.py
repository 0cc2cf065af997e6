"""The guard's linear part: a weight for each word and each pair of words of the reply (of the user's message, for pressure).

It stands next to the encoder and remembers wordings that a few passes over the data do not teach the encoder (Cheng et al. 2016, Wide & Deep
Learning for Recommender Systems). Alone it is the control of every table. Terms are hashed into buckets (Weinberger et al. 2009, Feature
Hashing for Large Scale Multitask Learning). `lib/detection/guard/terms.ts` computes the same at run time.
"""

import hashlib
import re

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

from records import OUTPUTS

WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)*")
BUCKET_BITS = 17
FNV_OFFSET, FNV_PRIME, GOLDEN = 0x811C9DC5, 0x01000193, 0x9E3779B1
hashes: dict[str, int] = {}


def hash_of(word: str) -> int:
    """FNV-1a in 32 bits."""
    if word not in hashes:
        value = FNV_OFFSET
        for byte in word.encode('ascii'):
            value = ((value ^ byte) * FNV_PRIME) & 0xFFFFFFFF
        hashes[word] = value
    return hashes[word]


def buckets_of(text: str) -> list[int]:
    """Buckets of the words (Latin letters and digits, in lower case) and of the adjacent pairs."""
    found = [hash_of(word) for word in WORD.findall(text.lower().replace('\u2019', "'"))]
    found += [((first * FNV_PRIME) & 0xFFFFFFFF) ^ second for first, second in zip(found, found[1:])]
    return [((value * GOLDEN) & 0xFFFFFFFF) >> (32 - BUCKET_BITS) for value in found]


def counts_of(texts) -> csr_matrix:
    """Texts × buckets: 1 + ln of the number of times that a bucket occurs."""
    data, columns, starts = [], [], [0]
    for text in texts:
        buckets, counts = np.unique(np.array(buckets_of(text), np.int32), return_counts=True)
        columns.append(buckets)
        data.append(1 + np.log(counts))
        starts.append(starts[-1] + len(buckets))
    return csr_matrix((np.concatenate(data), np.concatenate(columns), starts), shape=(len(starts) - 1, 1 << BUCKET_BITS))


def text_of(record, output: str) -> str:
    return record.texts[0] if output == 'pressure' else record.text


class Terms:
    """TF-IDF (sublinear, rows of length 1) over buckets that all outputs share, and a logistic regression per output."""

    def __init__(self, records: dict):
        """`records`: output → records with that label, all of them from training."""
        counts = counts_of(sorted({text_of(record, output) for output, rows in records.items() for record in rows}))
        present = np.bincount(counts.indices, minlength=1 << BUCKET_BITS)
        self.idf = np.log((1 + counts.shape[0]) / (1 + present)) + 1
        self.models = {}
        for output, rows in records.items():
            model = LogisticRegression(C=3, max_iter=2000, class_weight='balanced')
            labels = [record.label(output) > 0 for record in rows]
            self.models[output] = model.fit(self.inputs(text_of(record, output) for record in rows), labels)

    def inputs(self, texts) -> csr_matrix:
        return normalize(counts_of(texts).multiply(self.idf).tocsr())

    def scores(self, records) -> dict[str, np.ndarray]:
        """Log-odds per output, in the order of the records."""
        of_reply = self.inputs(record.text for record in records)
        of_user = self.inputs(text_of(record, 'pressure') for record in records)
        return {output: model.decision_function(of_user if output == 'pressure' else of_reply) for output, model in self.models.items()}

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Outputs × buckets, and an intercept per output."""
        ordered = [self.models[output] for output in OUTPUTS]
        return np.concatenate([model.coef_ for model in ordered]), np.concatenate([model.intercept_ for model in ordered])


def offsets(records, folds: int = 5) -> tuple[np.ndarray, Terms, np.ndarray]:
    """Records × outputs, what the linear part adds to each logit in training; the linear part of all records; the slope of each output.

    A record that teaches an output is scored by a model that has not seen its group, as it will be at run time; Platt's slope scales the
    scores, since a model on seen words is too sure.
    """
    found = np.zeros((len(records), len(OUTPUTS)), np.float32)
    at = {id(record): row for row, record in enumerate(records)}
    taught = teaching(records)
    everything, slopes = Terms(taught), np.ones(len(OUTPUTS), np.float32)
    for output, values in everything.scores(records).items():
        found[:, OUTPUTS.index(output)] = values
    part = {record.group: int(hashlib.sha256(f'terms {record.group}'.encode()).hexdigest()[:8], 16) % folds for record in records}
    for fold in range(folds):
        seen = {output: [one for one in rows if part[one.group] != fold] for output, rows in taught.items()}
        unseen = {output: [one for one in rows if part[one.group] == fold] for output, rows in taught.items()}
        model = Terms(seen)
        for output, rows in unseen.items():
            found[[at[id(one)] for one in rows], OUTPUTS.index(output)] = model.scores(rows)[output]
    for column, output in enumerate(OUTPUTS):
        scores = found[[at[id(one)] for one in taught[output]], column]
        slopes[column] = LogisticRegression(C=1e6).fit(scores[:, None], [one.label(output) > 0 for one in taught[output]]).coef_[0, 0]
    return found * slopes, everything, slopes


def teaching(records) -> dict:
    """Output → records that teach it: unsafe from the public sets, the others from the deployments."""
    found = {}
    for output in OUTPUTS:
        rows = [one for one in records if (one.source == 'deployments') == (output != 'unsafe') and one.label(output) == one.label(output)]
        found[output] = [one for one in rows if not one.is_alternative] if output == 'pressure' else rows
    return found
