#!/usr/bin/env python3
"""Writes models of the four published sizes with random weights, and what sentence-transformers makes of 200 texts with them:

    build/full-depth/<model>/                a folder in the sentence-transformers layout: 6 or 12 layers, the whole vocabulary
    build/full-depth/<model>/golden.json.gz  the ids of each text; the vectors lie in golden.f32, of every n-th text as "every" says
    build/full-depth/texts.json.gz           the texts, 1 to 600 tokens, in eight scripts and more

The set-up for the tests runs it, in the Python environment that it makes from requirements.txt. Nothing of it is committed.
Each text runs alone (no padding), in float32. The models of 768 dimensions take 35 seconds for all texts and their tests as long, so they
have vectors of every third one: all scripts and lengths are among them. With `--whole` they have all.
"""

import argparse
import csv
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer

from full_vocabularies import mpnet_word_piece, unigram, word_piece
from make_family import ANGLE_TOKENS, BERT_TOKENS, SENTENCES, fast_tokenizer, make_texts, spread_weights, write_packed

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "full-depth"
# The position tables end here; longer texts are cut.
LONGEST = 512
MINI = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536}
BASE = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 12}
# Vectors of every n-th text. Scripts repeat every tenth text.
EVERY = {MINI["hidden_size"]: 1, BASE["hidden_size"]: 3}
MODELS = {
    "all-MiniLM-L6-v2": ("bert", {**MINI, "num_hidden_layers": 6}),
    "all-MiniLM-L12-v2": ("bert", {**MINI, "num_hidden_layers": 12}),
    "all-mpnet-base-v2": ("mpnet", BASE),
    "paraphrase-multilingual-mpnet-base-v2": ("xlm-roberta", BASE),
}


def corpus() -> list[str]:
    with open(ROOT / "data" / "stsb-en-dev.csv", encoding="utf-8", newline="") as file:
        english = [sentence for row in csv.reader(file) for sentence in row[:2]]
    # The few sentences of the other scripts count as much as the English ones.
    return [*dict.fromkeys(english), *(list(SENTENCES.values()) * 20)]


def architecture(kind: str, sizes: dict):
    """The tokenizer and an untrained encoder."""
    if kind == "bert":
        fast = fast_tokenizer(word_piece(), BERT_TOKENS, LONGEST)
        return fast, transformers.BertModel(transformers.BertConfig(**sizes, vocab_size=len(fast), max_position_embeddings=LONGEST))
    fast = fast_tokenizer(mpnet_word_piece() if kind == "mpnet" else unigram(corpus()), ANGLE_TOKENS, LONGEST)
    if kind == "mpnet":
        return fast, transformers.MPNetModel(transformers.MPNetConfig(**sizes, vocab_size=len(fast), max_position_embeddings=LONGEST + 2))
    config = transformers.XLMRobertaConfig(
        **sizes, vocab_size=len(fast), max_position_embeddings=LONGEST + 2, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1
    )
    return fast, transformers.XLMRobertaModel(config)


def build(folder: Path, kind: str, sizes: dict) -> SentenceTransformer:
    torch.manual_seed(6)
    fast, encoder = architecture(kind, sizes)
    # The matrices' spread is what transformers itself begins training with; the tiny models have a wider one.
    spread_weights(encoder, 0.02 * (768 / sizes["hidden_size"]) ** 0.5)
    inner = folder.with_name(f".{folder.name}.encoder")
    encoder.save_pretrained(inner)
    fast.save_pretrained(inner)
    modules = [Transformer(str(inner), max_seq_length=LONGEST), Pooling(sizes["hidden_size"], pooling_mode="mean"), Normalize()]
    model = SentenceTransformer(modules=modules, device="cpu")
    shutil.rmtree(folder, ignore_errors=True)
    model.save(str(folder), create_model_card=False)
    shutil.rmtree(inner)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights, made by scripts/golden/make_full_depth.py.\n")
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=list(MODELS), action="append")
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    # More threads would only wait for each other over texts this short.
    torch.set_num_threads(1)
    texts = make_texts(counts=(1, 2, 3, 5, 9, 17, 33, 65), longest=5)
    OUT.mkdir(parents=True, exist_ok=True)
    write_packed(OUT / "texts.json.gz", texts)
    for name in given.only or MODELS:
        started = time.monotonic()
        folder = OUT / name
        model = build(folder, *MODELS[name])
        every = 1 if given.whole else EVERY[MODELS[name][1]["hidden_size"]]
        chosen = texts[::every]
        vectors = np.stack([model.encode(text, batch_size=1, convert_to_numpy=True, show_progress_bar=False) for text in chosen])
        ids = [model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"] for text in texts]
        whole = [len(model.tokenizer(text, truncation=False)["input_ids"]) for text in texts]
        (folder / "golden.f32").write_bytes(vectors.astype("<f4").tobytes())
        write_packed(folder / "golden.json.gz", {"dimensions": vectors.shape[1], "ids": ids, "every": every})
        tokens = f"{min(whole)} to {max(whole)} tokens, {sum(map(len, ids))} in all"
        print(f"{name}: {vectors.shape[1]} dimensions, {tokens}, {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
