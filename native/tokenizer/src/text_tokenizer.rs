//! Text to token ids, cut to what a model takes: by gabion's own tables for BERT's tokenizer, by the library for every
//! other, around a model of gabion's own for Unigram. Safe
//! Rust; knows nothing of the C interface's pointers.

use crate::failure::{panic_text, Failure, Status};
use crate::hugging_face::HuggingFace;
use crate::unigram::Unigram;
use crate::wordpiece::WordPiece;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::panic::catch_unwind;
use tokenizers::Encoding;

/// A loaded tokenizer. Never changes, so threads share it without a lock.
pub enum TextTokenizer {
    /// A definition that is known to the last detail.
    WordPiece(Box<WordPiece>),
    /// The library around a model that is known to the last detail.
    Unigram(Box<HuggingFace<Unigram>>),
    /// Any other.
    HuggingFace(Box<HuggingFace>),
}

/// Calls `$body` with whatever tokenizer it is.
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
    /// After the text was cut.
    pub written: usize,
    /// Before.
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
    /// Reads a tokenizer.json. Padding and truncation that it asks for are left out.
    pub fn from_json(json: &[u8]) -> Result<Self, Failure> {
        let read = || {
            if let Some(own) = WordPiece::recognize(json) {
                return Ok(Self::WordPiece(Box::new(own)));
            }
            // What is wrong with a broken definition is for the library to say.
            if let Ok(around) = HuggingFace::read(json) {
                return Ok(Self::Unigram(Box::new(around)));
            }
            HuggingFace::read(json).map(|other| Self::HuggingFace(Box::new(other)))
        };
        // On some broken definitions the crate panics instead of failing. That is the definition's fault, not a call's.
        catch_unwind(read)
            .unwrap_or_else(|payload| Err(panic_text(&*payload).into()))
            .map_err(|error| Failure::new(Status::BadModel, format!("tokenizer.json cannot be used: {error}")))
    }

    /// Turns a text into at most `max_tokens` ids, and writes them to the front of `ids` if there is room for all of them. The tail
    /// of the text is what goes; special tokens stay.
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
                // Where all ids may not find room they are counted first.
                let room = if ids.len() < max_tokens {
                    own.count(text).map_err(refused)?.min(max_tokens)
                } else {
                    max_tokens
                };
                let total = match ids.get_mut(..room) {
                    Some(ids) => own.encode(text, ids),
                    None => own.count(text),
                };
                let total = total.map_err(refused)?;
                Ok(Counts {
                    written: total.min(max_tokens),
                    total,
                })
            }
            Self::Unigram(around) => written(around.encode(text, max_tokens), ids),
            Self::HuggingFace(other) => written(other.encode(text, max_tokens), ids),
        }
    }

    /// Cuts a text into windows of at most `size` tokens, special tokens not counted, which start every `stride` tokens. The last
    /// one is the first that reaches the end. A text without any token has no window.
    pub fn windows(&self, text: &str, size: usize, stride: usize) -> Result<Vec<Window>, Failure> {
        if stride == 0 || stride > size {
            return Err(Failure::new(
                Status::InvalidArgument,
                format!("stride must be from 1 to the window's {size} tokens; got {stride}"),
            ));
        }
        with!(self, one => one.windows(text, size, stride)).map_err(refused)
    }

    /// The most bytes of memory that a byte of text takes in [`Self::encode`] or [`Self::windows`]: measured on texts of letters
    /// between spaces, which have the most tokens, and of marks that are sorted; with room to spare.
    pub fn memory_of_byte(&self, windows: bool) -> usize {
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

/// Writes an encoding's ids to the front of `ids` if there is room.
fn written(encoded: tokenizers::Result<(Encoding, usize)>, ids: &mut [MaybeUninit<i64>]) -> Result<Counts, Failure> {
    let (encoding, total) = encoded.map_err(refused)?;
    let written = encoding.len();
    if let Some(ids) = ids.get_mut(..written) {
        for (place, &id) in ids.iter_mut().zip(encoding.get_ids()) {
            place.write(i64::from(id));
        }
    }
    Ok(Counts { written, total })
}

fn refused(error: tokenizers::Error) -> Failure {
    Failure::new(Status::Tokenize, format!("the text cannot be tokenized: {error}"))
}
