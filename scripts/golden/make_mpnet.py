#!/usr/bin/env python3
"""Of the published all-mpnet-base-v2: what sentence-transformers makes of real texts, and how long other runtimes take. Called by
scripts/measure-mpnet.mjs, which fetches the weights.

    make_mpnet.py golden MODEL OUT               OUT/texts.json.gz, golden.json.gz and golden.f32 (500 texts), sts.json
    make_mpnet.py time RUNTIME GRAPH IDS THREADS medians in milliseconds per text, as JSON; RUNTIME is onnxruntime or openvino
"""

import csv
import json
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STS = ("stsb-en-dev", "stsb-en-test")
ROUNDS = 25


def golden(folder: str, out: Path) -> None:
    import numpy as np
    import torch
    from scipy.stats import spearmanr
    from sentence_transformers import SentenceTransformer

    from make_family import write_packed
    from make_tokens import benchmark_sentences, dialogue_texts
    from make_vectors import spread

    torch.set_num_threads(2)
    model = SentenceTransformer(folder, device="cpu", local_files_only=True)
    encode = lambda texts: model.encode(texts, batch_size=32, convert_to_numpy=True, show_progress_bar=False)
    out.mkdir(parents=True, exist_ok=True)
    texts = spread(list(dict.fromkeys(benchmark_sentences())), 400) + spread(list(dict.fromkeys(dialogue_texts())), 100)
    vectors = encode(texts)
    ids = [model.tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"] for text in texts]
    write_packed(out / "texts.json.gz", texts)
    write_packed(out / "golden.json.gz", {"dimensions": vectors.shape[1], "ids": ids})
    (out / "golden.f32").write_bytes(vectors.astype("<f4").tobytes())
    found = {}
    for name in STS:
        with open(ROOT / "data" / f"{name}.csv", newline="", encoding="utf-8") as file:
            first, second, scores = zip(*csv.reader(file), strict=True)
        cosines = (encode(list(first)) * encode(list(second))).sum(axis=1)
        found[name] = float(spearmanr(cosines, [float(score) for score in scores]).statistic)
    (out / "sts.json").write_text(json.dumps(found))


def runner(runtime: str, graph: str, threads: int):
    """A function of ids to the last hidden state."""
    import numpy as np

    if runtime == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        (name,) = [each.name for each in session.get_inputs()]
        return lambda ids: session.run(None, {name: np.asarray([ids], dtype=np.int64)})
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"})
    return lambda ids: compiled([np.asarray([ids], dtype=np.int64)])


def measure(runtime: str, graph: str, ids_file: str, threads: int) -> None:
    texts = json.loads(Path(ids_file).read_text())
    run = runner(runtime, graph, threads)
    medians = []
    for ids in texts:
        run(ids)
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            run(ids)
            times.append((time.perf_counter() - start) * 1000)
        medians.append(statistics.median(times))
    print(json.dumps(medians))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["golden", model, out]:
            golden(model, Path(out))
        case ["time", runtime, graph, ids, threads]:
            measure(runtime, graph, ids, int(threads))
        case _:
            raise SystemExit(__doc__)
