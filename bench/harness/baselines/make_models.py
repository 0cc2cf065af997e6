"""Makes the files that the baselines read, from one checkpoint, each by the baseline's own exporter.

usage: make_models.py onnx|openvino|ctranslate2 CHECKPOINT OUT STS-B-DEV.CSV
"""

import csv
import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
checkpoint, out = Path(sys.argv[2]), Path(sys.argv[3])


def onnx() -> None:
    """The export of sentence-transformers and its int8; the folder that transformers.js and fastembed read, with their int8."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    model = SentenceTransformer(
        str(checkpoint), backend="onnx", device="cpu", model_kwargs={"export": True, "provider": "CPUExecutionProvider"}
    )
    model.save_pretrained(str(out / "sentence-transformers"))
    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(out / "sentence-transformers"))
    plain = out / "transformers.js"
    (plain / "onnx").mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(checkpoint / name, plain / name)
    shutil.copy(out / "sentence-transformers" / "onnx" / "model.onnx", plain / "onnx" / "model.onnx")
    # As the conversion script of transformers.js does it: by channel, one bit less, signed weights.
    quantize_dynamic(
        str(plain / "onnx" / "model.onnx"),
        str(plain / "onnx" / "model_quantized.onnx"),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        extra_options={"EnableSubgraph": True},
    )


def openvino() -> None:
    """The export of sentence-transformers and static int8 by NNCF, calibrated on 300 sentences of STS-B's development part."""
    import nncf
    import numpy as np
    import openvino as ov
    from sentence_transformers import SentenceTransformer
    from transformers import AutoTokenizer

    model = SentenceTransformer(str(checkpoint), backend="openvino", device="cpu", model_kwargs={"export": True})
    model.save_pretrained(str(out))
    graph = next(out.rglob("openvino_model.xml"))
    core, tokenizer = ov.Core(), AutoTokenizer.from_pretrained(str(checkpoint))
    names = [port.get_any_name() for port in core.read_model(graph).inputs]

    def feeds(text: str) -> dict:
        encoded = tokenizer(text, truncation=True, max_length=256, return_tensors="np")
        return {name: encoded.get(name, np.zeros_like(encoded["input_ids"])).astype(np.int64) for name in names}

    with open(sys.argv[4], newline="", encoding="utf-8") as file:
        texts = [row[0] for row in csv.reader(file)][::5]
    dataset = nncf.Dataset([feeds(text) for text in texts])
    quantized = nncf.quantize(core.read_model(graph), dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=300)
    ov.save_model(quantized, graph.with_name("openvino_model_int8.xml"), compress_to_fp16=False)


def ctranslate2() -> None:
    import ctranslate2

    for kind in ("float32", "bfloat16", "int8"):
        converter = ctranslate2.converters.TransformersConverter(str(checkpoint))
        converter.convert(str(out / kind), quantization=kind, force=True)


out.mkdir(parents=True, exist_ok=True)
{"onnx": onnx, "openvino": openvino, "ctranslate2": ctranslate2}[sys.argv[1]]()
