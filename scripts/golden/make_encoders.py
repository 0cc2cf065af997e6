#!/usr/bin/env python3
"""Writes tiny embedding models of every architecture that gabion runs from its checkpoint, with random weights in the forms that checkpoints
have, and what sentence-transformers makes of texts with them:

    build/encoders/<name>/                  a folder in the sentence-transformers layout, without any graph
    build/encoders/<name>/golden.json.gz    ids of each text; the vectors, computed in double precision, are in golden.f32
    build/encoders/texts.json.gz            the texts

    build/golden/bin/python scripts/golden/make_encoders.py

The sizes are the smallest that the kernels compute. Each text runs alone, on one thread.
"""

import json
import re
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Normalize, Pooling, Transformer

from make_family import architecture, make_texts, spread_weights, write_packed

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "encoders"
LENGTH = 256
SIZES = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128, "num_hidden_layers": 2}


def old_names(name: str) -> str:
    return re.sub(r"LayerNorm\.(weight|bias)$", lambda found: "LayerNorm." + {"weight": "gamma", "bias": "beta"}[found[1]], name)


def published_nomic(config: dict) -> dict:
    """config.json in the terms of nomic-embed-text-v1.5, as far as they bear on vectors."""
    names = {"hidden_size": "n_embd", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer", "intermediate_size": "n_inner"}
    names |= {"max_position_embeddings": "n_positions", "layer_norm_eps": "layer_norm_epsilon"}
    renamed = {name: config[old] for old, name in names.items()} | {key: config[key] for key in ("model_type", "vocab_size", "type_vocab_size")}
    rotary = {"rotary_emb_base": 1000, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None}
    rotary |= {"rotary_scaling_factor": None, "max_trained_positions": 2048}
    biases = {"qkv_proj_bias": False, "mlp_fc1_bias": False, "mlp_fc2_bias": False}
    blocks = {"prenorm": False, "parallel_block": False, "use_rms_norm": False, "causal": False, "scale_attn_weights": True}
    return renamed | rotary | biases | blocks | {"activation_function": "swiglu"}


def published_gte(config: dict) -> dict:
    """config.json in the terms of gte-multilingual-base, as far as they bear on vectors."""
    kept = {key: value for key, value in config.items() if key != "rope_parameters"}
    rotary = {"position_embedding_type": "rope", "rope_theta": 20_000, "rope_scaling": {"type": "ntk", "factor": 8.0}}
    return kept | rotary | {"model_type": "new", "layer_norm_type": "layer_norm", "pack_qkv": True, "logn_attention_scale": False}


# Each form of storage once.
CASES = {
    "bert": {"rename": old_names},
    "distilbert": {"rename": "distilbert.{}".format, "pooling": "cls"},
    "mpnet": {"rename": "mpnet.{}".format},
    "roberta": {"dtype": torch.float16, "pooling": "max"},
    "xlm-roberta": {"dtype": torch.float64, "shards": True, "normalize": False},
    "bert-bf16": {"dtype": torch.bfloat16, "pooling": "lasttoken"},
    "modernbert": {},
    "modernbert-biases": {"pooling": "cls"},
    "nomic-bert": {},
    "nomic-bert-published": {"config": published_nomic},
    "gte": {"pooling": "cls"},
    "gte-published": {"rename": "new.{}".format, "config": published_gte, "scaling": (20_000, 8.0)},
}


def encoder_of(kind: str):
    """The tokenizer and an untrained encoder of a kind."""
    if kind in ("bert", "mpnet", "roberta", "xlm-roberta"):
        return architecture(kind, SIZES, "gelu")
    fast, _ = architecture("bert", SIZES, "gelu")
    shared = {"vocab_size": len(fast), "pad_token_id": fast.pad_token_id}
    rotary = {**shared, **SIZES, "max_position_embeddings": 512}
    match kind:
        case "distilbert":
            return fast, transformers.DistilBertModel(transformers.DistilBertConfig(vocab_size=len(fast), dim=64, n_heads=2, n_layers=2, hidden_dim=128))
        case "modernbert" | "modernbert-biases":
            # Four layers, so that the first, a global and two local ones are among them; windows far shorter than the texts.
            ids = {"cls_token_id": fast.cls_token_id, "sep_token_id": fast.sep_token_id, "bos_token_id": None, "eos_token_id": None}
            biases = {"attention_bias": True, "norm_bias": True} if kind.endswith("-biases") else {}
            config = transformers.ModernBertConfig(**{**rotary, "num_hidden_layers": 4}, **ids, **biases, local_attention=24)
            return fast, transformers.ModernBertModel(config)
        case "nomic-bert":
            return fast, transformers.NomicBertModel(transformers.NomicBertConfig(**rotary))
        case "gte":
            return fast, transformers.GteModel(transformers.GteConfig(**rotary))
    raise ValueError(kind)


def store(folder: Path, case: dict) -> None:
    """Writes the weights again as the case has them."""
    file = folder / "model.safetensors"
    rename = case.get("rename", str)
    tensors = {rename(name): tensor.to(case.get("dtype", torch.float32)).contiguous() for name, tensor in load_file(file).items()}
    if not case.get("shards"):
        save_file(tensors, file, {"format": "pt"})
        return
    file.unlink()
    names = sorted(tensors)
    map_ = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        shard = f"model-{number:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / shard, {"format": "pt"})
        map_ |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": map_}))


def build(folder: Path, name: str, case: dict) -> SentenceTransformer:
    """Returns the model in double precision: of a difference to float32, half would be the rounding of the reference itself."""
    torch.manual_seed(22)
    shutil.rmtree(folder, ignore_errors=True)
    fast, encoder = encoder_of(name.removesuffix("-bf16").removesuffix("-published"))
    # As wide as weights after training are; wider ones would multiply the rounding of each layer.
    spread_weights(encoder, 1 / SIZES["hidden_size"] ** 0.5)
    encoder.to(case.get("dtype", torch.float32)).float()
    inner = folder.with_name(f".{name}.encoder")
    encoder.save_pretrained(inner)
    fast.save_pretrained(inner)
    modules = [Transformer(str(inner), max_seq_length=LENGTH), Pooling(SIZES["hidden_size"], pooling_mode=case.get("pooling", "mean"))]
    if case.get("normalize", True):
        modules.append(Normalize())
    model = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder), create_model_card=False)
    shutil.rmtree(inner)
    store(folder, case)
    if "config" in case:
        file = folder / "config.json"
        file.write_text(json.dumps(case["config"](json.loads(file.read_text())), indent=2))
    if "scaling" in case:
        scale_angles(model[0].auto_model, *case["scaling"])
    return model.double()


