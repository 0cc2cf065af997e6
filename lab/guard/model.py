"""The guard: an encoder that reads rules, history, user message and reply, and one linear layer to five logits.

Features of the linear layer: means of the last hidden state over the reply, over the whole input and over the user's tokens, each doubled.
The two refusal flags are added linearly. The embedding tables stay those of the encoder, so that the package shares them.

Token type 1 marks the reply. Encoders with one type or none (RoBERTa, XLM-R, MPNet, DistilBERT) get a learned vector instead, which is added to
the embeddings of the reply's tokens and begins at zero. A guard's folder has a table of two types for all of them, whose first row is what the
encoder gives every token by itself.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, logging

from records import OUTPUTS, Record
from segments import Budgets, Encoding, assemble, collate, windows

FEATURE_SCALE = 2.0
# Where training begins: a refusal speaks against harm and against compliance.
FLAG_START = {'unsafe': (-2.0, -1.0), 'breaks': (-1.0, -0.5), 'wavers': (-1.0, -0.5), 'complies': (-3.0, -1.0), 'pressure': (0.0, 0.0)}
SHOWN_LINES = 5
BERT = {'hidden_dropout_prob': 0.0, 'attention_probs_dropout_prob': 0.0, 'add_pooling_layer': False}
# How each family is loaded, without dropout and pooler.
FAMILIES = {'bert': BERT, 'roberta': BERT, 'xlm-roberta': BERT, 'mpnet': BERT, 'distilbert': {'dropout': 0.0, 'attention_dropout': 0.0}}
WORDS, TYPES = 'embeddings.word_embeddings.weight', 'embeddings.token_type_embeddings.weight'


class Guard(nn.Module):
    """`blocks`: the context does not see the reply, so that its states could be computed once for all windows (an experiment: LOG.md)."""

    def __init__(self, encoder: Path, blocks: bool = False):
        super().__init__()
        self.blocks = blocks
        logging.set_verbosity_error()
        config = AutoConfig.from_pretrained(str(encoder))
        if config.model_type not in FAMILIES:
            raise SystemExit(f'{encoder}: model_type {config.model_type}; a guard can be trained on {", ".join(FAMILIES)}')
        self.ends = Encoding(encoder).ends
        self.encoder = AutoModel.from_pretrained(str(encoder), **FAMILIES[config.model_type])
        for parameter in self.encoder.parameters():
            parameter.requires_grad = False
        for parameter in self.layers.parameters():
            parameter.requires_grad = True
        has_types = getattr(config, 'type_vocab_size', 1) > 1
        self.register_parameter('reply_type', None if has_types else nn.Parameter(torch.zeros(config.hidden_size)))
        self.head = nn.Linear(3 * config.hidden_size, len(OUTPUTS))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.flags = nn.Linear(2, len(OUTPUTS), bias=False)
        with torch.no_grad():
            self.flags.weight.copy_(torch.tensor([FLAG_START[name] for name in OUTPUTS]))
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids, types, mask, of_user, flags):
        states = self.hidden(ids, types, mask).float()

        def mean(weights):
            weights = weights[..., None].float()
            return (states * weights).sum(1) / weights.sum(1).clamp(min=1)

        features = torch.cat([mean(mask * types), mean(mask), mean(of_user)], 1) * FEATURE_SCALE
        return self.head(self.dropout(features)) + self.flags(flags)

    def hidden(self, ids, types, mask):
        """The last hidden state."""
        if self.blocks:  # added to the scores of attention: rows × 1 × tokens × tokens seen
            mask = ((mask[:, None] * torch.maximum(types[:, :, None], 1 - types[:, None]) - 1) * 1e4)[:, None].float()
        if self.reply_type is None:
            return self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        embeddings = self.encoder.embeddings
        words = embeddings.word_embeddings(ids) + types[..., None] * self.reply_type
        # Without ids, RoBERTa and MPNet would not know which tokens their positions leave out.
        padding, positions = getattr(embeddings, 'padding_idx', None), None
        if padding is not None:
            counted = ids.ne(padding)
            positions = counted.cumsum(1) * counted + padding
        return self.encoder(inputs_embeds=words, attention_mask=mask, position_ids=positions).last_hidden_state

    @property
    def layers(self):
        return (self.encoder.transformer if self.encoder.config.model_type == 'distilbert' else self.encoder.encoder).layer

    def new_parameters(self) -> list:
        """Those that begin untrained."""
        return [*self.head.parameters(), *([] if self.reply_type is None else [self.reply_type])]


def stored_encoder(weights: dict, whole: bool = False) -> dict:
    """The tensors of the encoder that a guard's folder has: those that training changes, or the whole of it."""
    encoder = {name.removeprefix('encoder.'): value for name, value in weights.items() if name.startswith('encoder.')}
    tensors = {
        name: value.bfloat16() if '.layer.' in name or name == WORDS else value.float()
        for name, value in encoder.items()
        if '.layer.' in name or whole
    }
    if 'reply_type' not in weights:
        return tensors | {TYPES: encoder[TYPES][:2].bfloat16()}
    of_all = encoder[TYPES][0] if TYPES in encoder else torch.zeros_like(weights['reply_type'])
    return tensors | {TYPES: torch.stack([of_all, of_all + weights['reply_type']]).float()}


