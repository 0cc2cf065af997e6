//! One pass over one text: characters to words, words to tokens. Knows the tables; knows nothing of limits, special tokens around a text
//! or windows.

use super::added::AddedTokens;
use super::characters::{Characters, Mapping, Unit};
use super::trie::{Match, Node, Trie};
use std::ops::Range;
use tokenizers::normalizer;

/// Maximum length of a word, in characters, that a scanner can hold.
pub const MAX_WORD_CHARACTERS: usize = 128;
/// The same in bytes.
const MAX_WORD_BYTES: usize = MAX_WORD_CHARACTERS * 4;

/// Takes tokens in reading order.
pub trait Sink {
    /// Whether it needs the offsets of tokens. If not, all ranges are empty.
    const WANTS_OFFSETS: bool;

    /// Takes a token and the bytes of the text that it covers.
    fn take(&mut self, id: u32, bytes: Range<usize>);
}

/// The tables that words are tokenized with.
pub struct WordTable {
    pub trie: Trie,
    /// The node at which the continuation of a word starts.
    pub continuation: Node,
    pub unknown: u32,
    /// Maximum length of a word in characters; a longer one is unknown.
    pub max_characters: usize,
}

/// The class of an ASCII byte: its normalized letter (from [`LETTER`] on), or one of these.
mod ascii {
    /// Removed by normalization.
    pub const REMOVED: u8 = 0;
    /// Separates words.
    pub const SEPARATOR: u8 = 1;
    /// A word of one character, unchanged by normalization.
    pub const ISOLATED: u8 = 2;
    /// Anything else: a multi-byte character, or a possible start of an added token.
    pub const OTHER: u8 = 3;
    /// The smallest letter.
    pub const LETTER: u8 = 4;
}

/// The [`ascii`] class of each byte, for the fast path. Bytes beyond ASCII are [`ascii::OTHER`].
pub struct ByteTable([u8; 256]);

impl ByteTable {
    pub fn new(characters: &Characters, added: &AddedTokens) -> Self {
        Self(std::array::from_fn(|byte| {
            let byte = byte as u8;
            if !byte.is_ascii() || added.may_start_with(byte) {
                return ascii::OTHER;
            }
            match characters.mapping(char::from(byte)) {
                Mapping::Many([]) => ascii::REMOVED,
                Mapping::One(Unit::Separator) => ascii::SEPARATOR,
                Mapping::One(Unit::Isolated(same)) if same == char::from(byte) => ascii::ISOLATED,
                Mapping::One(Unit::Letter(letter)) if letter.is_ascii() && letter as u8 >= ascii::LETTER => {
                    letter as u8
                }
                _ => ascii::OTHER,
            }
        }))
    }
}

/// The text has combining marks that normalization reorders: it has to be normalized as a whole.
pub struct NeedsReordering;

/// The words of one text on their way into a sink.
pub struct Scanner<'a, S: Sink> {
    words: &'a WordTable,
    sink: &'a mut S,
    /// The word being read, as UTF-8; no more than its first [`WordTable::max_characters`] characters.
    word: [u8; MAX_WORD_BYTES],
    length: usize,
    /// Number of its characters.
    characters: usize,
    /// The tokens of a word of several tokens: ids and end positions in the word.
    pieces: [(u32, u32); MAX_WORD_CHARACTERS],
    /// The text's bytes that each byte of the word comes from, if the sink needs them.
    offsets: Vec<Range<usize>>,
    /// The text's bytes that the whole word comes from, if the sink needs them.
    whole: Range<usize>,
}

impl<'a, S: Sink> Scanner<'a, S> {
    pub fn new(words: &'a WordTable, sink: &'a mut S) -> Self {
        Self {
            words,
            sink,
            word: [0; MAX_WORD_BYTES],
            length: 0,
            characters: 0,
            pieces: [(0, 0); MAX_WORD_CHARACTERS],
            offsets: Vec::new(),
            whole: 0..0,
        }
    }

