#!/usr/bin/env python3
"""Writes tiny models of every architecture with random weights, and what sentence-transformers makes of 200 texts with them:

    test/fixtures/family/<case>/               a folder in the sentence-transformers layout, below 1 MB
    test/fixtures/family/<case>/golden.json.gz the ids of each text; the vectors lie in golden.f32
    test/fixtures/family/texts.json.gz         the texts, 1 to 600 tokens, in eight scripts

    build/golden/bin/python scripts/golden/make_family.py

The set-up for the tests makes that Python environment. The tokenizers are trained on the texts. Weights have several times the spread of an untrained model's, so that attention is
far from even and every part counts. Each text runs alone (no padding), in float32, on one thread.
"""

import gzip
import json
import random
import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, LayerNorm, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn

from unicode_texts import torture_texts

ROOT = Path(__file__).resolve().parents[2]
FAMILY = ROOT / "test" / "fixtures" / "family"
TEXTS = 200
TINY = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "num_hidden_layers": 2}

SENTENCES = {
    "latin": "the quiet harbour woke before dawn and every boat left for deeper water while gulls argued over yesterday's bread",
    "accents": "façade naïve déjà vu smörgåsbord piñata über Ångström čeština żółć português coração garçon élève",
    "cyrillic": "в тихой гавани ещё до рассвета проснулись люди и каждая лодка ушла в глубокую воду за рыбой",
    "greek": "το λιμάνι ξύπνησε πριν από την αυγή και κάθε βάρκα έφυγε για βαθύτερα νερά",
    "arabic": "استيقظ الميناء الهادئ قبل الفجر وغادر كل قارب إلى المياه العميقة",
    "devanagari": "शांत बंदरगाह भोर से पहले जाग गया और हर नाव गहरे पानी की ओर निकल पड़ी",
    "chinese": "安静的港口在黎明前醒来每艘船都驶向更深的水域海鸥在争夺昨天的面包",
    "japanese": "静かな港は夜明け前に目を覚まし、すべての船が深い海へ出て行った。",
    "korean": "조용한 항구는 새벽이 오기 전에 깨어났고 모든 배는 더 깊은 바다로 떠났다",
}


def make_texts(counts: tuple[int, ...] = (1, 2, 5, 9, 17, 33, 65, 120, 180), longest: int = 10) -> list[str]:
    """One word to six hundred in every script, mixtures, and oddities; `longest` of them have six hundred."""
    chance = random.Random(6)
    words = {name: list(text) if name in ("chinese", "japanese") else text.split() for name, text in SENTENCES.items()}
    texts = ["a", "<pad>", "x <pad> y </s> z <mask>", "[SEP] [PAD] [CLS]", "  two  spaces \n and a\ttab  ", "Straße ΜΕΓΆΛΟ İstanbul"]
    texts += [text for text in torture_texts() if 0 < len(text) < 400][:34]
    names = list(words)
    while len(texts) < TEXTS:
        name = names[len(texts) % len(names)]
        count = chance.choice(counts) if len(texts) < TEXTS - longest else 600
        glue = "" if name in ("chinese", "japanese") else " "
        text = glue.join(chance.choice(words[name]) for _ in range(count))
        texts.append(text.capitalize() + chance.choice(["", ".", "?", "!", " …"]))
    return texts


def word_piece(size: int, special: dict, lower: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special["all"], show_progress=False)
    tokenizer.train_from_iterator(list(SENTENCES.values()) + [chr(code) for code in range(33, 127)], trainer)
    return tokenizer


def unigram(size: int, special: dict) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=special["all"], unk_token=special["unk"], show_progress=False)
    tokenizer.train_from_iterator(list(SENTENCES.values()) + [chr(code) for code in range(33, 127)], trainer)
    return tokenizer


def byte_pairs(size: int, special: dict) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token=special["unk"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=special["all"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES.values(), trainer)
    return tokenizer


BERT_TOKENS = {"all": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], "unk": "[UNK]", "begin": "[CLS]", "end": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
ANGLE_TOKENS = {"all": ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], "unk": "<unk>", "begin": "<s>", "end": "</s>", "pad": "<pad>", "mask": "<mask>"}


