//! Text to token ids with a Hugging Face tokenizer, cut to what a model takes. Safe Rust; knows nothing of the C interface's
//! pointers.

use crate::failure::{panic_text, Failure, Status};
use std::ops::Range;
use std::panic::catch_unwind;
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::{Encoding, Token, Tokenizer};

/// A loaded tokenizer. Never changes, so threads share it without a lock.
pub struct TextTokenizer {
    tokenizer: Tokenizer,
    special_tokens: usize,
    max_id: u32,
}

/// The ids of one text, special tokens included.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    /// At most as many as were asked for.
    pub ids: Vec<u32>,
    /// How many there were before the text was cut.
    pub total: usize,
}

/// A stretch of a text that fits a model.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// The bytes of the text that they stand for.
    pub bytes: Range<usize>,
}

impl TextTokenizer {
    /// Reads a tokenizer.json and switches off the padding and truncation that it asks for.
    pub fn from_json(json: &[u8]) -> Result<Self, Failure> {
        // On some broken definitions the crate panics instead of failing. That is the definition's fault, not a call's.
        catch_unwind(|| Self::read(json))
            .unwrap_or_else(|payload| Err(panic_text(&*payload).into()))
            .map_err(|error| Failure::new(Status::BadModel, format!("tokenizer.json cannot be used: {error}")))
    }

    fn read(json: &[u8]) -> tokenizers::Result<Self> {
        let mut tokenizer = Tokenizer::from_bytes(json)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None)?;
        let max_id = tokenizer.get_vocab(true).into_values().max();

        // A trial run, because a post-processor that names an unknown special token panics only when it is used.
        let ids_around = |tokens: Vec<Token>| -> tokenizers::Result<usize> {
            let bare = Encoding::from_tokens(tokens, 0);
            Ok(tokenizer.post_process(bare, None, true)?.len())
        };
        let special_tokens = ids_around(vec![])?;
        if ids_around(vec![Token::new(0, String::new(), (0, 0))])? != special_tokens + 1 {
            return Err("its post-processor does not give the text's tokens once".into());
        }
        Ok(Self {
            special_tokens,
            max_id: max_id.ok_or("its vocabulary is empty")?,
            tokenizer,
        })
    }

    /// Turns a text into at most `max_tokens` ids. The tail is what goes; special tokens stay.
    ///
    /// Cuts by hand, because the crate's own truncation subtracts the number of special tokens from the limit without a check.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Tokens, Failure> {
        let room = max_tokens.checked_sub(self.special_tokens).ok_or_else(|| {
            Failure::new(
                Status::InvalidArgument,
                format!(
                    "max_tokens must be at least {}, the number of special tokens; got {max_tokens}",
                    self.special_tokens
                ),
            )
        })?;
        if max_tokens == 0 {
            return Err(Failure::new(
                Status::InvalidArgument,
                "max_tokens must be at least 1; got 0",
            ));
        }

        let refused = |error| Failure::new(Status::Tokenize, format!("the text cannot be tokenized: {error}"));
        let mut encoding = self.tokenizer.encode_fast(text, false).map_err(refused)?;
        let total = encoding.len() + self.special_tokens;
        if encoding.len() > room {
            encoding.truncate(room, 0, TruncationDirection::Right);
            // What was cut off stays attached as further encodings, which would be post-processed too.
            encoding.take_overflowing();
        }
        let encoding = self.tokenizer.post_process(encoding, None, true).map_err(refused)?;
        Ok(Tokens {
            ids: encoding.get_ids().to_vec(),
            total,
        })
    }

    /// Cuts a text into windows of at most `size` tokens, special tokens not counted, which start every `stride` tokens. The last
    /// one is the first that reaches the end. A text without any token has no window.
    ///
    /// A text that fits into one window is encoded without offsets, which is faster; most texts do.
    pub fn windows(&self, text: &str, size: usize, stride: usize) -> Result<Vec<Window>, Failure> {
        if stride == 0 || stride > size {
            return Err(Failure::new(
                Status::InvalidArgument,
                format!("stride must be from 1 to the window's {size} tokens; got {stride}"),
            ));
        }
        let refused = |error| Failure::new(Status::Tokenize, format!("the text cannot be tokenized: {error}"));
        let whole = self.tokenizer.encode_fast(text, false).map_err(refused)?;
        if whole.is_empty() {
            return Ok(vec![]);
        }
        let finish = |window: Encoding, bytes: Range<usize>| {
            let ids = self
                .tokenizer
                .post_process(window, None, true)
                .map_err(refused)?
                .get_ids()
                .to_vec();
            Ok(Window { ids, bytes })
        };
        if whole.len() <= size {
            return Ok(vec![finish(whole, 0..text.len())?]);
        }

        let mut first = self.tokenizer.encode(text, false).map_err(refused)?;
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

    /// The largest id that [`Self::encode`] can give.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }
}
