//! Text to token ids, truncated to what a model takes: by gabion's own tables for BERT's tokenizer, and by the `tokenizers`
//! library for every other, with gabion's own model for Unigram. Safe Rust; knows nothing of the C interface's pointers.

use crate::failure::{panic_text, Failure, Status};
use crate::hugging_face::HuggingFace;
use crate::template::Slot;
use crate::unigram::Unigram;
use crate::window::Window;
use crate::wordpiece::WordPiece;
use std::mem::MaybeUninit;
use std::panic::catch_unwind;
use tokenizers::Encoding;

/// A loaded tokenizer. Never changes, so threads share it without a lock.
pub enum TextTokenizer {
    /// A definition recognized in every detail.
    WordPiece(Box<WordPiece>),
    /// The library around a model recognized in every detail.
    Unigram(Box<HuggingFace<Unigram>>),
    /// Any other.
    HuggingFace(Box<HuggingFace>),
}

/// Which part of a text that is too long is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Beginning,
    End,
}

/// Evaluates `$body` for the tokenizer of any variant.
macro_rules! with {
    ($tokenizer:expr, $each:ident => $body:expr) => {
        match $tokenizer {
            TextTokenizer::WordPiece($each) => $body,
            TextTokenizer::Unigram($each) => $body,
            TextTokenizer::HuggingFace($each) => $body,
        }
    };
}

/// How many ids a text has, special tokens included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// After truncation.
    pub token_count: usize,
    /// Before truncation.
    pub total_token_count: usize,
}

impl TextTokenizer {
    /// Reads a tokenizer.json. Its padding and truncation are switched off. Of a text that is too long, `kept` stays; without it, what the
    /// file's truncation says.
    pub fn from_json(json: &[u8], kept: Option<Kept>) -> Result<Self, Failure> {
        let read = || {
            if let Some(own) = WordPiece::recognize(json, kept) {
                return Ok(Self::WordPiece(Box::new(own)));
            }
            // Errors of a broken definition are reported by the library.
            if let Ok(around) = HuggingFace::read(json, kept) {
                return Ok(Self::Unigram(Box::new(around)));
            }
            HuggingFace::read(json, kept).map(|other| Self::HuggingFace(Box::new(other)))
        };
        // On some broken definitions the crate panics instead of failing. That is an error of the definition, not of the call.
        catch_unwind(read)
            .unwrap_or_else(|payload| Err(panic_text(&*payload).into()))
            .map_err(|error| Failure::new(Status::BadModel, format!("tokenizer.json cannot be used: {error}")))
    }

    /// Converts a text to at most `max_tokens` ids, and writes them to the front of `ids` if all of them fit. The tail of the text is
    /// truncated, or its head where the end is kept; special tokens stay.
    pub fn encode(&self, text: &str, max_tokens: usize, ids: &mut [MaybeUninit<i64>]) -> Result<Counts, Failure> {
        let special_tokens = with!(self, one => one.special_tokens());
        if max_tokens < special_tokens {
            return Err(Failure::new(
                Status::InvalidArgument,
                format!("max_tokens must be at least {special_tokens}, the number of special tokens; got {max_tokens}"),
            ));
        }
        if max_tokens == 0 {
            return Err(Failure::new(
                Status::InvalidArgument,
                "max_tokens must be at least 1; got 0",
            ));
        }
        match self {
            Self::WordPiece(own) => {
                // If the ids might not fit they are counted first.
                let room = if ids.len() < max_tokens {
                    own.count(text).map_err(tokenize_error)?.min(max_tokens)
                } else {
                    max_tokens
                };
                let total = match ids.get_mut(..room) {
                    Some(ids) => own.encode(text, ids),
                    None => own.count(text),
                };
                let total = total.map_err(tokenize_error)?;
                Ok(Counts {
                    token_count: total.min(max_tokens),
                    total_token_count: total,
                })
            }
            Self::Unigram(around) => copy_ids(around.encode(text, max_tokens), ids),
            Self::HuggingFace(other) => copy_ids(other.encode(text, max_tokens), ids),
        }
    }

    /// Divides a text into windows of at most `size` tokens, special tokens not counted, which start every `stride` tokens. The last
    /// one is the first that reaches the end. A text without any token has no window.
    pub fn windows(&self, text: &str, size: usize, stride: usize) -> Result<Vec<Window>, Failure> {
        if stride == 0 || stride > size {
            return Err(Failure::new(
                Status::InvalidArgument,
                format!("stride must be from 1 to the window's {size} tokens; got {stride}"),
            ));
        }
        with!(self, one => one.windows(text, size, stride)).map_err(tokenize_error)
    }

    /// The special tokens around one text, or between and around two.
    pub fn template(&self, pair: bool) -> Result<Vec<Slot>, Failure> {
        with!(self, one => one.template(pair)).map_err(tokenize_error)
    }

    /// The maximum bytes of memory per byte of text in [`Self::encode`] or [`Self::windows`]: measured on texts of letters between
    /// spaces, which have the most tokens, and of combining marks that are reordered; with a margin.
    pub fn memory_per_byte(&self, windows: bool) -> usize {
        match (self, windows) {
            (Self::WordPiece(_), _) => 64,
            (Self::Unigram(_) | Self::HuggingFace(_), false) => 256,
            (Self::Unigram(_) | Self::HuggingFace(_), true) => 512,
        }
    }

    /// The largest id that [`Self::encode`] can give.
    pub fn max_id(&self) -> u32 {
        with!(self, one => one.max_id())
    }
}

/// Copies an encoding's ids to the front of `ids` if they fit.
fn copy_ids(encoded: tokenizers::Result<(Encoding, usize)>, ids: &mut [MaybeUninit<i64>]) -> Result<Counts, Failure> {
    let (encoding, total_token_count) = encoded.map_err(tokenize_error)?;
    let token_count = encoding.len();
    if let Some(ids) = ids.get_mut(..token_count) {
        for (slot, &id) in ids.iter_mut().zip(encoding.get_ids()) {
            slot.write(i64::from(id));
        }
    }
    Ok(Counts {
        token_count,
        total_token_count,
    })
}

fn tokenize_error(error: tokenizers::Error) -> Failure {
    Failure::new(Status::Tokenize, format!("the text cannot be tokenized: {error}"))
}
