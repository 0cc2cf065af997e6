"""sentence-transformers as a baseline: reads one JSON array of texts per line of standard input, writes microseconds.

usage: sentence_transformers_worker.py FOLDER THREADS
"""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer


def main() -> None:
    torch.set_num_threads(int(sys.argv[2]))
    model = SentenceTransformer(sys.argv[1], device="cpu", local_files_only=True)
    encode = lambda text: model.encode(text, convert_to_numpy=True, show_progress_bar=False)  # noqa: E731
    print(json.dumps({"torch": torch.__version__, "vector": encode("The first text.").tolist()}), flush=True)
    for line in sys.stdin:
        times = []
        for text in json.loads(line):
            start = time.perf_counter()
            encode(text)
            times.append((time.perf_counter() - start) * 1e6)
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
