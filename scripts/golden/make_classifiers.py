#!/usr/bin/env python3
"""Writes tiny classifiers of every architecture with random weights, as transformers saves them, and what transformers makes of texts and
pairs with them:

    build/classifiers/<name>/               config.json, tokenizer.json, model.safetensors; of architectures without kernels onnx/model.onnx
    build/classifiers/<name>/golden.json    inputs, how they are truncated, logits in float64

    build/golden/bin/python scripts/golden/make_classifiers.py

The sizes are the smallest that the kernels compute. Each input runs alone, on one thread.
"""

import json
import shutil
import warnings
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, processors
from torch import nn

from make_family import ANGLE_TOKENS, BERT_TOKENS, byte_pairs, fast_tokenizer, make_texts, spread_weights, unigram, word_piece

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "classifiers"
LENGTH = 96
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": LENGTH}
PADDED = {**SIZES, "max_position_embeddings": LENGTH + 2}

# Labels, how they are scored, and the type of the stored weights, so that every reader is used.
CASES = {
    "bert": {"labels": ["contradiction", "entailment", "neutral"], "problem": "single_label_classification"},
    "bert-bf16": {"labels": ["toxic", "insult", "threat", "other"], "problem": "multi_label_classification", "dtype": torch.bfloat16},
    "distilbert": {"labels": None, "problem": None},
    "roberta": {"labels": ["relevance"], "problem": None, "dtype": torch.float16},
    "xlm-roberta": {"labels": ["no", "yes"], "problem": None, "shards": True},
    "mpnet": {"labels": ["relevance"], "problem": "regression"},
    "deberta-v2": {"labels": ["benign", "injection", "jailbreak"], "problem": None, "export": True},
    "modernbert": {"labels": ["bad", "good"], "problem": None, "export": True},
}


def template(tokenizer: Tokenizer, single: str, pair: str, tokens: tuple[str, str]) -> None:
    ids = [(token, tokenizer.token_to_id(token)) for token in tokens]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)


def tokenizer_of(kind: str) -> transformers.PreTrainedTokenizerFast:
    if kind in ("bert", "distilbert", "deberta-v2", "modernbert"):
        tokenizer, special = word_piece(420, BERT_TOKENS, lower=True), BERT_TOKENS
        template(tokenizer, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ("[CLS]", "[SEP]"))
    else:
        special = ANGLE_TOKENS
        tokenizer = {"roberta": byte_pairs, "xlm-roberta": unigram}.get(kind, lambda size, special: word_piece(size, special, lower=True))(420, special)
        if kind == "xlm-roberta":
            template(tokenizer, "<s> $A </s>", "<s> $A </s> </s> $B </s>", ("<s>", "</s>"))
        else:
            ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
            tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    fast = fast_tokenizer(tokenizer, special, LENGTH)
    fast.model_input_names = ["input_ids", "attention_mask"] + (["token_type_ids"] if kind in ("bert", "deberta-v2") else [])
    return fast


def model_of(kind: str, fast, case: dict) -> nn.Module:
    labels = case["labels"]
    shared = {"vocab_size": len(fast), "pad_token_id": fast.pad_token_id, "problem_type": case["problem"]}
    if labels is not None:
        shared |= {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    of = lambda name, **sizes: getattr(transformers, f"{name}ForSequenceClassification")(getattr(transformers, f"{name}Config")(**shared, **sizes))
    match kind:
        case "bert":
            return of("Bert", **SIZES)
        case "distilbert":
            return of("DistilBert", dim=64, n_heads=2, n_layers=2, hidden_dim=128, max_position_embeddings=LENGTH)
        case "roberta":
            return of("Roberta", **PADDED, type_vocab_size=1, layer_norm_eps=1e-5)
        case "xlm-roberta":
            return of("XLMRoberta", **PADDED, type_vocab_size=1, layer_norm_eps=1e-5)
        case "mpnet":
            return of("MPNet", **PADDED, relative_attention_num_buckets=32)
        case "deberta-v2":
            attention = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16, "norm_rel_ebd": "layer_norm"}
            return of("DebertaV2", **SIZES, **attention, type_vocab_size=2)
        case _:
            ids = {"cls_token_id": fast.cls_token_id, "sep_token_id": fast.sep_token_id, "bos_token_id": fast.cls_token_id, "eos_token_id": fast.sep_token_id}
            return of("ModernBert", **SIZES, **ids, attn_implementation="eager")


def export(model: nn.Module, fast, file: Path) -> None:
    file.parent.mkdir(parents=True)
    inputs = fast("the quiet harbour", "before dawn", return_tensors="pt")
    names = list(inputs)
    batch, tokens = torch.export.Dim("batch", max=8), torch.export.Dim("tokens", max=LENGTH)

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *values):
            return self.model(**dict(zip(names, values))).logits

    example = tuple(value.repeat(2, 1) for value in inputs.values())
    axes = {name: {0: "batch", 1: "tokens"} for name in names} | {"logits": {0: "batch"}}
    torch.onnx.export(Logits().eval(), example, str(file), input_names=names, output_names=["logits"], dynamic_axes=axes, dynamo=False)


def make_inputs() -> list[dict]:
    texts = [text for text in make_texts() if len(text) < 900]
    inputs = [{"text": text} for text in texts[::3]]
    for index, text in enumerate(texts):
        pair = {"text": text, "pair": texts[(7 * index + 3) % len(texts)]}
        if index % 3 == 1:
            inputs.append({**pair, "truncation": "longest_first"})
        elif index % 3 == 2 and len(text) < 40:
            inputs.append({**pair, "truncation": "only_second"})
    return inputs


def main() -> None:
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    inputs = make_inputs()
    for name, case in CASES.items():
        kind = name.removesuffix("-bf16")
        folder = OUT / name
        shutil.rmtree(folder, ignore_errors=True)
        torch.manual_seed(19)
        fast = tokenizer_of(kind)
        model = model_of(kind, fast, case)
        # As wide as weights after training are; wider ones would multiply the rounding of each layer.
        spread_weights(model, 1 / SIZES["hidden_size"] ** 0.5)
        model.to(case.get("dtype", torch.float32)).save_pretrained(folder, **({"max_shard_size": "200KB"} if case.get("shards") else {}))
        fast.save_pretrained(folder)
        model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
        if case.get("export"):
            export(model, fast, folder / "onnx" / "model.onnx")
        # Of a difference to float32 logits, half would be the rounding of the reference itself.
        model.double()
        golden = []
        for given in inputs:
            tokens = fast(given["text"], given.get("pair"), truncation=given.get("truncation", True), max_length=LENGTH, return_tensors="pt")
            with torch.inference_mode():
                logits = model(**tokens).logits[0].tolist()
            golden.append({**given, "tokens": tokens["input_ids"].shape[1], "logits": logits})
        (folder / "golden.json").write_text(json.dumps(golden))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print(f"{name}: {len(golden)} inputs, {size} bytes", flush=True)


if __name__ == "__main__":
    main()
