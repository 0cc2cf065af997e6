#!/usr/bin/env python3
"""Writes test/fixtures/tokens.golden.jsonl.gz: what Hugging Face's tokenizer makes of 10,000 texts.

    python3 -m venv build/golden && build/golden/bin/pip install tokenizers==0.23.2
    build/golden/bin/python scripts/golden/make_tokens.py

The first line says what made the file; each line after it is one text:
    text | repeat, times   the text itself, or how to build a big one
    surrogates             hexadecimal UTF-16 units that a host may have in place of the text's U+FFFD, in order
    total                  number of ids with special tokens and without truncation
    ids                    the ids cut to `max_tokens`, special tokens included
    sha256                 of all `total` ids as little-endian int64, where the text was cut
Lines are ASCII and sorted by source, so that the same input gives the same bytes.
"""

import csv
import gzip
import hashlib
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import tokenizers

from unicode_texts import SEED, lone_surrogates, repeated_texts, torture_texts

PACKAGE_VERSION = "0.23.2"
TEXTS = 10_000
MAX_TOKENS = 256
ROOT = Path(__file__).resolve().parents[2]
TOKENIZER_FILE = ROOT / "models" / "all-MiniLM-L6-v2" / "tokenizer.json"
FIXTURE = ROOT / "test" / "fixtures" / "tokens.golden.jsonl.gz"


def benchmark_sentences() -> list[str]:
    """Both sentences of every pair of the STS benchmark's development and test sets."""
    sentences = []
    for name in ("stsb-en-dev.csv", "stsb-en-test.csv"):
        with open(ROOT / "data" / name, newline="", encoding="utf-8") as file:
            for first, second, _score in csv.reader(file):
                sentences += [first, second]
    return sentences


def dialogue_texts() -> list[str]:
    """User texts and replies of MT-Bench-101, in order."""
    with gzip.open(ROOT / "data" / "mt-bench-101.jsonl.gz", "rt", encoding="utf-8") as file:
        return [turn[side] for line in file for turn in json.loads(line)["turns"] for side in ("user", "model")]


def sources() -> Iterator[dict]:
    """The texts without their ids: all sentences, the torture lists, and as many dialogue texts as are left room for."""
    yield from ({"text": text, "surrogates": [f"{unit:04x}" for unit in units]} for text, units in lone_surrogates())
    yield from ({"repeat": piece, "times": times} for piece, times in repeated_texts())
    fixed = len(lone_surrogates()) + len(repeated_texts())
    texts = dict.fromkeys(torture_texts() + benchmark_sentences())
    spread = [text for text in dict.fromkeys(dialogue_texts()) if text not in texts]
    wanted = TEXTS - fixed - len(texts)
    if not 0 < wanted <= len(spread):
        raise SystemExit(f"{len(texts)} fixed texts and {len(spread)} dialogue texts cannot make {TEXTS}")
    yield from ({"text": text} for text in texts)
    yield from ({"text": spread[index * len(spread) // wanted]} for index in range(wanted))


def main() -> None:
    if tokenizers.__version__ != PACKAGE_VERSION:
        raise SystemExit(f"tokenizers {PACKAGE_VERSION} is needed, this is {tokenizers.__version__}")
    definition = TOKENIZER_FILE.read_bytes()
    whole = tokenizers.Tokenizer.from_str(definition.decode())
    whole.no_padding()
    whole.no_truncation()
    cut = tokenizers.Tokenizer.from_str(definition.decode())
    cut.no_padding()
    cut.enable_truncation(MAX_TOKENS)

    head = {
        "made_by": "scripts/golden/make_tokens.py",
        "packages": {"tokenizers": PACKAGE_VERSION},
        "seed": SEED,
        "tokenizer": TOKENIZER_FILE.relative_to(ROOT).as_posix(),
        "tokenizer_sha256": hashlib.sha256(definition).hexdigest(),
        "max_tokens": MAX_TOKENS,
        "texts": TEXTS,
        "tolerance": "exact equality",
    }
    lines = [head]
    for source in sources():
        text = source["text"] if "text" in source else source["repeat"] * source["times"]
        ids, kept = whole.encode(text).ids, cut.encode(text).ids
        line = {**source, "total": len(ids), "ids": kept}
        if len(ids) > len(kept):
            line["sha256"] = hashlib.sha256(struct.pack(f"<{len(ids)}q", *ids)).hexdigest()
        lines.append(line)

    packed = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        for line in lines:
            file.write(json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n")
    pending = FIXTURE.with_suffix(".part")
    pending.write_bytes(packed.getvalue())
    pending.replace(FIXTURE)
    print(f"{len(lines) - 1} texts, {len(packed.getvalue())} bytes: {FIXTURE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