def finish(tokenizer: Tokenizer, special: dict, length: int) -> transformers.PreTrainedTokenizerFast:
    begin, end = special["begin"], special["end"]
    ids = [(token, tokenizer.token_to_id(token)) for token in (begin, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{begin} $A {end}", pair=f"{begin} $A {end} $B {end}", special_tokens=ids)
    return fast_tokenizer(tokenizer, special, length)


def fast_tokenizer(tokenizer: Tokenizer, special: dict, length: int) -> transformers.PreTrainedTokenizerFast:
    begin, end = special["begin"], special["end"]
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=length, unk_token=special["unk"], cls_token=begin, sep_token=end,
        bos_token=begin, eos_token=end, pad_token=special["pad"], mask_token=special["mask"],
    )


def architecture(kind: str, sizes: dict, activation: str):
    """The tokenizer and an untrained encoder of a kind."""
    special = BERT_TOKENS if kind == "bert" else ANGLE_TOKENS
    if kind == "xlm-roberta":
        tokenizer = unigram(420, special)
    elif kind == "roberta":
        tokenizer = byte_pairs(420, special)
    else:
        tokenizer = word_piece(420, special, lower=True)
    fast = finish(tokenizer, special, 512)
    shared = {**sizes, "vocab_size": len(fast), "hidden_act": activation, "pad_token_id": fast.pad_token_id}
    if kind == "bert":
        encoder = transformers.BertModel(transformers.BertConfig(**shared, max_position_embeddings=512))
    elif kind == "mpnet":
        encoder = transformers.MPNetModel(transformers.MPNetConfig(**shared, max_position_embeddings=514, relative_attention_num_buckets=32))
    else:
        config = transformers.RobertaConfig if kind == "roberta" else transformers.XLMRobertaConfig
        model = transformers.RobertaModel if kind == "roberta" else transformers.XLMRobertaModel
        encoder = model(config(**shared, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5))
    return fast, encoder


def spread_weights(module: nn.Module, matrix: float) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "LayerNorm.weight" in name or name.endswith("norm.weight"):
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif parameter.dim() == 1:
                parameter.copy_(0.1 * torch.randn_like(parameter))
            elif "relative_attention_bias" in name:
                parameter.copy_(torch.randn_like(parameter))
            else:
                parameter.copy_((0.5 if "embeddings" in name else matrix) * torch.randn_like(parameter))


# Every architecture once with the usual modules; then, on small ones, what folders can ask for besides.
CASES = {
    "bert": {"kind": "bert"},
    "mpnet": {"kind": "mpnet"},
    "xlm-roberta": {"kind": "xlm-roberta", "normalize": False},
    "roberta": {"kind": "roberta", "activation": "gelu_new"},
    "dense": {"kind": "bert", "dense": [(32, 24, nn.Tanh()), (24, 16, nn.GELU())], "activation": "relu"},
    "joined-poolings": {"kind": "mpnet", "poolings": ["cls", "max", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"], "normalize": False},
    "prompt-lower": {"kind": "roberta", "prompt": "Query: ", "lower": True, "activation": "silu", "poolings": ["lasttoken"]},
    "layer-norm": {"kind": "bert", "dense": [(32, 20, nn.Identity())], "layer_norm": 20, "poolings": ["max"], "activation": "quick_gelu", "shards": True},
}


def build(folder: Path, case: dict) -> SentenceTransformer:
    torch.manual_seed(6)
    shutil.rmtree(folder, ignore_errors=True)
    fast, encoder = architecture(case["kind"], TINY, case.get("activation", "gelu"))
    spread_weights(encoder, 1.6 / TINY["hidden_size"] ** 0.5)
    inner = folder.with_name(f".{folder.name}.encoder")
    encoder.save_pretrained(inner)
    fast.save_pretrained(inner)
    transformer = Transformer(str(inner), max_seq_length=case.get("length", 512))
    modes = case.get("poolings", ["mean"])
    modules = [transformer, Pooling(TINY["hidden_size"], pooling_mode=modes[0] if len(modes) == 1 else tuple(modes))]
    for inputs, outputs, activation in case.get("dense", []):
        dense = Dense(inputs, outputs, activation_function=activation)
        spread_weights(dense, 0.4)
        modules.append(dense)
    if "layer_norm" in case:
        norm = LayerNorm(case["layer_norm"])
        spread_weights(norm, 1)
        modules.append(norm)
    if case.get("normalize", True):
        modules.append(Normalize())
    prompts = {"prompts": {"query": case["prompt"]}, "default_prompt_name": "query"} if "prompt" in case else {}
    SentenceTransformer(modules=modules, device="cpu", **prompts).save(str(folder), create_model_card=False)
    shutil.rmtree(inner)
    if case.get("lower"):
        write_lower_case(folder)
    if case.get("shards"):
        transformers.AutoModel.from_pretrained(folder).save_pretrained(folder, max_shard_size="40KB")
        (folder / "model.safetensors").unlink()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nRandom weights, made by scripts/golden/make_family.py.\n")
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def write_packed(file: Path, value: object) -> None:
    file.write_bytes(gzip.compress(json.dumps(value, separators=(",", ":")).encode("ascii"), mtime=0))


def write_lower_case(folder: Path) -> None:
    file = folder / "sentence_bert_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "do_lower_case": True}, indent=2))


def main() -> None:
    torch.set_num_threads(1)
    texts = make_texts()
    FAMILY.mkdir(parents=True, exist_ok=True)
    write_packed(FAMILY / "texts.json.gz", texts)
    for name, case in CASES.items():
        folder = FAMILY / name
        model = build(folder, case)
        vectors = np.stack([model.encode(text, batch_size=1, convert_to_numpy=True, show_progress_bar=False) for text in texts])
        prompt = case.get("prompt", "")
        ids = [model.tokenizer(prompt + text, truncation=True, max_length=model.max_seq_length)["input_ids"] for text in texts]
        (folder / "golden.f32").write_bytes(vectors.astype("<f4").tobytes())
        write_packed(folder / "golden.json.gz", {"dimensions": vectors.shape[1], "ids": ids})
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        lengths = [len(row) for row in ids]
        print(f"{name}: {size} bytes, {vectors.shape[1]} dimensions, {min(lengths)} to {max(lengths)} tokens")


if __name__ == "__main__":
    main()
