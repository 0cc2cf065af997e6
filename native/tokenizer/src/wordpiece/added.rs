//! The added tokens, which are matched in a text before anything else: leftmost first, then longest. Knows only tokens that match the
//! raw text at any position.

use std::ops::Range;

/// Tokens by their text.
pub struct AddedTokens {
    /// Match first.
    tokens: Vec<(Box<str>, u32)>,
    first_bytes: [bool; 256],
}

impl AddedTokens {
    /// `None` if a token is empty or starts beyond ASCII.
    pub fn new(mut tokens: Vec<(Box<str>, u32)>) -> Option<Self> {
        tokens.sort_by_key(|(content, _)| std::cmp::Reverse(content.len()));
        let mut first_bytes = [false; 256];
        for (content, _) in &tokens {
            let first = content.bytes().next().filter(u8::is_ascii)?;
            first_bytes[usize::from(first)] = true;
        }
        Some(Self { tokens, first_bytes })
    }

    /// Whether a token starts with this byte.
    pub fn may_start_with(&self, byte: u8) -> bool {
        self.first_bytes[usize::from(byte)]
    }

    /// The longest token that `text` starts with: its id and its bytes.
    pub fn at_start(&self, text: &str) -> Option<(u32, usize)> {
        if !self.may_start_with(*text.as_bytes().first()?) {
            return None;
        }
        let (content, id) = self.tokens.iter().find(|(content, _)| text.starts_with(&**content))?;
        Some((*id, content.len()))
    }

    /// The first token of `text`: its bytes and its id.
    pub fn first(&self, text: &str) -> Option<(Range<usize>, u32)> {
        text.char_indices().find_map(|(at, _)| {
            let (id, length) = self.at_start(&text[at..])?;
            Some((at..at + length, id))
        })
    }
}
