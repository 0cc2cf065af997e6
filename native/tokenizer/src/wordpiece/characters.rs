//! What becomes of each character of a text: nothing, a gap between words, a letter of a word, a word of its own. Learnt from the
//! library's own normalizer, one character at a time, when a text first needs it. Knows nothing of vocabularies.
//!
//! That one character at a time is enough: the normalizer filters, spaces out, decomposes, strips and lowers each character by
//! itself, with one exception. The canonical decomposition sorts the combining marks between two starters by their class. Nearly
//! all of them are stripped afterwards, and as the sort is stable, sorting before stripping is sorting what is left. So the order
//! can change only where a mark with a class is *not* stripped (a spacing mark, or one younger than the library's tables); such a
//! character is [`Fate::Sorted`], and a text that has one goes through the normalizer as a whole.

use std::sync::OnceLock;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{NormalizedString, Normalizer};
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

/// What a character becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// One of these.
    One(Unit),
    /// Several, in this order; none if it vanishes.
    Many(&'a [Unit]),
    /// It depends on its neighbours.
    Sorted,
}

/// A step in the making of words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A gap between words.
    Gap,
    /// A letter of a word.
    Letter(char),
    /// A word of one character.
    Alone(char),
}

impl Unit {
    /// What a character of a normalized text is to the BERT pre-tokenizer.
    pub fn of_normalized(character: char) -> Self {
        if character.is_whitespace() {
            Self::Gap
        } else if character.is_ascii_punctuation() || character.is_punctuation() {
            Self::Alone(character)
        } else {
            Self::Letter(character)
        }
    }
}

/// Characters of a page: those that share all bytes of their UTF-8 form but the last.
const PAGE: usize = 64;
/// Pages of a shelf.
const SHELF: usize = 64;
/// Shelves that hold all of Unicode.
const SHELVES: usize = 0x11_0000 / (PAGE * SHELF);

type Shelf = [OnceLock<Box<Page>>; SHELF];

/// The fates of all characters under one normalizer. Grows by pages of 64 characters as texts need them, from any thread.
pub struct Characters {
    normalizer: BertNormalizer,
    shelves: [OnceLock<Box<Shelf>>; SHELVES],
}

/// The fates of 64 characters.
struct Page {
    entries: [Entry; PAGE],
    /// The units of those characters that do not become exactly one.
    units: Vec<Unit>,
}

#[derive(Clone, Copy)]
enum Entry {
    One(Unit),
    Many { start: u16, length: u16 },
    Sorted,
}

impl Characters {
    pub fn new(normalizer: BertNormalizer) -> Self {
        Self {
            normalizer,
            shelves: [const { OnceLock::new() }; SHELVES],
        }
    }

    /// What becomes of a character.
    #[inline]
    pub fn fate(&self, character: char) -> Fate<'_> {
        let code = character as usize;
        let shelf = self.shelves[code / (PAGE * SHELF)].get_or_init(|| Box::new([const { OnceLock::new() }; SHELF]));
        let page = shelf[code / PAGE % SHELF].get_or_init(|| Box::new(self.page(code / PAGE * PAGE)));
        match page.entries[code % PAGE] {
            Entry::One(unit) => Fate::One(unit),
            Entry::Many { start, length } => Fate::Many(&page.units[usize::from(start)..usize::from(start + length)]),
            Entry::Sorted => Fate::Sorted,
        }
    }

    /// The text as the library's normalizer makes it.
    pub fn normalize(&self, text: &str) -> tokenizers::Result<NormalizedString> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized)?;
        Ok(normalized)
    }

    /// The bytes of memory taken so far.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        let shelves = self.shelves.iter().filter_map(OnceLock::get);
        let pages = shelves.clone().flat_map(|shelf| shelf.iter().filter_map(OnceLock::get));
        size_of::<Self>()
            + shelves.count() * size_of::<Shelf>()
            + pages
                .map(|page| size_of::<Page>() + page.units.capacity() * size_of::<Unit>())
                .sum::<usize>()
    }

    fn page(&self, first: usize) -> Page {
        let mut units = Vec::new();
        let entries = std::array::from_fn(|offset| match char::from_u32((first + offset) as u32) {
            Some(character) => self.learn(character, &mut units),
            None => Entry::Sorted, // a surrogate, which no text has
        });
        units.shrink_to_fit();
        Page { entries, units }
    }

    fn learn(&self, character: char, units: &mut Vec<Unit>) -> Entry {
        if self.strips_accents() && is_sorted(character) {
            return Entry::Sorted;
        }
        let Ok(normalized) = self.normalize(character.encode_utf8(&mut [0; 4])) else {
            return Entry::Sorted;
        };
        let start = units.len();
        units.extend(normalized.get().chars().map(Unit::of_normalized));
        match units[start..] {
            [unit] => {
                units.truncate(start);
                Entry::One(unit)
            }
            _ => Entry::Many {
                start: start as u16,
                length: (units.len() - start) as u16,
            },
        }
    }

    fn strips_accents(&self) -> bool {
        self.normalizer.strip_accents.unwrap_or(self.normalizer.lowercase)
    }
}

/// Whether the decomposition of a character has a mark that is sorted and not stripped.
fn is_sorted(character: char) -> bool {
    let mut found = false;
    decompose_canonical(character, |part| {
        found |= canonical_combining_class(part) != 0 && !part.is_mark_nonspacing();
    });
    found
}
