"""Exports a BERT checkpoint to ONNX, in a folder as Hugging Face's libraries read it.

usage: export_onnx.py CHECKPOINT OUT
"""

import shutil
import sys
from pathlib import Path

import torch
from transformers import AutoModel

checkpoint, out = Path(sys.argv[1]), Path(sys.argv[2])
model = AutoModel.from_pretrained(checkpoint, attn_implementation="eager").eval()
names = ["input_ids", "attention_mask", "token_type_ids"]


class Hidden(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = model

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.model(**dict(zip(names, values))).last_hidden_state


(out / "onnx").mkdir(parents=True)
for file in checkpoint.glob("*.json"):
    shutil.copy(file, out)
example = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names)
torch.onnx.export(
    Hidden(),
    example,
    str(out / "onnx" / "model.onnx"),
    input_names=names,
    output_names=["last_hidden_state"],
    dynamic_axes={name: {0: "batch", 1: "tokens"} for name in [*names, "last_hidden_state"]},
    dynamo=False,
)
