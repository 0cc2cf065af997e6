#!/usr/bin/env python3
"""Writes what sentence-transformers makes of folders with one setting changed:

    test/fixtures/folder-settings/cases.json      the changes, by hand
    test/fixtures/folder-settings/golden.json.gz  texts, and for each case vectors in base64 or the error

    build/golden/bin/python scripts/golden/make_settings.py

The folders are those of test/fixtures/family. A change is [file], which removes it, [file, key], which removes a key, or [file, key,
value]; a key with dots leads into objects and lists. Each text runs alone, in float32, on one thread. A refused setting has no vector:
what sentence-transformers makes of it is no concern of gabion's, which does not do it.
"""

import base64
import json
import logging
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from make_family import FAMILY, write_packed

SETTINGS = FAMILY.parent / "folder-settings"
TEXTS = [
    "harbour",
    "The quiet HARBOUR woke before dawn, and every boat left for deeper water.",
    "Façade naïve, déjà vu: Smörgåsbord!",
    "安静的港口在黎明前醒来 [SEP] and [MASK] gulls argued over yesterday's bread while nobody in the harbour listened to them at all",
]


def change(folder: Path, file: str, key: str | None = None, *value: object) -> None:
    path = folder / file
    if key is None:
        path.unlink()
        return
    whole = json.loads(path.read_text()) if path.exists() else {}
    *outer, last = key.split(".")
    inner = whole
    for name in outer:
        inner = inner[int(name) if isinstance(inner, list) else name]
    if value:
        inner[last] = value[0]
    else:
        del inner[last]
    path.write_text(json.dumps(whole))


def embed(folder: Path, prompt: str | None) -> np.ndarray:
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    named = {} if prompt is None else {"prompt": ""} if prompt == "" else {"prompt_name": prompt}
    return np.stack([model.encode(text, batch_size=1, show_progress_bar=False, **named) for text in TEXTS]).astype("<f4")


def main() -> None:
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    cases = json.loads((SETTINGS / "cases.json").read_text())
    plain = {}
    results = []
    with tempfile.TemporaryDirectory() as place:
        for index, case in enumerate(cases):
            base = case.get("base", "bert")
            if base not in plain:
                plain[base] = embed(FAMILY / base, None)
            if case["outcome"] == "refused":
                results.append(None)
                continue
            folder = Path(place) / str(index)
            shutil.copytree(FAMILY / base, folder, ignore=shutil.ignore_patterns("golden.*"))
            for each in case["changes"]:
                change(folder, *each)
            vectors = embed(folder, case.get("prompt"))
            differs = vectors.shape != plain[base].shape or float(np.abs(vectors - plain[base]).max()) > 1e-5
            if differs != (case["outcome"] == "honoured"):
                print(f"{case['outcome']}, but it {'changes' if differs else 'does not change'} vectors: {json.dumps(case)}")
            results.append({"dimensions": vectors.shape[1], "vectors": base64.b64encode(vectors.tobytes()).decode()})
            shutil.rmtree(folder)
    write_packed(SETTINGS / "golden.json.gz", {"texts": TEXTS, "results": results})


if __name__ == "__main__":
    main()
