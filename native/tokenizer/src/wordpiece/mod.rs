//! BERT's tokenizer without the library's cost per token: one pass over tables, without allocation. Produces the library's ids for
//! every text, and recognizes only definitions for which `tests/differential` shows it. Knows nothing of the C interface.

mod added;
mod characters;
mod definition;
mod scanner;
mod trie;

use crate::template::{slots_of, Slot};
use crate::text_tokenizer::Kept;
use crate::window::Window;
use added::AddedTokens;
use characters::Characters;
use definition::Definition;
use scanner::{ByteTable, Scanner, Sink, WordTable};
use std::mem::MaybeUninit;
use std::ops::Range;
use tokenizers::{PostProcessor, PostProcessorWrapper};
use trie::Trie;

/// A BERT tokenizer. Immutable except for tables that grow as texts need them, so threads share it without a lock.
pub struct WordPiece {
    words: WordTable,
    bytes: ByteTable,
    characters: Characters,
    added: AddedTokens,
    before: Box<[u32]>,
    after: Box<[u32]>,
    max_id: u32,
    processor: Option<PostProcessorWrapper>,
    keeps_end: bool,
}

impl WordPiece {
    /// `None` if the tokenizer.json is not exactly a BERT tokenizer: the library has to read it.
    pub fn recognize(json: &[u8], kept: Option<Kept>) -> Option<Self> {
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
            words: WordTable {
                continuation: trie.node(definition.prefix.as_bytes()),
                trie,
                unknown: definition.unknown,
                max_characters: definition.max_word_characters,
            },
            bytes: ByteTable::new(&characters, &added),
            characters,
            added,
            before: definition.before.into(),
            after: definition.after.into(),
            max_id: definition.max_id,
            processor: definition.processor,
            keeps_end: kept.map_or(definition.keeps_end, |kept| kept == Kept::End),
        })
    }

    /// Number of special tokens around the tokens of every text.
    pub fn special_tokens(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// The largest id that it can produce.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// See `TextTokenizer::template`.
    pub fn template(&self, pair: bool) -> tokenizers::Result<Vec<Slot>> {
        slots_of(
            |mut first, second| match &self.processor {
                Some(processor) => processor.process(first, second, true),
                None => {
                    second.into_iter().for_each(|second| first.merge_with(second, false));
                    Ok(first)
                }
            },
            pair,
        )
    }

    /// Writes the ids of a text to the front of `ids`, special tokens included and the tail (or the head, where the end is kept) truncated
    /// so that they fit, and returns their number before truncation. `ids` must have room for the special tokens.
    pub fn encode(&self, text: &str, ids: &mut [MaybeUninit<i64>]) -> tokenizers::Result<usize> {
        let room = self.before.len()..ids.len() - self.after.len();
        let mut buffer = IdBuffer {
            ids: &mut ids[room],
            count: 0,
        };
        self.read(text, &mut buffer, |buffer| buffer.count = 0)?;
        let total = buffer.count;
        let written = total.min(buffer.ids.len());
        if self.keeps_end && total > written {
            // Rare: the text is read again, since its last tokens are known only at its end.
            let mut tokens = Tokens::default();
            self.read(text, &mut tokens, |tokens| *tokens = Tokens::default())?;
            write(&mut ids[self.before.len()..], &tokens.ids[total - written..]);
        }
        let end = self.before.len() + written;
        write(&mut ids[..self.before.len()], &self.before);
        write(&mut ids[end..end + self.after.len()], &self.after);
        Ok(total + self.special_tokens())
    }

    /// The number of ids of a text, special tokens included.
    pub fn count(&self, text: &str) -> tokenizers::Result<usize> {
        let mut buffer = IdBuffer { ids: &mut [], count: 0 };
        self.read(text, &mut buffer, |buffer| buffer.count = 0)?;
        Ok(buffer.count + self.special_tokens())
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
            let offsets = &tokens.offsets[start..end];
            let bytes = if total <= size {
                0..text.len()
            } else {
                let first = offsets.iter().map(|offset| offset.start).min().unwrap_or(0);
                first..offsets.iter().map(|offset| offset.end).max().unwrap_or(0)
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
        Scanner::new(&self.words, sink).read_normalized(text, &self.characters, &self.added)
    }

    /// Its memory in bytes: trie, character tables.
    #[cfg(test)]
    pub fn memory(&self) -> (usize, usize) {
        (self.words.trie.memory(), self.characters.memory())
    }
}

fn write(slots: &mut [MaybeUninit<i64>], ids: &[u32]) {
    for (slot, &id) in slots.iter_mut().zip(ids) {
        slot.write(i64::from(id));
    }
}

/// Stores as many ids as fit, and counts all.
struct IdBuffer<'a> {
    ids: &'a mut [MaybeUninit<i64>],
    count: usize,
}

impl Sink for IdBuffer<'_> {
    const WANTS_OFFSETS: bool = false;

    #[inline]
    fn take(&mut self, id: u32, _: Range<usize>) {
        if let Some(slot) = self.ids.get_mut(self.count) {
            slot.write(i64::from(id));
        }
        self.count += 1;
    }
}

/// Stores all tokens with their offsets.
#[derive(Default)]
struct Tokens {
    ids: Vec<u32>,
    offsets: Vec<Range<usize>>,
}

impl Sink for Tokens {
    const WANTS_OFFSETS: bool = true;

    fn take(&mut self, id: u32, bytes: Range<usize>) {
        self.ids.push(id);
        self.offsets.push(bytes);
    }
}
