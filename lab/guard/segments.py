"""Turns rules, history, user message and reply into token ids, and token ids into the input of the guard.

Input: [CLS] rules [SEP] history [SEP] user [SEP] reply [SEP]. Empty rules and an empty history are left out with their [SEP].
Other tokenizers have <s> and </s> for [CLS] and [SEP]: what they put before and after a text. Token type 1 marks the reply and its [SEP].
`lib/detection/guard` and `lib/classifier` build the same input at run time.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

EMPTY = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Budgets:
    """Tokens of each segment. Rules and reply keep their head; history and user keep their tail."""

    rules: int = 150
    history: int = 96
    user: int = 64
    reply: int = 190
    reply_stride: int = 150


# Phrases of a refusal, early in the reply or anywhere. They enter the model as two features.
REFUSAL = re.compile(
    r"\b(i'?m sorry|i am sorry|sorry,? (but )?i|i apologi[sz]e|i can'?t|i cannot|i can not|i won'?t|i will not|i'?m not able"
    r"|i am not able|i'?m unable|i am unable|unable to (assist|help|provide|fulfil)|i must (decline|refuse)"
    r'|i (have to|need to) decline|not (appropriate|comfortable)|against my|as an ai|i do not (feel|condone|support|encourage)'
    r"|i don'?t (feel comfortable|condone|support|encourage)|can'?t (assist|help|provide|fulfil)"
    r'|cannot (assist|help|provide|fulfil)|it is (illegal|unethical|not ethical)|illegal and unethical'
    r'|not able to (assist|help|provide))\b',
    re.I,
)
REFUSAL_HEAD = 220  # characters


def refusal_flags(reply: str) -> tuple[float, float]:
    """A refusal phrase in the first 220 characters; a refusal phrase anywhere."""
    text = reply.replace('\u2019', "'")
    return float(bool(REFUSAL.search(text[:REFUSAL_HEAD]))), float(bool(REFUSAL.search(text)))


class Encoding:
    """Token ids of strings without special tokens, each string once. `ends`: the tokens before and after a text."""

    def __init__(self, encoder: Path):
        self.tokenizer = Tokenizer.from_file(str(encoder / 'tokenizer.json'))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.ends = tuple(self.tokenizer.encode('').ids)
        self.cache: dict[str, np.ndarray] = {}

    def ids(self, text: str) -> np.ndarray:
        if text not in self.cache:
            self.cache[text] = np.array(self.tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
        return self.cache[text]

    def history(self, exchanges) -> np.ndarray:
        """Ids of (user, assistant) pairs, oldest first."""
        parts = [EMPTY]
        for user, assistant in exchanges:
            parts += [self.ids('user:'), self.ids(user), self.ids('assistant:'), self.ids(assistant)]
        return np.concatenate(parts)


def assemble(ends, rules, history, user, reply) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids, token types and the mask of the user's tokens, of segments that are within their budgets. `ends`: see `Encoding`."""
    begin, separator = ([end] for end in ends)
    head = [begin]
    head += [part for segment in (rules, history) if len(segment) for part in (segment, separator)]
    context = np.concatenate(head)
    ids = np.concatenate([context, user, separator, reply, separator]).astype(np.int64)
    types = np.zeros(len(ids), np.int64)
    types[len(context) + len(user) + 1 :] = 1
    of_user = np.zeros(len(ids), np.int64)
    of_user[len(context) : len(context) + len(user) + 1] = 1
    return ids, types, of_user


def collate(inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids, token types, attention mask and user mask of a padded batch."""
    batch = np.zeros((4, len(inputs), max(len(ids) for ids, _, _ in inputs)), np.int64)
    for row, (ids, types, of_user) in enumerate(inputs):
        for plane, values in enumerate((ids, types, np.ones(len(ids)), of_user)):
            batch[plane, row, : len(ids)] = values
    return tuple(torch.from_numpy(batch))


def windows(reply: np.ndarray, size: int, stride: int) -> list[np.ndarray]:
    """Windows of a reply; an empty reply has one empty window."""
    starts = [0]
    while starts[-1] + size < len(reply):
        starts.append(starts[-1] + stride)
    return [reply[start : start + size] for start in starts]
