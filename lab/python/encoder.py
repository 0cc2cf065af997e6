"""The encoder of all-MiniLM-L6-v2 with a head that reads user and reply as one text. Knows pieces and scores, no data sets."""

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

WIDTH, HEADS, LAYERS, FROZEN = 384, 12, 6, 2
# Unsafe replies rarely refuse: left at zero, these two weights do not find their place in so few steps.
FLAG_START = (-2.0, -1.0)


class Layer(nn.Module):
    """One BERT layer, normalized after each part."""

    def __init__(self, dropout: float):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.attended_norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.widen, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states, mask):
        rows, length, _ = states.shape
        parts = (part(states).view(rows, length, HEADS, -1).transpose(1, 2) for part in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(*parts, attn_mask=mask)
        attended = self.attended(attended.transpose(1, 2).reshape(rows, length, WIDTH))
        states = self.attended_norm(states + self.dropout(attended))
        return self.norm(states + self.dropout(self.narrow(F.gelu(self.widen(states)))))


class PairEncoder(nn.Module):
    """Scores of a pair: unsafe, and (a helper of training) complies."""

    def __init__(self, dropout: float = 0.1):
        super().__init__()
        self.words = nn.Embedding(30522, WIDTH)
        self.positions = nn.Embedding(512, WIDTH)
        self.types = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(Layer(dropout) for _ in range(LAYERS))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * WIDTH, 2)
        self.flags = nn.Parameter(torch.tensor(FLAG_START))
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        for table in (self.words, self.positions, self.types, self.norm, *self.layers[:FROZEN]):
            table.requires_grad_(False)

    def forward(self, ids, types, mask, flags):
        states = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.types(types)
        states = self.norm(states)
        wide = mask[:, None, None, :]
        for layer in self.layers:
            states = layer(states, wide)
        reply = (mask & (types == 1)).unsqueeze(-1)
        every = mask.unsqueeze(-1)
        mean = [(states * part).sum(1) / part.sum(1).clamp(min=1) for part in (reply, every)]
        scores = self.head(self.dropout(2 * torch.cat(mean, 1)).float())
        return torch.stack((scores[:, 0] + flags @ self.flags, scores[:, 1]), 1)


def load_encoder(checkpoint: str, dropout: float = 0.1) -> PairEncoder:
    """From the published weights."""
    published = load_file(checkpoint)
    model = PairEncoder(dropout)
    names = {
        'words.weight': 'embeddings.word_embeddings.weight',
        'positions.weight': 'embeddings.position_embeddings.weight',
        'types.weight': 'embeddings.token_type_embeddings.weight',
        'norm': 'embeddings.LayerNorm',
    }
    parts = {
        'query': 'attention.self.query', 'key': 'attention.self.key', 'value': 'attention.self.value',
        'attended': 'attention.output.dense', 'attended_norm': 'attention.output.LayerNorm',
        'widen': 'intermediate.dense', 'narrow': 'output.dense', 'norm': 'output.LayerNorm',
    }  # fmt: skip
    names |= {f'layers.{i}.{ours}': f'encoder.layer.{i}.{theirs}' for i in range(LAYERS) for ours, theirs in parts.items()}
    state = model.state_dict()
    for ours, theirs in names.items():
        for ending in ('',) if ours.endswith('.weight') else ('.weight', '.bias'):
            state[ours + ending] = published[theirs + ending].float()
    model.load_state_dict(state)
    return model


def parameter_groups(model: PairEncoder, rate: float, head_rate: float, flag_rate: float, layer_decay: float, decay: float):
    """Lower layers learn more slowly; biases and norms are not decayed."""
    groups = [
        {'params': list(model.head.parameters()), 'lr': head_rate, 'weight_decay': decay},
        {'params': [model.flags], 'lr': flag_rate, 'weight_decay': 0.0},
    ]
    for index, layer in enumerate(model.layers):
        if index < FROZEN:
            continue
        own = rate * layer_decay ** (LAYERS - 1 - index)
        for is_matrix in (True, False):
            members = [p for p in layer.parameters() if (p.dim() > 1) == is_matrix]
            groups.append({'params': members, 'lr': own, 'weight_decay': decay if is_matrix else 0.0})
    return groups
