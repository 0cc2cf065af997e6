"""The baselines in Python, as a child process. Protocol: child.mjs.

usage: python_child.py ENGINE CHECKPOINT MODELS GRAPHS THREADS
"""

import json
import os
import sys
import time
from pathlib import Path

engine, checkpoint, models, graphs, threads = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", TRANSFORMERS_VERBOSITY="error", OMP_NUM_THREADS=str(threads))
MAX_TOKENS = 256
# Output of the libraries goes to standard error.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import numpy as np  # noqa: E402


def tokenizer():
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    loaded.no_padding()
    loaded.enable_truncation(MAX_TOKENS)
    return loaded


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def padded(rows):
    longest = max(map(len, rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows], np.int64)
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows], np.int64)
    return ids, mask


class SentenceTransformers:
    def __init__(self, folder, backend="torch", **options):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.model = SentenceTransformer(str(folder), backend=backend, device="cpu", model_kwargs=options or None)
        self.model.max_seq_length = MAX_TOKENS

    def embed(self, text):
        return self.model.encode(text, normalize_embeddings=True, show_progress_bar=False)

    def embed_batch(self, texts):
        return self.model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)

    @staticmethod
    def onnx(file):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        folder = models / "onnx" / "sentence-transformers"
        return SentenceTransformers(folder, "onnx", file_name=file, provider="CPUExecutionProvider", session_options=options)

    @staticmethod
    def openvino(file, **config):
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, **config}
        return SentenceTransformers(models / "openvino", "openvino", file_name=f"openvino/{file}", ov_config=config)


class OnnxRuntime:
    """The graph of standard operators that gabion's converter makes: no mask, one text at its true length."""

    def __init__(self, file):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.enable_mem_pattern = threads, 1, False
        fusions = "SkipLayerNormFusion;BiasSkipLayerNormFusion;EmbedLayerNormFusion"
        options.add_session_config_entry("optimization.disable_specified_optimizers", fusions)
        self.session = onnxruntime.InferenceSession(str(graphs / file), options, providers=["CPUExecutionProvider"])
        self.tokenizer = tokenizer()

    def embed(self, text):
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        return unit(self.session.run(None, {"input_ids": ids})[0][0].mean(0))

    def embed_batch(self, texts):
        return [self.embed(text) for text in texts]


class OpenVino:
    def __init__(self, file, **config):
        import openvino

        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, **config}
        compiled = openvino.Core().compile_model(str(models / "openvino" / "openvino" / file), "CPU", config)
        self.request = compiled.create_infer_request()
        self.names = [port.get_any_name() for port in self.request.model_inputs]
        self.tokenizer = tokenizer()

    def run(self, ids, mask):
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        self.request.infer({name: feeds[name] for name in self.names}, share_inputs=True, share_outputs=True)
        return self.request.get_output_tensor(0).data

    def embed(self, text):
        ids = np.array([self.tokenizer.encode(text).ids], np.int64)
        return unit(self.run(ids, np.ones_like(ids))[0].mean(0))

    def embed_batch(self, texts):
        ids, mask = padded([self.tokenizer.encode(text).ids for text in texts])
        hidden = self.run(ids, mask)
        return unit((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True))


class CTranslate2:
    def __init__(self, kind):
        import ctranslate2

        folder = str(models / "ctranslate2" / kind)
        self.encoder = ctranslate2.Encoder(folder, device="cpu", compute_type=kind, inter_threads=1, intra_threads=threads)
        self.tokenizer = tokenizer()

    def run(self, rows):
        return np.array(self.encoder.forward_batch(rows, token_type_ids=[[0] * len(row) for row in rows]).last_hidden_state)

    def embed(self, text):
        return unit(self.run([self.tokenizer.encode(text).ids])[0].mean(0))

    def embed_batch(self, texts):
        rows = [self.tokenizer.encode(text).ids for text in texts]
        hidden = self.run(rows)
        return unit(np.stack([hidden[at, : len(row)].mean(0) for at, row in enumerate(rows)]))


ENGINES = {
    "sentence-transformers": lambda: SentenceTransformers(checkpoint),
    "sentence-transformers-onnx": lambda: SentenceTransformers.onnx("onnx/model.onnx"),
    "sentence-transformers-onnx-int8": lambda: SentenceTransformers.onnx("onnx/model_qint8_avx512_vnni.onnx"),
    "sentence-transformers-openvino": lambda: SentenceTransformers.openvino("openvino_model.xml", INFERENCE_PRECISION_HINT="f32"),
    "sentence-transformers-openvino-int8": lambda: SentenceTransformers.openvino("openvino_model_int8.xml"),
    "onnxruntime": lambda: OnnxRuntime("onnx/model_fp32.onnx"),
    "onnxruntime-int8": lambda: OnnxRuntime("onnx/model_int8.onnx"),
    "openvino": lambda: OpenVino("openvino_model.xml", INFERENCE_PRECISION_HINT="f32"),
    "openvino-bf16": lambda: OpenVino("openvino_model.xml", INFERENCE_PRECISION_HINT="bf16"),
    "openvino-int8": lambda: OpenVino("openvino_model_int8.xml"),
    "ctranslate2": lambda: CTranslate2("float32"),
    "ctranslate2-bf16": lambda: CTranslate2("bfloat16"),
    "ctranslate2-int8": lambda: CTranslate2("int8"),
}


def answer(**values) -> None:
    answers.write(json.dumps(values) + "\n")
    answers.flush()


def main() -> None:
    implementation = ENGINES[engine]()
    implementation.embed("The first text.")
    answer(ready=True)
    for line in sys.stdin:
        request = json.loads(line)
        texts = json.loads(Path(request["texts"]).read_text(encoding="utf-8"))
        if request["what"] == "calls":
            microseconds = []
            for at in range(-3, request["calls"]):
                text = texts[at % len(texts)]
                start = time.perf_counter_ns()
                implementation.embed(text)
                if at >= 0:
                    microseconds.append((time.perf_counter_ns() - start) / 1e3)
            answer(microseconds=microseconds)
            continue
        size = request["batch"]
        start = time.perf_counter()
        if size == 1:
            rows = [implementation.embed(text) for text in texts]
        else:
            rows = [row for at in range(0, len(texts), size) for row in implementation.embed_batch(texts[at : at + size])]
        seconds = time.perf_counter() - start
        if request.get("out"):
            np.asarray(np.stack(rows), np.float32).tofile(request["out"])
        answer(seconds=seconds)


main()
