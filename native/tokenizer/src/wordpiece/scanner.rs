//! One pass over one text: characters become words, words become tokens. Knows the tables, and nothing of limits, special tokens
//! around a text or windows.

use super::added::AddedTokens;
use super::characters::{Characters, Fate, Unit};
use super::trie::{Longest, Node, Trie};
use std::ops::Range;
use tokenizers::normalizer;

/// The longest word, in characters, that a scanner has room for.
pub const LONGEST_WORD: usize = 128;
/// Its bytes.
const WORD_BYTES: usize = LONGEST_WORD * 4;

/// Takes tokens in reading order.
pub trait Sink {
    /// Whether it wants to know where tokens come from. If not, all its ranges are empty.
    const WANTS_BYTES: bool;

    /// Takes a token, and the bytes of the text that it stands for.
    fn take(&mut self, id: u32, bytes: Range<usize>);
}

/// What the tokens of words are found with.
pub struct Words {
    pub trie: Trie,
    /// Where the rest of a word goes on.
    pub continuation: Node,
    pub unknown: u32,
    /// Characters of the longest word that is looked at; a longer one is unknown.
    pub longest: usize,
}

/// What an ASCII byte is: itself in the form that stands in a word (above [`LETTER`]), or one of these.
mod ascii {
    /// Vanishes.
    pub const NOTHING: u8 = 0;
    /// A gap between words.
    pub const GAP: u8 = 1;
    /// A word of one character, unchanged.
    pub const ALONE: u8 = 2;
    /// Anything else: several bytes, or where an added token may start.
    pub const OTHER: u8 = 3;
    /// The smallest letter.
    pub const LETTER: u8 = 4;
}

/// What each byte is to the fast path, as [`ascii`] says. Bytes beyond ASCII are [`ascii::OTHER`].
pub struct Bytes([u8; 256]);

impl Bytes {
    pub fn new(characters: &Characters, added: &AddedTokens) -> Self {
        Self(std::array::from_fn(|byte| {
            let byte = byte as u8;
            if !byte.is_ascii() || added.may_start_with(byte) {
                return ascii::OTHER;
            }
            match characters.fate(char::from(byte)) {
                Fate::Many([]) => ascii::NOTHING,
                Fate::One(Unit::Gap) => ascii::GAP,
                Fate::One(Unit::Alone(same)) if same == char::from(byte) => ascii::ALONE,
                Fate::One(Unit::Letter(letter)) if letter.is_ascii() && letter as u8 >= ascii::LETTER => letter as u8,
                _ => ascii::OTHER,
            }
        }))
    }
}

/// The text has marks that are sorted: it has to be normalized as a whole.
pub struct NeedsSorting;

/// The words of one text on their way into a sink.
pub struct Scanner<'a, S: Sink> {
    words: &'a Words,
    sink: &'a mut S,
    /// The word being read, as UTF-8; no more than its first [`Words::longest`] characters.
    word: [u8; WORD_BYTES],
    length: usize,
    /// All its characters.
    characters: usize,
    /// The tokens of a word of several: their ids, and where in the word they end.
    pieces: [(u32, u32); LONGEST_WORD],
    /// The text's bytes that each byte of the word comes from, if the sink wants them.
    origins: Vec<Range<usize>>,
    /// The text's bytes that the whole word comes from, if the sink wants them.
    whole: Range<usize>,
}

impl<'a, S: Sink> Scanner<'a, S> {
    pub fn new(words: &'a Words, sink: &'a mut S) -> Self {
        Self {
            words,
            sink,
            word: [0; WORD_BYTES],
            length: 0,
            characters: 0,
            pieces: [(0, 0); LONGEST_WORD],
            origins: Vec::new(),
            whole: 0..0,
        }
    }

    /// Reads a whole text character by character. Stops at a character that needs sorting; the sink then has a part.
    pub fn read(
        mut self,
        text: &str,
        bytes: &Bytes,
        characters: &Characters,
        added: &AddedTokens,
    ) -> Result<(), NeedsSorting> {
        let table = &bytes.0;
        let raw = text.as_bytes();
        let mut at = 0;
        while at < raw.len() {
            match table[usize::from(raw[at])] {
                ascii::NOTHING => at += 1,
                ascii::GAP => {
                    self.end_word();
                    at += 1;
                }
                ascii::ALONE => {
                    self.end_word();
                    self.letter(raw[at], at);
                    self.end_word();
                    at += 1;
                }
                ascii::OTHER => {
                    if let Some((id, length)) = added.at_start(&text[at..]) {
                        self.end_word();
                        self.sink.take(id, at..at + length);
                        at += length;
                        continue;
                    }
                    let Some(character) = text[at..].chars().next() else {
                        break;
                    };
                    let origin = at..at + character.len_utf8();
                    at = origin.end;
                    match characters.fate(character) {
                        Fate::One(unit) => self.unit(unit, origin),
                        Fate::Many(units) => units.iter().for_each(|&unit| self.unit(unit, origin.clone())),
                        Fate::Sorted => return Err(NeedsSorting),
                    }
                }
                letter => {
                    self.letter(letter, at);
                    at += 1;
                }
            }
        }
        self.end_word();
        Ok(())
    }