def scale_angles(encoder, theta: float, factor: float) -> None:
    """The fixed NTK scaling of published GTE models (NTKScalingRotaryEmbedding of Alibaba-NLP/new-impl), which transformers does not have."""
    width = SIZES["hidden_size"] // SIZES["num_attention_heads"]
    inverse = 1.0 / ((theta * factor) ** (torch.arange(0, width, 2).float() / width)) / factor ** (2 / width)
    encoder.rotary_emb.inv_freq.copy_(inverse)


def main() -> None:
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    texts = make_texts(longest=4)[::4]
    OUT.mkdir(parents=True, exist_ok=True)
    write_packed(OUT / "texts.json.gz", texts)
    for name, case in CASES.items() if len(sys.argv) == 1 else [(name, CASES[name]) for name in sys.argv[1:]]:
        folder = OUT / name
        model = build(folder, name, case)
        vectors = np.stack([model.encode(text, batch_size=1, convert_to_numpy=True, show_progress_bar=False) for text in texts])
        ids = [model.tokenizer(text, truncation=True, max_length=LENGTH)["input_ids"] for text in texts]
        (folder / "golden.f32").write_bytes(vectors.astype("<f4").tobytes())
        write_packed(folder / "golden.json.gz", {"dimensions": vectors.shape[1], "ids": ids})
        print(f"{name}: {vectors.dtype}, {max(len(row) for row in ids)} tokens at most", flush=True)


if __name__ == "__main__":
    main()
