//! Text to token ids with a Hugging Face tokenizer, cut to what a model takes. Safe Rust; knows nothing of the C interface's
//! pointers.

use crate::failure::{Failure, Status};
use tokenizers::utils::truncation::TruncationDirection;
use tokenizers::Tokenizer;

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

impl TextTokenizer {
    /// Reads a tokenizer.json and switches off the padding and truncation that it asks for.
    pub fn from_json(json: &[u8]) -> Result<Self, Failure> {
        let bad = |reason: String| Failure::new(Status::BadModel, reason);
        let mut tokenizer =
            Tokenizer::from_bytes(json).map_err(|error| bad(format!("tokenizer.json cannot be read: {error}")))?;
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| bad(format!("the tokenizer's truncation cannot be switched off: {error}")))?;

        let max_id = tokenizer.get_vocab(true).into_values().max();
        let max_id = max_id.ok_or_else(|| bad("tokenizer.json has an empty vocabulary".into()))?;
        let special_tokens = tokenizer
            .get_post_processor()
            .map_or(0, |processor| tokenizers::PostProcessor::added_tokens(processor, false));
        Ok(Self {
            tokenizer,
            special_tokens,
            max_id,
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

    /// The largest id that [`Self::encode`] can give.
    pub fn max_id(&self) -> u32 {
        self.max_id
    }
}
