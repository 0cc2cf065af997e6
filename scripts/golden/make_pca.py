"""Writes test/fixtures/pca-sklearn.json: principal components by scikit-learn, to compare ours with.

Needs scikit-learn (any 1.5 or later). Run from the repository root:
    python3 -m venv /tmp/golden && /tmp/golden/bin/pip install scikit-learn==1.9.1
    /tmp/golden/bin/python scripts/golden/make_pca.py
"""

import base64
import json
from pathlib import Path

import numpy as np
import sklearn
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler


def encode(values):
    """Base64 of the little-endian bytes, row after row."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def unit_rows(rng, rows, dimensions, rank):
    """Vectors of length 1 in single precision, with a spectrum that falls off, as embeddings have."""
    scale = 1.0 / np.sqrt(1 + np.arange(rank))
    values = rng.normal(size=(rows, rank)) * scale @ rng.normal(size=(rank, dimensions)) + 0.3 * rng.normal(size=dimensions)
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype("<f4")


def case(name, vectors, components, standardize=False, whiten=False):
    exact = vectors.astype("<f8")
    scaler = StandardScaler().fit(exact) if standardize else None
    prepared = scaler.transform(exact) if standardize else exact
    pca = PCA(n_components=components, svd_solver="full", whiten=whiten).fit(prepared)
    scale = np.sqrt(pca.explained_variance_)[:, None] if whiten else 1.0
    return {
        "name": name,
        "rows": vectors.shape[0],
        "dimensions": vectors.shape[1],
        "components": components,
        "standardize": standardize,
        "whiten": whiten,
        "vectors": encode(vectors),
        "mean": encode(scaler.mean_ if standardize else pca.mean_),
        "axes": encode((pca.components_ / scaler.scale_ if standardize else pca.components_) / scale),
        "explainedVariance": pca.explained_variance_.tolist(),
        "explainedVarianceRatio": pca.explained_variance_ratio_.tolist(),
        "points": encode(pca.transform(prepared)),
    }


def main():
    rng = np.random.default_rng(20)
    cases = [
        case("more rows than dimensions", unit_rows(rng, 60, 24, 24), 5),
        case("fewer rows than dimensions", unit_rows(rng, 12, 40, 40), 4),
        case("every component", unit_rows(rng, 30, 8, 8), 8),
        case("one component", unit_rows(rng, 25, 10, 10), 1),
        case("rank below the dimensions", unit_rows(rng, 40, 16, 5), 3),
        case("ten times more rows than dimensions", unit_rows(rng, 400, 12, 12), 4),
        case("far from the origin", (rng.normal(size=(50, 9)) + 1000).astype("<f4"), 3),
        case("standardized first", unit_rows(rng, 60, 24, 24), 3, standardize=True),
        case("whitened", unit_rows(rng, 60, 24, 24), 5, whiten=True),
        case("standardized first and whitened", unit_rows(rng, 60, 24, 24), 3, standardize=True, whiten=True),
    ]
    target = Path("test/fixtures/pca-sklearn.json")
    source = f"scikit-learn {sklearn.__version__}, scripts/golden/make_pca.py"
    target.write_text(json.dumps({"source": source, "cases": cases}, indent=1) + "\n")
    print(f"{target}: {len(cases)} cases")


if __name__ == "__main__":
    main()