    /// Reads a whole text character by character. Stops at a character that needs reordering; the sink then has a part of the tokens.
    pub fn read(
        mut self,
        text: &str,
        bytes: &ByteTable,
        characters: &Characters,
        added: &AddedTokens,
    ) -> Result<(), NeedsReordering> {
        let table = &bytes.0;
        let raw = text.as_bytes();
        let mut at = 0;
        while at < raw.len() {
            match table[usize::from(raw[at])] {
                ascii::REMOVED => at += 1,
                ascii::SEPARATOR => {
                    self.end_word();
                    at += 1;
                }
                ascii::ISOLATED => {
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
                    let offset = at..at + character.len_utf8();
                    at = offset.end;
                    match characters.mapping(character) {
                        Mapping::One(unit) => self.unit(unit, offset),
                        Mapping::Many(units) => units.iter().for_each(|&unit| self.unit(unit, offset.clone())),
                        Mapping::Reordered => return Err(NeedsReordering),
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

    /// Reads a whole text by normalizing the parts between its added tokens with the library. Much slower.
    pub fn read_normalized(
        mut self,
        text: &str,
        characters: &Characters,
        added: &AddedTokens,
    ) -> tokenizers::Result<()> {
        let mut from = 0;
        while from < text.len() {
            let next = added.first(&text[from..]);
            let piece = from..next.as_ref().map_or(text.len(), |(range, _)| from + range.start);
            let normalized = characters.normalize(&text[piece.clone()])?;
            for (at, character) in normalized.get().char_indices() {
                let range = normalizer::Range::Normalized(at..at + character.len_utf8());
                let offset = normalized.convert_offsets(range).unwrap_or(0..0);
                let offset = piece.start + offset.start..piece.start + offset.end;
                self.unit(Unit::of_normalized(character), offset);
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

    fn unit(&mut self, unit: Unit, offset: Range<usize>) {
        match unit {
            Unit::Separator => self.end_word(),
            Unit::Letter(letter) => self.push_character(letter, offset),
            Unit::Isolated(character) => {
                self.end_word();
                self.push_character(character, offset);
                self.end_word();
            }
        }
    }

    /// Adds a letter of one byte, from byte `at` of the text.
    #[inline]
    fn letter(&mut self, letter: u8, at: usize) {
        if S::WANTS_OFFSETS {
            return self.push_character(char::from(letter), at..at + 1);
        }
        if self.characters < self.words.max_characters {
            self.word[self.length] = letter;
            self.length += 1;
        }
        self.characters += 1;
    }

    fn push_character(&mut self, letter: char, offset: Range<usize>) {
        if self.characters < self.words.max_characters {
            let length = letter.encode_utf8(&mut self.word[self.length..]).len();
            self.length += length;
            if S::WANTS_OFFSETS {
                self.offsets.extend(std::iter::repeat_n(offset.clone(), length));
            }
        }
        if S::WANTS_OFFSETS {
            let start = if self.characters == 0 {
                offset.start
            } else {
                self.whole.start
            };
            self.whole = start..offset.end;
        }
        self.characters += 1;
    }

    /// Emits the tokens of the current word, if there is one: greedy longest match first, all tokens or none.
    #[inline]
    fn end_word(&mut self) {
        if self.characters == 0 {
            return;
        }
        let word = &self.word[..self.length];
        let known = if self.characters > self.words.max_characters {
            None
        } else {
            self.words.trie.longest_match(self.words.trie.root(), word)
        };
        match known {
            Some(first) if first.length == word.len() => self.sink.take(first.id, self.whole.clone()),
            Some(first) => self.emit_pieces(first),
            None => self.sink.take(self.words.unknown, self.whole.clone()),
        }
        self.length = 0;
        self.characters = 0;
        if S::WANTS_OFFSETS {
            self.offsets.clear();
        }
    }

    /// Emits a word of several tokens, of which the first is known; nothing is emitted before all are known.
    fn emit_pieces(&mut self, first: Match) {
        let word = &self.word[..self.length];
        self.pieces[0] = (first.id, first.length as u32);
        let mut count = 1;
        let mut start = first.length;
        while start < word.len() {
            let Some(next) = self.words.trie.longest_match(self.words.continuation, &word[start..]) else {
                return self.sink.take(self.words.unknown, self.whole.clone());
            };
            start += next.length;
            self.pieces[count] = (next.id, start as u32);
            count += 1;
        }
        let mut start = 0;
        for &(id, end) in &self.pieces[..count] {
            let end = end as usize;
            let bytes = if S::WANTS_OFFSETS {
                self.offsets[start].start..self.offsets[end - 1].end
            } else {
                0..0
            };
            self.sink.take(id, bytes);
            start = end;
        }
    }
}