def load_runs(runs) -> tuple[dict, dict]:
    """The mean of the weights of runs, FILE or FILE=SHARE (Wortsman et al. 2022, Model soups), and the settings of the first one."""
    parts = [str(run).partition('=') for run in runs]
    shares = [float(share or 1) for _, _, share in parts]
    found = [torch.load(path, weights_only=False) for path, _, _ in parts]
    for run in found:  # guard-3 and guard-4 have a sixth output, which was tried as a gate of the linear part
        run['guard'] |= {name: run['guard'][name][: len(OUTPUTS)] for name in ('head.weight', 'head.bias')}
    mean = {
        name: sum(share * run['guard'][name].double() for share, run in zip(shares, found)) / sum(shares) for name in found[0]['guard']
    }
    return {name: value.to(found[0]['guard'][name].dtype) for name, value in mean.items()}, found[0]['settings']


def shown_rules(record: Record, budgets: Budgets) -> np.ndarray:
    """What the product shows: the closest lines of the system prompt, closest first."""
    lines = [record.lines[at] for at in record.line_order[:SHOWN_LINES]]
    return np.concatenate(lines)[: budgets.rules] if lines else record.prompt[: budgets.rules]


def combined(scores, terms, output: str) -> np.ndarray:
    """Log-odds of an output: the encoder's logit and the linear part's."""
    return scores[:, OUTPUTS.index(output)] + terms


def no_rules(record: Record, _: Budgets) -> np.ndarray:
    return record.prompt[:0]


@torch.inference_mode()
def logits(guard: Guard, records, budgets: Budgets, rules=shown_rules, has_history=True, has_user=True) -> np.ndarray:
    """Records × outputs in float32: over the windows of a reply, the greatest of each."""
    guard.eval()
    inputs = []
    for row, record in enumerate(records):
        shown = rules(record, budgets)
        history = record.history[-budgets.history :] if has_history else record.history[:0]
        user = record.user[-budgets.user :] if has_user else record.user[:0]
        parts = windows(record.reply, budgets.reply, budgets.reply_stride)[:12]
        inputs += [(row, record.flags, assemble(guard.ends, shown, history, user, part)) for part in parts]
    inputs.sort(key=lambda one: len(one[2][0]))
    found = np.full((len(records), len(OUTPUTS)), -np.inf, np.float32)
    for start in range(0, len(inputs), 32):
        batch = inputs[start : start + 32]
        with torch.autocast('cpu', torch.bfloat16):
            scores = guard(*collate([one for _, _, one in batch]), torch.tensor([flags for _, flags, _ in batch]))
        for (row, _, _), values in zip(batch, scores.float().numpy()):
            found[row] = np.maximum(found[row], values)
    return found
