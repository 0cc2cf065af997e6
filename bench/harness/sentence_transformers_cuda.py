"""sentence-transformers in fp16 on the first CUDA device: reads a JSON array of texts per line of standard input, writes the seconds of its batch.

usage: sentence_transformers_cuda.py FOLDER
"""

import json
import sys
import time

import torch
from sentence_transformers import SentenceTransformer


def main() -> None:
    model = SentenceTransformer(sys.argv[1], device="cuda", local_files_only=True).half().eval()
    name = torch.cuda.get_device_name(0)
    print(json.dumps({"torch": torch.__version__, "device": name, "cuda": torch.version.cuda}), flush=True)
    for line in sys.stdin:
        texts = json.loads(line)
        torch.cuda.synchronize()
        start = time.perf_counter()
        # To NumPy: what a caller gets, so the copy back is in the time.
        vectors = model.encode(texts, batch_size=len(texts), convert_to_numpy=True, show_progress_bar=False)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "first": vectors[0][:4].tolist()}), flush=True)


if __name__ == "__main__":
    main()
