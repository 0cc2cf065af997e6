#!/usr/bin/env python3
"""Writes what sentence-transformers makes of the published all-MiniLM-L6-v2 and real texts:

    build/minilm/texts.json.gz    2,000 texts: sentences of the STS benchmark, messages of dialogues
    build/minilm/golden.json.gz   the ids of each text; the vectors lie in golden.f32
    build/minilm/sts.json         Spearman's rank correlation on the STS benchmark's test set

The set-up for the tests runs it, in the Python environment that it makes from requirements.txt, after
`node scripts/bundle-model.mjs --source-only`. Nothing of it is committed. In float32.
"""

import csv
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer

from make_family import write_packed
from make_tokens import benchmark_sentences, dialogue_texts
from make_vectors import MAX_TOKENS, spread

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "build" / "cache" / "all-MiniLM-L6-v2"
OUT = ROOT / "build" / "minilm"
SENTENCES, DIALOGUES = 1600, 400


def main() -> None:
    torch.set_num_threads(1)
    model = SentenceTransformer(str(SOURCE), device="cpu", local_files_only=True)
    if model.max_seq_length != MAX_TOKENS:
        raise SystemExit(f"expected {MAX_TOKENS} tokens, got {model.max_seq_length}")
    OUT.mkdir(parents=True, exist_ok=True)

    texts = spread(list(dict.fromkeys(benchmark_sentences())), SENTENCES) + spread(list(dict.fromkeys(dialogue_texts())), DIALOGUES)
    vectors = model.encode(texts, batch_size=32, convert_to_numpy=True, show_progress_bar=False)
    ids = [model.tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"] for text in texts]
    write_packed(OUT / "texts.json.gz", texts)
    write_packed(OUT / "golden.json.gz", {"dimensions": vectors.shape[1], "ids": ids})
    (OUT / "golden.f32").write_bytes(vectors.astype("<f4").tobytes())

    with open(ROOT / "data" / "stsb-en-test.csv", newline="", encoding="utf-8") as file:
        first, second, scores = zip(*csv.reader(file), strict=True)
    a, b = (model.encode(list(texts), batch_size=32, convert_to_numpy=True, show_progress_bar=False) for texts in (first, second))
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    spearman = float(spearmanr(cosines, [float(score) for score in scores]).statistic)
    (OUT / "sts.json").write_text(json.dumps({"pairs": len(scores), "spearman": spearman}) + "\n")
    print(f"{len(texts)} texts, {sum(map(len, ids))} tokens; Spearman {spearman:.6f} on {len(scores)} pairs")


if __name__ == "__main__":
    main()
