"""Tokenizers of the published models' sizes, for models with random weights: WordPiece and MPNet's from the bundled vocabulary,
and a Unigram one of XLM-RoBERTa's 250,002 pieces, with SentencePiece's own normalizer. Knows nothing of weights.
"""

import json
import random
import tempfile
from pathlib import Path

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as sentencepiece_model
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "models" / "all-MiniLM-L6-v2" / "tokenizer.json"
XLM_PIECES = 250_002


def word_piece() -> Tokenizer:
    """The bundled model's tokenizer, which neither pads nor truncates here."""
    tokenizer = Tokenizer.from_file(str(BUNDLED))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def mpnet_word_piece() -> Tokenizer:
    """MPNet's 30,527 entries: its own special tokens around BERT's vocabulary."""
    words = json.loads(BUNDLED.read_text())["model"]["vocab"]
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    vocabulary |= {word: index + 4 for word, index in words.items()}
    vocabulary["<mask>"] = len(vocabulary)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return with_specials(tokenizer)


def with_specials(tokenizer: Tokenizer) -> Tokenizer:
    names = ["<s>", "<pad>", "</s>", "<unk>"]
    mask = AddedToken("<mask>", lstrip=True, special=True, normalized=False)
    tokenizer.add_special_tokens([*(AddedToken(name, special=True, normalized=False) for name in names), mask])
    return tokenizer


def train(lines: list[str]) -> sentencepiece_model.ModelProto:
    """A Unigram model of SentencePiece with the normalization that XLM-RoBERTa has."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = str(Path(folder) / "unigram")
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_prefix=prefix, model_type="unigram", vocab_size=8000, hard_vocab_limit=False,
            normalization_rule_name="nmt_nfkc", character_coverage=1.0, num_threads=1, minloglevel=2,
        )
        model = sentencepiece_model.ModelProto()
        model.ParseFromString(Path(prefix + ".model").read_bytes())
        return model


def fill(pieces: dict[str, float], words: list[str]) -> None:
    """Adds rarer pieces up to the full size: parts of real words first, then sequences of random characters of many scripts."""
    lowest = min(pieces.values())
    wanted = XLM_PIECES - 5
    for length in range(2, 14):
        for word in words:
            for start in range(len(word) - length + 1):
                pieces.setdefault(word[start : start + length], lowest - length)
                if len(pieces) == wanted // 2:
                    break
    chance = random.Random(250_002)
    blocks = [(0x61, 0x7A), (0x430, 0x44F), (0x3B1, 0x3C9), (0x627, 0x64A), (0x905, 0x939), (0x4E00, 0x9FA5), (0x3041, 0x3093), (0xAC00, 0xD7A3)]
    while len(pieces) < wanted:
        first, last = chance.choice(blocks)
        text = "".join(chr(chance.randint(first, last)) for _ in range(chance.randint(2, 6)))
        pieces.setdefault(chance.choice(["", "▁"]) + text, lowest - 12 - chance.random())


def unigram(lines: list[str]) -> Tokenizer:
    """A tokenizer of XLM-RoBERTa's form and size."""
    model = train(lines)
    pieces = {piece.piece: piece.score for piece in model.pieces if piece.type == sentencepiece_model.ModelProto.SentencePiece.NORMAL}
    fill(pieces, sorted({f"▁{word}" for line in lines for word in line.split()}))
    specials = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    tokenizer = Tokenizer(models.Unigram([*specials, *pieces.items(), ("<mask>", 0.0)], unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    template = {"single": "<s> $A </s>", "pair": "<s> $A </s> </s> $B </s>", "special_tokens": [("<s>", 0), ("</s>", 2)]}
    tokenizer.post_processor = processors.TemplateProcessing(**template)
    if tokenizer.get_vocab_size() != XLM_PIECES:
        raise SystemExit(f"the vocabulary has {tokenizer.get_vocab_size()} pieces, expected {XLM_PIECES}")
    return with_specials(tokenizer)
