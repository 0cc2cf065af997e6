//! The mapping of each character under normalization and pre-tokenization: removed, a separator, a letter of a word, or a word by
//! itself. Computed with the library's own normalizer, one character at a time, when a text first needs it. Knows nothing of
//! vocabularies.
//!
//! Why one character at a time is enough: the normalizer filters, pads, decomposes, strips and lowercases each character by itself,
//! with one exception. The canonical decomposition sorts the combining marks between two starters by their class. Nearly
//! all of them are stripped afterwards, and as the sort is stable, sorting before stripping is sorting what is left. So the order
//! can change only where a mark with a class is *not* stripped (a spacing mark, or one younger than the library's tables); such a
//! character is [`Mapping::Reordered`], and a text that has one goes through the normalizer as a whole.

use std::sync::OnceLock;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{NormalizedString, Normalizer};
use unicode_categories::UnicodeCategories;
use unicode_normalization_alignments::char::{canonical_combining_class, decompose_canonical};

/// What a character is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping<'a> {
    /// One unit.
    One(Unit),
    /// Several units, in this order; none if it is removed.
    Many(&'a [Unit]),
    /// It depends on its neighbors.
    Reordered,
}

/// A unit of which words are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Separates words.
    Separator,
    /// A letter of a word.
    Letter(char),
    /// A word of one character.
    Isolated(char),
}

impl Unit {
    /// The class of a normalized character in the BERT pre-tokenizer.
    pub fn of_normalized(character: char) -> Self {
        if character.is_whitespace() {
            Self::Separator
        } else if character.is_ascii_punctuation() || character.is_punctuation() {
            Self::Isolated(character)
        } else {
            Self::Letter(character)
        }
    }
}

/// Characters per page: those that share all bytes of their UTF-8 form except the last.
const PAGE_SIZE: usize = 64;
/// Pages per page table.
const PAGES_PER_TABLE: usize = 64;
/// Page tables that cover all of Unicode.
const TABLES: usize = 0x11_0000 / (PAGE_SIZE * PAGES_PER_TABLE);

type PageTable = [OnceLock<Box<Page>>; PAGES_PER_TABLE];

/// The mappings of all characters under one normalizer, in a two-level page table that grows by pages of 64 characters as texts need
/// them, from any thread.
pub struct Characters {
    normalizer: BertNormalizer,
    tables: [OnceLock<Box<PageTable>>; TABLES],
}

/// The mappings of 64 characters.
struct Page {
    entries: [Entry; PAGE_SIZE],
    /// The units of those characters that do not become exactly one.
    units: Vec<Unit>,
}

#[derive(Clone, Copy)]
enum Entry {
    One(Unit),
    Many { start: u16, length: u16 },
    Reordered,
}

impl Characters {
    pub fn new(normalizer: BertNormalizer) -> Self {
        Self {
            normalizer,
            tables: [const { OnceLock::new() }; TABLES],
        }
    }

    /// The mapping of a character.
    #[inline]
    pub fn mapping(&self, character: char) -> Mapping<'_> {
        let code = character as usize;
        let table = self.tables[code / (PAGE_SIZE * PAGES_PER_TABLE)]
            .get_or_init(|| Box::new([const { OnceLock::new() }; PAGES_PER_TABLE]));
        let page =
            table[code / PAGE_SIZE % PAGES_PER_TABLE].get_or_init(|| Box::new(self.page(code / PAGE_SIZE * PAGE_SIZE)));
        match page.entries[code % PAGE_SIZE] {
            Entry::One(unit) => Mapping::One(unit),
            Entry::Many { start, length } => {
                Mapping::Many(&page.units[usize::from(start)..usize::from(start + length)])
            }
            Entry::Reordered => Mapping::Reordered,
        }
    }

    /// The text as normalized by the library.
    pub fn normalize(&self, text: &str) -> tokenizers::Result<NormalizedString> {
        let mut normalized = NormalizedString::from(text);
        self.normalizer.normalize(&mut normalized)?;
        Ok(normalized)
    }

    /// The bytes of memory taken so far.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        let tables = self.tables.iter().filter_map(OnceLock::get);
        let pages = tables.clone().flat_map(|table| table.iter().filter_map(OnceLock::get));
        size_of::<Self>()
            + tables.count() * size_of::<PageTable>()
            + pages
                .map(|page| size_of::<Page>() + page.units.capacity() * size_of::<Unit>())
                .sum::<usize>()
    }

    fn page(&self, first: usize) -> Page {
        let mut units = Vec::new();
        let entries = std::array::from_fn(|offset| match char::from_u32((first + offset) as u32) {
            Some(character) => self.map_character(character, &mut units),
            None => Entry::Reordered, // a surrogate, which no text has
        });
        units.shrink_to_fit();
        Page { entries, units }
    }

    fn map_character(&self, character: char, units: &mut Vec<Unit>) -> Entry {
        if self.strips_accents() && needs_reordering(character) {
            return Entry::Reordered;
        }
        let Ok(normalized) = self.normalize(character.encode_utf8(&mut [0; 4])) else {
            return Entry::Reordered;
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

/// Whether the decomposition of a character has a combining mark that is reordered and not stripped.
fn needs_reordering(character: char) -> bool {
    let mut found = false;
    decompose_canonical(character, |part| {
        found |= canonical_combining_class(part) != 0 && !part.is_mark_nonspacing();
    });
    found
}
