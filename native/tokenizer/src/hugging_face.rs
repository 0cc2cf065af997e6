//! Text to token ids with the `tokenizers` library, for every tokenizer.json that it can read, with its own model or gabion's. Safe
//! Rust; knows nothing of the C interface's pointers.

use crate::template::{slots_of, Slot};
use crate::text_tokenizer::Kept;
use crate::unigram::Unigram;
use crate::window::Window;
use serde::de::DeserializeOwned;
use std::ops::Range;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{
    DecoderWrapper, Encoding, Model, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Result, Token, TokenizerImpl,
};

/// A loaded tokenizer. Never changes, so threads share it without a lock.
pub struct HuggingFace<M = ModelWrapper> {
    tokenizer: TokenizerImpl<M, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>,
    special_tokens: usize,
    max_id: u32,
    direction: TruncationDirection,
}

/// A model that knows its largest id.
pub trait MaxId: Model {
    /// `None` for an empty vocabulary.
    fn max_id(&self) -> Option<u32>;
}

impl MaxId for ModelWrapper {
    fn max_id(&self) -> Option<u32> {
        self.get_vocab().into_values().max()
    }
}

impl MaxId for Unigram {
    fn max_id(&self) -> Option<u32> {
        (self.get_vocab_size() as u32).checked_sub(1)
    }
}

impl<M: MaxId + DeserializeOwned> HuggingFace<M> {
    /// Reads a tokenizer.json and switches off its padding and truncation. Panics on some broken definitions.
    pub fn read(json: &[u8], kept: Option<Kept>) -> Result<Self> {
        let mut tokenizer: TokenizerImpl<M, _, _, _, _> = serde_json::from_slice(json)?;
        let direction = match kept {
            Some(Kept::Beginning) => TruncationDirection::Right,
            Some(Kept::End) => TruncationDirection::Left,
            None => tokenizer
                .get_truncation()
                .map_or(TruncationDirection::Right, |truncation| truncation.direction),
        };
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        let added = tokenizer.get_added_vocabulary().get_vocab().values().copied().max();
        let max_id = tokenizer.get_model().max_id().max(added);

        // A trial run, because a post-processor that names an unknown special token panics only when it is used.
        let post_process = |tokens: Vec<Token>| tokenizer.post_process(Encoding::from_tokens(tokens, 0), None, true);
        let around = post_process(vec![])?;
        let special_tokens = around.len();
        if post_process(vec![Token::new(0, String::new(), (0, 0))])?.len() != special_tokens + 1 {
            return Err("its post-processor does not give the text's tokens once".into());
        }
        Ok(Self {
            special_tokens,
            // A post-processor has ids of its own, which need not be in the vocabulary.
            max_id: max_id
                .max(around.get_ids().iter().copied().max())
                .ok_or("its vocabulary is empty")?,
            tokenizer,
            direction,
        })
    }

    /// Number of special tokens around the tokens of every text.
    pub fn special_tokens(&self) -> usize {
        self.special_tokens
    }

    /// The largest id that it can produce.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }

    /// See `TextTokenizer::template`.
    pub fn template(&self, pair: bool) -> Result<Vec<Slot>> {
        slots_of(|first, second| self.tokenizer.post_process(first, second, true), pair)
    }

    /// Returns at most `max_tokens` ids, special tokens included, and their number without the limit, which must be at least the
    /// number of special tokens.
    ///
    /// Truncates by itself, because the crate's own truncation subtracts the number of special tokens from the limit without a check.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<(Encoding, usize)> {
        let room = max_tokens - self.special_tokens;
        let mut encoding = self.tokenizer.encode_fast(text, false)?;
        let total = encoding.len() + self.special_tokens;
        if encoding.len() > room {
            encoding.truncate(room, 0, self.direction);
            // The truncated part stays attached as further encodings, which would be post-processed too.
            encoding.take_overflowing();
        }
        Ok((self.tokenizer.post_process(encoding, None, true)?, total))
    }

    /// The windows of a text, as `TextTokenizer::windows` describes them; `stride` is from 1 to `size`.
    ///
    /// A text that fits into one window is encoded without offsets, which is faster; most texts do.
    pub fn windows(&self, text: &str, size: usize, stride: usize) -> Result<Vec<Window>> {
        let whole = self.tokenizer.encode_fast(text, false)?;
        if whole.is_empty() {
            return Ok(vec![]);
        }
        let finish = |window: Encoding, bytes: Range<usize>| {
            let ids = self.tokenizer.post_process(window, None, true)?.get_ids().to_vec();
            Ok(Window { ids, bytes })
        };
        if whole.len() <= size {
            return Ok(vec![finish(whole, 0..text.len())?]);
        }

        let mut first = self.tokenizer.encode(text, false)?;
        first.truncate(size, size - stride, TruncationDirection::Right);
        let later = first.take_overflowing();
        std::iter::once(first)
            .chain(later)
            .map(|window| {
                let offsets = window.get_offsets();
                let start = offsets.iter().map(|offset| offset.0).min().unwrap_or(0);
                let end = offsets.iter().map(|offset| offset.1).max().unwrap_or(0);
                finish(window, start..end)
            })
            .collect()
    }
}
