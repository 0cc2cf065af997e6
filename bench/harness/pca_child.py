"""scikit-learn's side of bench/pca.mjs. Reads commands as lines, writes answers as JSON."""

import json
import sys
import time

import numpy as np
from sklearn.decomposition import PCA

vectors = {}


def load(rows, dimensions, file):
    vectors["single"] = np.fromfile(file, dtype="<f4").reshape(int(rows), int(dimensions))
    vectors["double"] = vectors["single"].astype("f8")
    return {}


def fit(components, precision):
    processor = time.process_time()
    started = time.perf_counter()
    pca = PCA(n_components=components).fit(vectors[precision])
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "processorSeconds": time.process_time() - processor, "variances": pca.explained_variance_.tolist()}


for line in sys.stdin:
    name, *args = line.split()
    answer = load(*args) if name == "load" else fit(int(args[0]), args[1])
    print(json.dumps(answer), flush=True)
