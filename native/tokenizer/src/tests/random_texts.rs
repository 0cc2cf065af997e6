//! Texts that a tokenizer may stumble over: words of a vocabulary and of every script, marks in every order, controls, tokens that
//! look like special ones, very long words, and changed copies of real texts. The same for the same seed.

use super::Random;

/// Ranges of Unicode, each a script or a kind of character that the normalizer or the splitting treats in its own way.
const RANGES: [(u32, u32); 64] = [
    (0x00, 0x1F),
    (0x20, 0x7E),
    (0x20, 0x7E),
    (0x61, 0x7A),
    (0x7F, 0xA0),
    (0xA1, 0xFF),
    (0x100, 0x24F),
    (0x250, 0x2FF),
    (0x300, 0x36F),
    (0x300, 0x36F),
    (0x370, 0x3FF),
    (0x400, 0x52F),
    (0x531, 0x58F),
    (0x591, 0x5F4),
    (0x600, 0x6FF),
    (0x700, 0x8FF),
    (0x900, 0x97F),
    (0x980, 0xDFF),
    (0xE00, 0xE7F),
    (0xE80, 0xFFF),
    (0x1000, 0x10FF),
    (0x1100, 0x11FF),
    (0x1200, 0x139F),
    (0x1400, 0x17FF),
    (0x180B, 0x180E),
    (0x1800, 0x1AFF),
    (0x1AB0, 0x1AFF),
    (0x1B00, 0x1DBF),
    (0x1DC0, 0x1DFF),
    (0x1E00, 0x1EFF),
    (0x1F00, 0x1FFF),
    (0x2000, 0x206F),
    (0x2000, 0x206F),
    (0x2070, 0x20CF),
    (0x20D0, 0x20FF),
    (0x2100, 0x22FF),
    (0x2300, 0x27BF),
    (0x2C00, 0x2DFF),
    (0x2E00, 0x2FFF),
    (0x3000, 0x30FF),
    (0x302A, 0x302F),
    (0x3099, 0x309C),
    (0x3100, 0x33FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xABFF),
    (0xAC00, 0xD7FF),
    (0xE000, 0xF8FF),
    (0xF900, 0xFAFF),
    (0xFB00, 0xFDFF),
    (0xFE00, 0xFE2F),
    (0xFE30, 0xFFFF),
    (0x10000, 0x10FFF),
    (0x11000, 0x12FFF),
    (0x13000, 0x16FFF),
    (0x16FF0, 0x16FF1),
    (0x1D000, 0x1D1FF),
    (0x1D165, 0x1D172),
    (0x1D400, 0x1D7FF),
    (0x1E000, 0x1EFFF),
    (0x1F000, 0x1FAFF),
    (0x20000, 0x323AF),
    (0xE0000, 0xE01EF),
];

/// Makes texts.
pub struct RandomTexts {
    pub random: Random,
    /// Words to put in as they are or changed.
    words: Vec<String>,
    /// Texts to change.
    texts: &'static [String],
}

impl RandomTexts {
    pub fn new(seed: u64, words: Vec<String>, texts: &'static [String]) -> Self {
        Self {
            random: Random(seed),
            words,
            texts,
        }
    }

    /// The next text: up to some hundred characters, rarely some thousand.
    pub fn next(&mut self) -> String {
        if self.random.below(4) == 0 {
            return self.changed_text();
        }
        let most = *self.random.pick(&[24, 24, 24, 24, 24, 24, 24, 24, 24, 400]);
        let pieces = 1 + self.random.below(most);
        (0..pieces).map(|_| self.piece()).collect()
    }

    fn piece(&mut self) -> String {
        match self.random.below(12) {
            0..=2 => {
                let word = self.random.pick(&self.words).clone();
                word.trim_start_matches('#').to_owned() + " "
            }
            3 => {
                let word = self.random.pick(&self.words).clone();
                self.change(word)
            }
            4 => (*self.random.pick(&[
                "[CLS]", "[SEP]", "[[UNK]", "[MASK", "[PAD]]", "[sep]", "[", "##", "##ing",
            ]))
            .into(),
            5 => (*self.random.pick(&[
                " ", " ", "  ", "\n", "\t", "\u{a0}", "\u{2028}", "\u{3000}", "\u{feff}", "\0",
            ]))
            .into(),
            6 => {
                let letter = self.character();
                let length = *self.random.pick(&[2, 3, 98, 99, 100, 101, 102, 200]);
                let accents = self.random.below(3);
                (0..length)
                    .flat_map(|_| std::iter::once(letter).chain(std::iter::repeat_n('\u{301}', accents)))
                    .collect()
            }
            7 => self.marks(),
            8 => self.any().into(),
            _ => {
                let range = *self.random.pick(&RANGES);
                (0..=self.random.below(8)).map(|_| self.from(range)).collect()
            }
        }
    }

    /// A letter and marks behind it, in any order.
    fn marks(&mut self) -> String {
        let mut text = String::from(self.character());
        for _ in 0..=self.random.below(5) {
            let ranges = [
                (0x300, 0x36F),
                (0x1DC0, 0x1DFF),
                (0x302A, 0x302F),
                (0x1D165, 0x1D172),
                (0x5B0, 0x5C7),
            ];
            let range = *self.random.pick(&ranges);
            text.push(self.from(range));
            if self.random.below(6) == 0 {
                text.push(self.character());
            }
        }
        text
    }

    fn changed_text(&mut self) -> String {
        let text = self.random.pick(self.texts).clone();
        let start: usize = self.random.below(text.chars().count() + 1);
        let length = self.random.below(300);
        self.change(text.chars().skip(start).take(length).collect())
    }

    /// A copy with some characters dropped, doubled, exchanged, replaced or put in.
    fn change(&mut self, text: String) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..=self.random.below(6) {
            let place = self.random.below(characters.len() + 1);
            let new = if self.random.below(8) == 0 {
                self.any()
            } else {
                self.character()
            };
            if place == characters.len() {
                characters.push(new);
                continue;
            }
            match self.random.below(5) {
                0 => drop(characters.remove(place)),
                1 => characters.insert(place, characters[place]),
                2 => characters.swap(place, 0),
                3 => characters[place] = new,
                _ => characters.insert(place, new),
            }
        }
        characters.into_iter().collect()
    }

    /// A character of one of the ranges.
    fn character(&mut self) -> char {
        let range = *self.random.pick(&RANGES);
        self.from(range)
    }

    /// Any character at all.
    fn any(&mut self) -> char {
        self.from((0, 0x10_FFFF))
    }

    fn from(&mut self, (first, last): (u32, u32)) -> char {
        let code = first + self.random.below((last - first + 1) as usize) as u32;
        char::from_u32(code).unwrap_or('\u{fffd}')
    }
}
