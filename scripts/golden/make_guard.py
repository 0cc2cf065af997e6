#!/usr/bin/env python3
"""Writes guards without training, and what PyTorch makes of some inputs with them:

    build/classifiers/guard/guard.json, model.safetensors   the folder that a guard is: its layers, token types and head
    build/classifiers/guard/golden.json                     inputs as segments of strings, tokens and logits of each window
    build/classifiers/guards/<family>/shared, whole         tiny guards by lab/guard, without and with all of their encoder
    build/classifiers/guards/<family>/encoder               that encoder as sentence-transformers saves it
    build/classifiers/guards/<family>/golden.json

    build/golden/bin/python scripts/golden/make_guard.py

The first one's layers are those of all-MiniLM-L6-v2 with noise; type 1 and the head are random. Word embeddings and linear weights are rounded
to bf16, as the files store them, and computed with in float32: kernels in fp32 must agree to the last digits.
"""

import hashlib
import json
import random
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from tokenizers import Tokenizer
from torch import nn

from make_family import architecture, spread_weights
from unicode_texts import torture_texts

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "lab" / "guard"))
import model as lab
from segments import Budgets, Encoding, assemble, collate, windows

SOURCE = ROOT / "build" / "cache" / "all-MiniLM-L6-v2"
BUNDLED = ROOT / "models" / "all-MiniLM-L6-v2"
GUARD = ROOT / "build" / "classifiers" / "guard"
GUARDS = ROOT / "build" / "classifiers" / "guards"
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


def tiny_encoder(family: str, folder: Path) -> None:
    """An untrained encoder of the smallest sizes that the kernels compute."""
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2}
    fast, encoder = architecture("bert" if family == "distilbert" else family, sizes, "gelu")
    if family == "distilbert":
        config = transformers.DistilBertConfig(vocab_size=len(fast), dim=64, n_heads=2, n_layers=2, hidden_dim=128)
        encoder = transformers.DistilBertModel(config)
    spread_weights(encoder, 1 / sizes["hidden_size"] ** 0.5)  # as wide as weights after training are
    encoder.bfloat16().float().save_pretrained(folder / "inner")
    fast.save_pretrained(folder / "inner")
    modules = [Transformer(str(folder / "inner"), max_seq_length=512), Pooling(sizes["hidden_size"])]
    SentenceTransformer(modules=modules, device="cpu").save(str(folder / "encoder"), create_model_card=False)
    shutil.rmtree(folder / "inner")


def family_guard(encoder: Path) -> lab.Guard:
    """A guard as after training: its layers differ from the encoder's, its own parameters from zero."""
    guard = lab.Guard(encoder).eval()
    with torch.no_grad():
        for parameter in guard.layers.parameters():
            parameter.add_(0.1 * parameter.std() * torch.randn_like(parameter))
        for parameter in guard.new_parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter))
        for parameter in guard.layers.parameters():
            parameter.copy_(parameter.bfloat16().float())
    return guard


def family_golden(guard: lab.Guard, encoding: Encoding, segments: list[list[str]]) -> dict:
    budgets = Budgets()
    rules, history, user, reply = ([id for text in texts for id in encoding.ids(text)] for texts in segments)
    context = rules[: budgets.rules], history[-budgets.history :], user[-budgets.user :]
    inputs = [assemble(guard.ends, *context, window) for window in windows(reply, budgets.reply, budgets.reply_stride)]
    with torch.inference_mode():
        logits = guard(*collate(inputs), torch.zeros(len(inputs), 2))
    return {"segments": segments, "tokens": [len(ids) for ids, _, _ in inputs], "logits": logits.tolist()}


def write_family(family: str, inputs: list[list[list[str]]]) -> None:
    folder = GUARDS / family
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(19)
    tiny_encoder(family, folder)
    encoder = folder / "encoder"
    guard = family_guard(encoder)
    weights = guard.state_dict()
    for name in ("shared", "whole"):
        (folder / name).mkdir()
        tensors = lab.stored_encoder(weights, name == "whole") | {f"head.{part}": weights[f"head.{part}"] for part in ("weight", "bias")}
        save_file(tensors, folder / name / "model.safetensors")
        (folder / name / "guard.json").write_text(json.dumps(describe(encoder)))
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(encoder / name, folder / "whole" / name)
    guard.encoder.double()  # of a difference to float32 states, half would be the rounding of the reference itself
    encoding = Encoding(encoder)
    cases = [family_golden(guard, encoding, segments) for segments in inputs]
    (folder / "golden.json").write_text(json.dumps(cases))
    print(f"{family}: {sum(len(case['tokens']) for case in cases)} windows", flush=True)


def describe(encoder: Path) -> dict:
    """What is in guard.json."""
    tokenizer = hashlib.sha256((encoder / "tokenizer.json").read_bytes()).hexdigest()
    return {
        "version": 1,
        "encoder": {"name": encoder.name, "tokenizerSha256": tokenizer},
        "outputs": OUTPUTS,
        "budgets": BUDGETS,
        "features": ["mean:reply", "mean:all", "mean:user"],
        "featureScale": SCALE,
    }


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
    (GUARD / "guard.json").write_text(json.dumps(describe(BUNDLED), indent=2))
    cases = [golden(guard, tokenizer, segments) for segments in make_inputs()]
    (GUARD / "golden.json").write_text(json.dumps(cases))
    print(f"{len(cases)} inputs, {sum(len(case['tokens']) for case in cases)} windows", flush=True)
    # RoBERTa and MPNet count positions without the padding token, which a text can contain.
    padding = [["x <pad> y"], ["user:", "<pad>"], ["a <pad> b"], ["<pad> <pad> c </s> d [SEP]"]]
    for family in lab.FAMILIES:
        write_family(family, [*make_inputs(), padding])


if __name__ == "__main__":
    main()
