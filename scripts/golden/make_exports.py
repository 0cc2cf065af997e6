#!/usr/bin/env python3
"""Writes ONNX exports of the tiny models, by both of PyTorch's exporters, as folders without any other weights:

    build/exports/<model>-<exporter>/   onnx/model.onnx, with its weights inside or in onnx/model.onnx_data

The set-up for the tests runs it, in the Python environment that it makes from requirements.txt. What the vectors must be lies in
test/fixtures/family. Nothing of it is committed.
"""

import shutil
import warnings
from pathlib import Path

import onnx
import torch
from sentence_transformers import SentenceTransformer

ROOT = Path(__file__).resolve().parents[2]
FAMILY = ROOT / "test" / "fixtures" / "family"
OUT = ROOT / "build" / "exports"
MODELS = ["bert", "mpnet", "xlm-roberta", "dense"]
# Above the first token and below the longest input, so that no exporter takes a size for a constant.
EXAMPLE = [2, 5, 7, 9, 11, 13, 3]


class Encoder(torch.nn.Module):
    """Ids and their mask in, the last hidden state out, as exports of the family have it."""

    def __init__(self, transformer: torch.nn.Module) -> None:
        super().__init__()
        self.auto_model = transformer

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.auto_model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state


def export(model: SentenceTransformer, file: Path, dynamo: bool) -> None:
    encoder = Encoder(model[0].auto_model).eval()
    ids = torch.tensor([EXAMPLE, EXAMPLE])
    inputs = ["input_ids", "attention_mask"]
    if dynamo:
        batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=512)
        shapes = {"dynamic_shapes": {name: {0: batch, 1: tokens} for name in inputs}}
    else:
        shapes = {"dynamic_axes": {name: {0: "batch", 1: "tokens"} for name in [*inputs, "last_hidden_state"]}}
    arguments = {"input_names": inputs, "output_names": ["last_hidden_state"], "dynamo": dynamo, **shapes}
    torch.onnx.export(encoder, (ids, torch.ones_like(ids)), str(file), **arguments)


def main() -> None:
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    for name in MODELS:
        model = SentenceTransformer(str(FAMILY / name), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"})
        for exporter in ["torchscript", "dynamo"]:
            folder = OUT / f"{name}-{exporter}"
            shutil.copytree(FAMILY / name, folder, ignore=lambda path, names: [n for n in names if path == str(FAMILY / name) and n == "model.safetensors"])
            (folder / "onnx").mkdir()
            file = folder / "onnx" / "model.onnx"
            export(model, file, exporter == "dynamo")
            if exporter == "torchscript" and name == "mpnet":
                whole = onnx.load(file)
                onnx.save(whole, file, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
            print(f"{folder.name}: {sum(f.stat().st_size for f in (folder / 'onnx').iterdir())} bytes", flush=True)


if __name__ == "__main__":
    main()
