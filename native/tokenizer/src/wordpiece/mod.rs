//! BERT's tokenizer without the library's cost a token: one pass, tables, no allocation. Gives the library's ids for every text, and
//! recognizes only definitions for which that is proved; `tests/differential` is the proof. Knows nothing of the C interface.

mod added;
mod characters;
mod definition;
mod scanner;
mod trie;

use crate::text_tokenizer::Window;
use added::AddedTokens;
use characters::Characters;
use definition::Definition;
use scanner::{Bytes, Scanner, Sink, Words};
use std::mem::MaybeUninit;
use std::ops::Range;
use trie::Trie;

/// A BERT tokenizer. Never changes but for tables that grow as texts need them, so threads share it without a lock.
pub struct WordPiece {
    words: Words,
    bytes: Bytes,
    characters: Characters,
    added: AddedTokens,
    before: Box<[u32]>,
    after: Box<[u32]>,
    max_id: u32,
}

impl WordPiece {
    /// `None` if the tokenizer.json is not exactly a BERT tokenizer: the library has to read it.
    pub fn recognize(json: &[u8]) -> Option<Self> {
        let definition = Definition::recognize(json)?;
        // The empty token is never looked up, and one with a NUL byte never found: cleaning removes NUL from words.
        let tokens: Vec<(&[u8], u32)> = definition
            .vocabulary
            .iter()
            .map(|(token, id)| (token.as_bytes(), *id))
            .filter(|(token, _)| !token.is_empty() && !token.contains(&0))
            .collect();
        let trie = Trie::build(&tokens)?;
        let characters = Characters::new(definition.normalizer);
        let added = AddedTokens::new(definition.added)?;
        Some(Self {
            words: Words {
                continuation: trie.node(definition.prefix.as_bytes()),
                trie,
                unknown: definition.unknown,
                longest: definition.longest_word,
            },
            bytes: Bytes::new(&characters, &added),
            characters,
            added,
            before: definition.before.into(),
            after: definition.after.into(),
            max_id: definition.max_id,
        })
    }

    /// How many ids stand around the tokens of every text.
    pub fn special_tokens(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The largest id that it can give.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// Writes the ids of a text to the front of `ids`, special tokens included and the tail cut so that they fit, and gives how many
    /// there would have been. `ids` must have room for the special tokens.
    pub fn encode(&self, text: &str, ids: &mut [MaybeUninit<i64>]) -> tokenizers::Result<usize> {
        let room = self.before.len()..ids.len() - self.after.len();
        let mut front = Front {
            ids: &mut ids[room],
            count: 0,
        };
        self.read(text, &mut front, |front| front.count = 0)?;
        let total = front.count;
        let written = total.min(front.ids.len());
        let end = self.before.len() + written;
        write(&mut ids[..self.before.len()], &self.before);
        write(&mut ids[end..end + self.after.len()], &self.after);
        Ok(total + self.special_tokens())
    }

    /// How many ids a text has, special tokens included.
    pub fn count(&self, text: &str) -> tokenizers::Result<usize> {
        let mut front = Front { ids: &mut [], count: 0 };
        self.read(text, &mut front, |front| front.count = 0)?;
        Ok(front.count + self.special_tokens())
    }

    /// The windows of a text, as `TextTokenizer::windows` describes them; `stride` is from 1 to `size`.
    pub fn windows(&self, text: &str, size: usize, stride: usize) -> tokenizers::Result<Vec<Window>> {
        let mut tokens = Tokens::default();
        self.read(text, &mut tokens, |tokens| *tokens = Tokens::default())?;
        let total = tokens.ids.len();
        if total == 0 {
            return Ok(vec![]);
        }
        let window = |start: usize, end: usize| {
            let origins = &tokens.origins[start..end];
            let bytes = if total <= size {
                0..text.len()
            } else {
                let first = origins.iter().map(|origin| origin.start).min().unwrap_or(0);
                first..origins.iter().map(|origin| origin.end).max().unwrap_or(0)
            };
            let ids = [&self.before, &tokens.ids[start..end], &self.after].concat();
            Window { ids, bytes }
        };
        let later = (total.max(size) - size).div_ceil(stride);
        Ok((0..=later)
            .map(|index| window(index * stride, (index * stride + size).min(total)))
            .collect())
    }

    fn read<S: Sink>(&self, text: &str, sink: &mut S, reset: impl FnOnce(&mut S)) -> tokenizers::Result<()> {
        let scanner = Scanner::new(&self.words, sink);
        if scanner.read(text, &self.bytes, &self.characters, &self.added).is_ok() {
            return Ok(());
        }
        reset(sink);
        Scanner::new(&self.words, sink).read_sorted(text, &self.characters, &self.added)
    }

    /// The bytes of memory that it takes.
    #[cfg(test)]
    pub fn memory(&self) -> (usize, usize) {
        (self.words.trie.memory(), self.characters.memory())
    }
}

fn write(places: &mut [MaybeUninit<i64>], ids: &[u32]) {
    for (place, &id) in places.iter_mut().zip(ids) {
        place.write(i64::from(id));
    }
}

/// Keeps as many ids as there is room for, and counts all.
struct Front<'a> {
    ids: &'a mut [MaybeUninit<i64>],
    count: usize,
}

impl Sink for Front<'_> {
    const WANTS_BYTES: bool = false;

    #[inline]
    fn take(&mut self, id: u32, _: Range<usize>) {
        if let Some(place) = self.ids.get_mut(self.count) {
            place.write(i64::from(id));
        }
        self.count += 1;
    }
}

/// Keeps all tokens with their places.
#[derive(Default)]
struct Tokens {
    ids: Vec<u32>,
    origins: Vec<Range<usize>>,
}

impl Sink for Tokens {
    const WANTS_BYTES: bool = true;

    fn take(&mut self, id: u32, bytes: Range<usize>) {
        self.ids.push(id);
        self.origins.push(bytes);
    }
}
