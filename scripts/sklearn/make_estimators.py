"""Fits scikit-learn's estimators, saves each in every format that gabion imports, and records their results.

usage: python3 scripts/sklearn/make_estimators.py FOLDER

FOLDER/expected.json: the versions, the vectors, and for each estimator its files and the points it gives. Numbers are base64 of
little-endian doubles, row after row.
"""

import base64
import json
import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import sklearn
import skops
import skops.io
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

PROTOCOLS = (0, 1, 2, 3, 4, 5)


def encode(values):
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def estimators(vectors):
    single = vectors.astype("f4")
    yield "full", PCA().fit(vectors)
    yield "few-components", PCA(n_components=3).fit(vectors)
    yield "whitened", PCA(n_components=4, whiten=True).fit(vectors)
    yield "single-precision", PCA(n_components=3).fit(single)
    yield "covariance", PCA(n_components=3, svd_solver="covariance_eigh").fit(vectors)
    yield "share-of-variance", PCA(n_components=0.8).fit(vectors)
    yield "incremental", IncrementalPCA(n_components=2, batch_size=20).fit(vectors)
    yield "scaler", StandardScaler().fit(vectors)
    yield "scaler-mean-only", StandardScaler(with_std=False).fit(vectors)
    yield "scaler-scale-only", StandardScaler(with_mean=False).fit(vectors)
    yield "pipeline", Pipeline([("scale", StandardScaler()), ("pca", PCA(n_components=2))]).fit(vectors)
    yield "pipeline-whitened", Pipeline([("scale", StandardScaler()), ("pca", PCA(n_components=5, whiten=True))]).fit(vectors)
    steps = [("nothing", "passthrough"), ("pca", PCA(n_components=6)), ("scale", StandardScaler()), ("again", PCA(n_components=2))]
    yield "pipeline-of-two", Pipeline(steps).fit(vectors)
    inner = Pipeline([("pca", PCA(n_components=4))])
    yield "pipeline-in-pipeline", Pipeline([("scale", StandardScaler()), ("inner", inner)]).fit(vectors)
    named = PCA(n_components=2).fit(vectors)
    named.feature_names_in_ = np.array([f"v{i}" for i in range(vectors.shape[1])], dtype=object)
    yield "named-columns", named


def save(name, estimator, folder):
    files = []
    for protocol in PROTOCOLS:
        file = f"{name}.{protocol}.pkl"
        (folder / file).write_bytes(pickle.dumps(estimator, protocol))
        files.append(file)
    for suffix, compress in (("joblib", 0), ("zlib.joblib", ("zlib", 3)), ("gzip.joblib", ("gzip", 3))):
        file = f"{name}.{suffix}"
        joblib.dump(estimator, folder / file, compress=compress)
        files.append(file)
    # skops does not save arrays of Python objects by default; column names are not tested there.
    if not hasattr(estimator, "feature_names_in_"):
        skops.io.dump(estimator, folder / f"{name}.skops")
        files.append(f"{name}.skops")
    if isinstance(estimator, PCA):
        kept = {key: getattr(estimator, key) for key in ("components_", "mean_", "explained_variance_", "explained_variance_ratio_", "whiten")}
        np.savez(folder / f"{name}.npz", **kept)
        np.savez_compressed(folder / f"{name}.compressed.npz", **kept)
        files += [f"{name}.npz", f"{name}.compressed.npz"]
    return files


def main(folder):
    warnings.filterwarnings("ignore", message="X does not have valid feature names")
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(80, 6)) @ rng.normal(size=(6, 9)) * 0.1 + rng.normal(size=(80, 9)) * 0.05 + rng.normal(size=9)
    vectors = vectors.astype("f4").astype("f8")
    cases = []
    for name, estimator in estimators(vectors):
        pca = estimator if isinstance(estimator, PCA) else None
        cases.append(
            {
                "name": name,
                "files": save(name, estimator, folder),
                "points": encode(estimator.transform(vectors)),
                "components": int(estimator.transform(vectors[:1]).shape[1]),
                "explainedVariance": None if pca is None else pca.explained_variance_.tolist(),
                "explainedVarianceRatio": None if pca is None else pca.explained_variance_ratio_.tolist(),
            }
        )
    for compression in ("bz2", "xz", "lzma"):
        joblib.dump(PCA(n_components=2).fit(vectors), folder / f"refused.{compression}.joblib", compress=(compression, 3))
    # An estimator that gabion does not support.
    from sklearn.preprocessing import MinMaxScaler

    (folder / "refused.other.pkl").write_bytes(pickle.dumps(MinMaxScaler().fit(vectors)))
    skops.io.dump(MinMaxScaler().fit(vectors), folder / "refused.other.skops")
    (folder / "refused.unfitted.pkl").write_bytes(pickle.dumps(PCA(n_components=2)))

    large = rng.normal(size=(3000, 24)) @ rng.normal(size=(24, 200)) * 0.1 + rng.normal(size=(3000, 200)) * 0.05 + 0.3
    large = large.astype("f4")
    wide = large[:150].repeat(10, axis=1) * np.linspace(0.5, 1.5, 2000, dtype="f4")
    (folder / "large.f32").write_bytes(large.tobytes())
    (folder / "wide.f32").write_bytes(wide.tobytes())
    fits = []
    for name, source, scaled, whiten in (
        ("large", large, False, False),
        ("large", large, False, True),
        ("large", large, True, False),
        ("wide", wide, False, False),
    ):
        exact = source.astype("f8")
        steps = [("scale", StandardScaler())] if scaled else []
        pipeline = Pipeline([*steps, ("pca", PCA(n_components=20, whiten=whiten, svd_solver="full"))]).fit(exact)
        pca = pipeline[-1]
        fits.append(
            {
                "file": f"{name}.f32",
                "rows": source.shape[0],
                "dimensions": source.shape[1],
                "components": 20,
                "scaled": scaled,
                "whiten": whiten,
                "points": encode(pipeline.transform(exact[:40])),
                "explainedVariance": pca.explained_variance_.tolist(),
                "explainedVarianceRatio": pca.explained_variance_ratio_.tolist(),
            }
        )
    versions = {"scikit-learn": sklearn.__version__, "joblib": joblib.__version__, "skops": skops.__version__, "numpy": np.__version__}
    expected = {"versions": versions, "rows": 80, "dimensions": 9, "vectors": encode(vectors), "cases": cases, "fits": fits}
    (folder / "expected.json").write_text(json.dumps(expected))
    print(json.dumps(versions))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
