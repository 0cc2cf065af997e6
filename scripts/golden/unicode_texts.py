"""Texts that a tokenizer is likely to get wrong. Knows nothing of tokenizers or files.

Every list is the same on every run and every Python: the generator has a fixed seed, and nothing depends on which code
points the running Python knows (normalization is applied only to characters assigned long ago).
"""

import random
import unicodedata

SEED = 20240229

WHITESPACE = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x1F, 0x20, 0x85, 0xA0, 0x1680, 0x180E]
WHITESPACE += [*range(0x2000, 0x200E), 0x2028, 0x2029, 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF]
BIDI_CONTROLS = [0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
NONCHARACTERS = [*range(0xFDD0, 0xFDF0)]
NONCHARACTERS += [plane << 16 | end for plane in range(17) for end in (0xFFFE, 0xFFFF)]
SKIN_TONES = [chr(tone) for tone in range(0x1F3FB, 0x1F400)]
ZWJ, VARIATION_16, KEYCAP = "\u200d", "\ufe0f", "\u20e3"

SENTENCES = [
    "Le garçon français préfère la crème brûlée à Noël.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "ĐẶNG THỊ HƯỜNG nói tiếng Việt rất giỏi, phải không?",
    "İstanbul'da ığdır ve IĞDIR: i, ı, İ, I.",
    "Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Zażółć gęślą jaźń.",
    "Ο ΣΊΣΥΦΟΣ και ο Οδυσσέας, ὦ ἄνδρες Ἀθηναῖοι.",
    "Съешь ещё этих мягких французских булок, да выпей йоду.",
    "한국어 문장은 띄어쓰기가 있습니다.",
    "각 값 힣 가",
    "私は日本語を話します。カタカナ、ひらがな、漢字。ガギグ",
    "ﾊﾝｶｸ ｶﾀｶﾅ ＦＵＬＬ ＷＩＤＴＨ １２３",
    "我喜欢喝茶，你呢？今天天氣很好。",
    "𠀀𠀁𪚥 㐀㐁 豈更 丽",
    "مرحبا بالعالم، كَيْفَ حَالُكَ؟ ١٢٣",
    "می\u200cخواهم کتاب\u200cها را بخوانم.",
    "שָׁלוֹם עֲלֵיכֶם, מה שלומך?",
    "ܫܠܡܐ ܥܠܟ",
    "नमस्ते दुनिया, क्षत्रिय र्‍क",
    "வணக்கம் உலகம்",
    "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง",
    "ជំរាបសួរ ពិភពលោក",
    "မင်္ဂလာပါ ကမ္ဘာလောက",
    "བཀྲ་ཤིས་བདེ་ལེགས།",
    "Γειά σου Κόσμε! ΑΣΣ ΑΣ. Σ ς σ",
    "საქართველო ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ Ꭰꭰ 𐐀𐐨",
    "Straße STRASSE ẞ ß ﬁ ﬀ ﬆ Ǆ ǅ ǆ ŉ ǰ ſ K Å Ω",
    "ａｂｃ 𝐛𝐨𝐥𝐝 𝒮𝒸𝓇𝒾𝓅𝓉 𝔉𝔯𝔞𝔨 𝟙𝟚𝟛 ①②③ Ⅷ ½ x² H₂O",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, ∑∫√∞ ≠ ≤ ≥ ± × ÷",
    "€100 £99.99 ¥5,000 ₹1,23,456 ₿0.1 ¢¤",
    "“curly” ‘quotes’ «guillemets» „low“ – — ― … ‰ † ‡ • ‣",
    "don't can't I'm it's o'clock rock-n-roll e.g. U.S.A.",
    "https://example.org/a/b?c=d&e=%20#f user@example.org C:\\dir\\file.txt",
    '{"key": [1, 2.5e-10, null], "<b>html</b>": "&amp;&#233;"}',
    "for(int i=0;i<n;++i){a[i]^=~b[i]<<3;}//comment\r\n\t#define X(y) #y##z",
    "```python\nprint(f'{x!r:>10}')\n```",
    "aGVsbG8gd29ybGQ= 0xDEADBEEF 1e400 -0.0 1,000,000.00 12:34:56.789 2024-02-29T00:00:00Z",
    "hElLo WoRLd ALLCAPS camelCase snake_case kebab-case SCREAMING_SNAKE",
    "[CLS] a [SEP] b [PAD] c [MASK] d [UNK] e",
    "[CLS][CLS][SEP][SEP] x[MASK]y [cls] [Mask] [ MASK ] [MA\u0301SK] [UNK",
    "##ing un##able ## # ### [unused0] [unused99]",
]

EMOJI = [
    "👨" + ZWJ + "👩" + ZWJ + "👧" + ZWJ + "👦",
    "🏳" + VARIATION_16 + ZWJ + "🌈",
    "👩" + ZWJ + "❤" + VARIATION_16 + ZWJ + "💋" + ZWJ + "👨",
    "🇩🇪🇯🇵🇿",
    "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    *[digit + VARIATION_16 + KEYCAP for digit in "09#*"],
    *["👍" + tone for tone in SKIN_TONES],
    *["👩" + tone + ZWJ + "🚀" for tone in SKIN_TONES],
    *["☺" + selector for selector in ("", "\ufe0e", VARIATION_16)],
    ZWJ,
    ZWJ + "👩" + ZWJ,
    SKIN_TONES[0],
    "🫠🪿🩷😀😂🥲",
]


def single_characters() -> list[str]:
    """Each special character alone, between letters and between words."""
    points = [*range(0x00, 0x20), *range(0x7F, 0xA0), 0xAD, 0xFFFD, *WHITESPACE, *BIDI_CONTROLS, *NONCHARACTERS]
    texts = []
    for point in dict.fromkeys(points):
        texts += [chr(point), f"left{chr(point)}right", f" Two {chr(point)} words{chr(point)}"]
    return texts


def combining_marks(random_: random.Random) -> list[str]:
    """Each common mark on a letter and on nothing, and letters under towers of marks."""
    marks = [*range(0x300, 0x370), *range(0x1AB0, 0x1AC0), *range(0x20D0, 0x20F1), *range(0xFE20, 0xFE30), 0x3099, 0x309A]
    texts = [f"resume{chr(mark)} {chr(mark)}x a{chr(mark)}{chr(mark)}b" for mark in marks]
    for height in (1, 2, 5, 20, 100):
        texts.append("".join(letter + "".join(chr(random_.choice(marks)) for _ in range(height)) for letter in "Zalgo text"))
    return texts


def normal_forms() -> list[str]:
    """The sentences in all four normal forms."""
    return [unicodedata.normalize(form, text) for text in SENTENCES for form in ("NFC", "NFD", "NFKC", "NFKD")]


def hangul(random_: random.Random) -> list[str]:
    """Syllables, their jamo, jamo in orders that form no syllable, and compatibility jamo."""
    syllables = ["".join(chr(random_.randrange(0xAC00, 0xD7A4)) for _ in range(6)) for _ in range(12)]
    jamo = ["".join(chr(random_.randrange(0x1100, 0x1200)) for _ in range(8)) for _ in range(12)]
    compatibility = ["".join(chr(random_.randrange(0x3131, 0x318F)) for _ in range(8)) for _ in range(6)]
    return syllables + [unicodedata.normalize("NFD", text) for text in syllables] + jamo + compatibility


def every_block(random_: random.Random) -> list[str]:
    """Two code points of every sixteen in planes 0 and 1 (no block is smaller), fewer of the others; assigned or not."""
    texts = []
    for first in range(0, 0x110000, 0x100):
        plane = first >> 16
        if 0xD800 <= first < 0xE000 or (plane > 1 and first % (0x400 if plane in (2, 3, 14) else 0x1000)):
            continue
        points = [first + step + random_.randrange(16) for step in range(0, 0x100, 16) for _ in range(2)]
        texts.append("".join(chr(point) + random_.choice(["", " ", "a", " the "]) for point in points))
    return texts


def lengths() -> list[str]:
    """Words about the longest that is looked up, and texts about the most tokens that are kept."""
    texts = ["a" * length for length in (1, 2, 50, 98, 99, 100, 101, 102, 200, 1000)]
    texts += ["é" * length for length in (50, 51, 99, 100, 101)]
    texts += ["e\u0301" * length for length in (50, 51, 99, 100, 101)]
    texts += ["中" * length for length in (99, 100, 101, 300)]
    texts += ["𐐀" * length for length in (25, 26, 100, 101)]
    texts += [f"before {'pneumono' * 13} after, {'x' * 100}. {'y' * 101}!", "supercalifragilistic" * 5, "-".join(["ab"] * 60)]
    texts += [" ".join(["word"] * count) for count in (1, 126, 127, 253, 254, 255, 256, 257, 511, 512)]
    texts += ["unbelievable" + " unbelievable" * count for count in (62, 63, 64, 84, 85, 86, 126, 127, 128)]
    return texts


def mixtures(random_: random.Random) -> list[str]:
    """Random joins of all of the above, random code points, and random bytes read as UTF-8 with replacements."""
    pieces = SENTENCES + EMOJI + [chr(point) for point in WHITESPACE + BIDI_CONTROLS] + ["\x00", "A", "é", "e\u0301", " ", "中"]
    texts = ["".join(random_.choice(pieces) for _ in range(random_.randrange(1, 12))) for _ in range(300)]
    for _ in range(200):
        points = [random_.randrange(0x110000 - 0x800) for _ in range(random_.randrange(1, 60))]
        texts.append("".join(chr(point + 0x800 if point >= 0xD800 else point) for point in points))
    for _ in range(100):
        texts.append(random_.randbytes(random_.randrange(1, 80)).decode("utf-8", "replace"))
    return texts


def torture_texts() -> list[str]:
    """All of them, without repeats."""
    random_ = random.Random(SEED)
    texts = ["", *single_characters(), *combining_marks(random_), *normal_forms(), *hangul(random_), *EMOJI]
    texts += [f"I am {emoji} happy{emoji}!" for emoji in EMOJI]
    texts += [chr(control) + text + chr(0x2069) + text for control in BIDI_CONTROLS for text in ("مرحبا abc", "שלום 123")]
    texts += every_block(random_) + lengths() + mixtures(random_)
    return list(dict.fromkeys(texts))


def repeated_texts() -> list[tuple[str, int]]:
    """Texts of about a megabyte of UTF-8, each as what is repeated and how often."""
    pieces = ["The quick brown fox jumps over the lazy dog. ", "a", " ", "中", "👩" + ZWJ + "🚀 ", "é\u0301", "\x00b", "!", "[SEP]"]
    return [(piece, 1_000_000 // len(piece.encode())) for piece in pieces]


def lone_surrogates() -> list[tuple[str, list[int]]]:
    """Texts with U+FFFD where a UTF-16 host has a surrogate without its partner, and those surrogates in order."""
    high, low, replaced = 0xD83D, 0xDE00, "\ufffd"
    texts = [(replaced, [unit]) for unit in (0xD800, high, 0xDBFF, 0xDC00, low, 0xDFFF)]
    texts += [(f"a{replaced}b c{replaced}", [high, low]), (replaced * 2, [low, high]), (replaced * 3, [high, high, high])]
    texts += [(f"{replaced}😀", [high]), (f"😀{replaced}", [low]), (f"x {replaced} y\u0301{replaced}\x00", [low, high])]
    texts += [(f"word {replaced} " * 300, [high, low] * 150), ("é" + replaced, [0xDC00])]
    return texts