    /// Reads a whole text by normalizing what lies between its added tokens with the library. Much slower.
    pub fn read_sorted(mut self, text: &str, characters: &Characters, added: &AddedTokens) -> tokenizers::Result<()> {
        let mut from = 0;
        while from < text.len() {
            let next = added.first(&text[from..]);
            let piece = from..next.as_ref().map_or(text.len(), |(range, _)| from + range.start);
            let normalized = characters.normalize(&text[piece.clone()])?;
            for (place, character) in normalized.get().char_indices() {
                let range = normalizer::Range::Normalized(place..place + character.len_utf8());
                let origin = normalized.convert_offsets(range).unwrap_or(0..0);
                let origin = piece.start + origin.start..piece.start + origin.end;
                self.unit(Unit::of_normalized(character), origin);
            }
            self.end_word();
            from = piece.end;
            if let Some((range, id)) = next {
                self.sink.take(id, piece.end..piece.end + range.len());
                from += range.len();
            }
        }
        Ok(())
    }

    fn unit(&mut self, unit: Unit, origin: Range<usize>) {
        match unit {
            Unit::Gap => self.end_word(),
            Unit::Letter(letter) => self.wide_letter(letter, origin),
            Unit::Alone(character) => {
                self.end_word();
                self.wide_letter(character, origin);
                self.end_word();
            }
        }
    }

    /// Adds a letter of one byte, from byte `at` of the text.
    #[inline]
    fn letter(&mut self, letter: u8, at: usize) {
        if S::WANTS_BYTES {
            return self.wide_letter(char::from(letter), at..at + 1);
        }
        if self.characters < self.words.longest {
            self.word[self.length] = letter;
            self.length += 1;
        }
        self.characters += 1;
    }

    fn wide_letter(&mut self, letter: char, origin: Range<usize>) {
        if self.characters < self.words.longest {
            let length = letter.encode_utf8(&mut self.word[self.length..]).len();
            self.length += length;
            if S::WANTS_BYTES {
                self.origins.extend(std::iter::repeat_n(origin.clone(), length));
            }
        }
        if S::WANTS_BYTES {
            let start = if self.characters == 0 {
                origin.start
            } else {
                self.whole.start
            };
            self.whole = start..origin.end;
        }
        self.characters += 1;
    }

    /// Hands over the tokens of the word that was read, if there is one: greedily the longest token first, all or none.
    #[inline]
    fn end_word(&mut self) {
        if self.characters == 0 {
            return;
        }
        let word = &self.word[..self.length];
        let known = if self.characters > self.words.longest {
            None
        } else {
            self.words.trie.longest(self.words.trie.root(), word)
        };
        match known {
            Some(first) if first.length == word.len() => self.sink.take(first.id, self.whole.clone()),
            Some(first) => self.take_pieces(first),
            None => self.sink.take(self.words.unknown, self.whole.clone()),
        }
        self.length = 0;
        self.characters = 0;
        if S::WANTS_BYTES {
            self.origins.clear();
        }
    }

    /// Hands over a word of several tokens, whose first is known; nothing of it before all are known.
    fn take_pieces(&mut self, first: Longest) {
        let word = &self.word[..self.length];
        self.pieces[0] = (first.id, first.length as u32);
        let mut count = 1;
        let mut start = first.length;
        while start < word.len() {
            let Some(next) = self.words.trie.longest(self.words.continuation, &word[start..]) else {
                return self.sink.take(self.words.unknown, self.whole.clone());
            };
            start += next.length;
            self.pieces[count] = (next.id, start as u32);
            count += 1;
        }
        let mut start = 0;
        for &(id, end) in &self.pieces[..count] {
            let end = end as usize;
            let bytes = if S::WANTS_BYTES {
                self.origins[start].start..self.origins[end - 1].end
            } else {
                0..0
            };
            self.sink.take(id, bytes);
            start = end;
        }
    }
}
