#!/usr/bin/env python3
"""Writes a guard without training, and what PyTorch makes of some inputs with it:

    build/classifiers/guard/guard.json, model.safetensors   the folder that a guard is: its layers, token types and head
    build/classifiers/guard/golden.json                     inputs as segments of strings, tokens and logits of each window

    build/golden/bin/python scripts/golden/make_guard.py

Its layers are those of all-MiniLM-L6-v2 with noise; type 1 and the head are random. Word embeddings and linear weights are rounded to bf16,
as the files store them, and computed with in float32: kernels in fp32 must agree to the last digits.
"""

import hashlib
import json
import random
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import nn

from unicode_texts import torture_texts

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build" / "cache" / "all-MiniLM-L6-v2"
BUNDLED = ROOT / "models" / "all-MiniLM-L6-v2"
GUARD = ROOT / "build" / "classifiers" / "guard"
OUTPUTS = ["unsafe", "breaks", "wavers", "complies", "pressure"]
BUDGETS = {"rules": 150, "history": 96, "user": 64, "reply": 190, "replyStride": 150}
SCALE = 2
CLS, SEP = 101, 102

SENTENCES = [
    "Refunds are given within thirty days of the purchase.", "Never promise a delivery date.", "Do you open on Sundays?",
    "The ferry leaves at half past six.", "I can look up your order if you tell me its number.", "Speak to a vet first.",
    "That is not something I may decide.", "Only staff may see the list of members.", "Grüße aus Köln, naïve café!",
    "安静的港口在黎明前醒来", "What about the blue one, then?", "Thank you; the parcel has arrived.",
]  # fmt: skip


def make_inputs() -> list[list[list[str]]]:
    """Rules, history, user and reply, each as a list of strings; short, long, empty, and in odd characters."""
    chance = random.Random(19)
    some = lambda least, most: [chance.choice(SENTENCES) for _ in range(chance.randint(least, most))]
    inputs = [
        [[], [], [""], [""]],
        [["Never promise a delivery date."], [], ["When?"], ["Soon."]],
        [[], ["user:", "Hello", "assistant:", "Hello!"], ["Bye"], ["Bye."]],
        [[" ".join(some(40, 40))], [" ".join(some(40, 40))], [" ".join(some(30, 30))], [" ".join(some(80, 80))]],
    ]
    odd = [text for text in torture_texts() if 0 < len(text) < 400]
    for index in range(36):
        history = [part for _ in range(chance.randint(0, 6)) for part in ("user:", " ".join(some(1, 4)), "assistant:", " ".join(some(1, 6)))]
        reply = odd[index % len(odd)] if index % 5 == 0 else " ".join(some(1, 60 if index % 4 == 0 else 8))
        inputs.append([some(0, 14), history, [" ".join(some(1, 9))], [reply]])
    return inputs


def windows_of(tokens: list[int]) -> list[list[int]]:
    size, stride = BUDGETS["reply"], BUDGETS["replyStride"]
    starts = [0]
    while starts[-1] + size < len(tokens):
        starts.append(starts[-1] + stride)
    return [tokens[start : start + size] for start in starts]


class Guard(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(19)
        self.encoder = transformers.BertModel.from_pretrained(SOURCE, add_pooling_layer=False, attn_implementation="eager").eval()
        self.head = nn.Linear(3 * self.encoder.config.hidden_size, len(OUTPUTS))
        with torch.no_grad():
            for parameter in self.encoder.encoder.parameters():
                parameter.add_(0.1 * parameter.std() * torch.randn_like(parameter)) if parameter.dim() > 1 else None
            self.encoder.embeddings.token_type_embeddings.weight[1] = 0.05 * torch.randn(self.encoder.config.hidden_size)
            self.head.weight.copy_(0.2 * torch.randn_like(self.head.weight))
            for name, parameter in self.encoder.named_parameters():
                if parameter.dim() > 1 and ("word_embeddings" in name or name.startswith("encoder.")):
                    parameter.copy_(parameter.bfloat16().float())

    def forward(self, ids: list[int], reply: int, user: tuple[int, int]) -> torch.Tensor:
        """`reply` is where the reply's tokens start, `user` where the user's are; both with their separators."""
        types = [0] * reply + [1] * (len(ids) - reply)
        hidden = self.encoder(input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([types])).last_hidden_state[0]
        means = [hidden[reply:].mean(0), hidden.mean(0), hidden[slice(*user)].mean(0)]
        return self.head(torch.cat(means) * SCALE)


def golden(guard: Guard, tokenizer: Tokenizer, segments: list[list[str]]) -> dict:
    rules, history, user, reply = (
        [id for text in texts for id in tokenizer.encode(text, add_special_tokens=False).ids] for texts in segments
    )
    before = [CLS]
    for tokens in (rules[: BUDGETS["rules"]], history[-BUDGETS["history"] :]):
        before += [*tokens, SEP] if tokens else []
    start = len(before)
    before += [*user[-BUDGETS["user"] :], SEP]
    windows = [[*before, *window, SEP] for window in windows_of(reply)]
    with torch.inference_mode():
        logits = torch.stack([guard(ids, len(before), (start, len(before))) for ids in windows])
    return {"segments": segments, "tokens": [len(ids) for ids in windows], "logits": logits.tolist()}


def main() -> None:
    torch.set_num_threads(1)
    guard = Guard()
    tokenizer = Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    GUARD.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: tensor.bfloat16() if tensor.dim() > 1 and name.startswith("encoder.") else tensor
        for name, tensor in guard.encoder.state_dict().items()
        if name.startswith("encoder.") or "token_type_embeddings" in name
    }
    tensors |= {"head.weight": guard.head.weight.data, "head.bias": guard.head.bias.data}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, GUARD / "model.safetensors")
    description = {
        "version": 1,
        "encoder": {
            "name": "all-MiniLM-L6-v2",
            "tokenizerSha256": hashlib.sha256((BUNDLED / "tokenizer.json").read_bytes()).hexdigest(),
        },
        "outputs": OUTPUTS,
        "budgets": BUDGETS,
        "features": ["mean:reply", "mean:all", "mean:user"],
        "featureScale": SCALE,
    }
    (GUARD / "guard.json").write_text(json.dumps(description, indent=2))
    cases = [golden(guard, tokenizer, segments) for segments in make_inputs()]
    (GUARD / "golden.json").write_text(json.dumps(cases))
    print(f"{len(cases)} inputs, {sum(len(case['tokens']) for case in cases)} windows")


if __name__ == "__main__":
    main()
