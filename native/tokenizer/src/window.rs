//! A window of a text: what every tokenizer of this crate divides a long text into.

use std::ops::Range;

/// A part of a text that fits a model.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// The ids, special tokens included.
    pub ids: Vec<u32>,
    /// The bytes of the text that they cover.
    pub bytes: Range<usize>,
}
