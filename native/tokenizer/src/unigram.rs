//! The model of a Unigram tokenizer.json (XLM-RoBERTa's, for example) over one hash table instead of the library's trie of hash maps:
//! reading 250,000 pieces takes a tenth of the time and the memory. Everything around the model, normalization above all, is left to
//! the library. Produces the library's tokens for every text, as `tests/unigram` shows.

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use tokenizers::models::unigram::UnigramTrainer;
use tokenizers::{Model, Result, Token};

/// Added to the lowest score for a character that no piece covers, as in the library.
const UNKNOWN_PENALTY: f64 = 10.0;
/// Published vocabularies have pieces of up to about 50 bytes. Tokenization takes at most this many steps per byte of text.
const MAX_PIECE_BYTES: usize = 512;
/// The table is at most half full, so that longer probe sequences occur only in adversarial vocabularies.
const MAX_PROBES: usize = 128;

/// A Unigram model. Never changes.
pub struct Unigram {
    /// All pieces, one after another.
    bytes: Vec<u8>,
    /// The start of each piece by id, and the end of the last.
    starts: Vec<u32>,
    scores: Vec<f64>,
    /// Open addressing with linear probing: a tag from the piece's hash, and its id plus one; 0 is an empty slot.
    slots: Vec<(u32, u32)>,
    /// The length of the longest piece that starts with a character of each bucket.
    longest: Vec<u16>,
    unknown: u32,
    unknown_score: f64,
}

/// FNV-1a, 64 bits, incremental: hashing all prefixes of a text costs no more than hashing the text. [`Self::finish`] mixes the bits
/// as one round of the SplitMix64 finalizer does, because FNV-1a leaves the high bits of short inputs weak.
#[derive(Clone, Copy)]
struct Fnv1a(u64);

impl Fnv1a {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
    fn push(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    /// A tag and a slot number, both of which depend on all bytes.
    fn finish(self) -> (u32, usize) {
        let mixed = (self.0 ^ (self.0 >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed >> 32) as u32, (mixed ^ (mixed >> 31)) as usize)
    }
}

fn hash(bytes: &[u8]) -> (u32, usize) {
    let mut prefix_hash = Fnv1a::new();
    bytes.iter().for_each(|&byte| prefix_hash.push(byte));
    prefix_hash.finish()
}

const BUCKETS: usize = 1 << 12;

fn bucket(character: char) -> usize {
    (character as usize).wrapping_mul(0x9e37) >> 2 & (BUCKETS - 1)
}

impl Unigram {
    /// `None` for vocabularies that are left to the library: pieces that come twice, are empty or very long.
    fn new(pieces: Pieces, unknown: u32) -> Option<Self> {
        let count = pieces.scores.len();
        if unknown as usize >= count {
            return None;
        }
        let lowest = pieces.scores.iter().copied().fold(
            f64::INFINITY,
            |lowest, score| if score < lowest { score } else { lowest },
        );
        let mut model = Self {
            slots: vec![(0, 0); (2 * count).next_power_of_two()],
            longest: vec![0; BUCKETS],
            unknown,
            unknown_score: lowest - UNKNOWN_PENALTY,
            bytes: pieces.bytes,
            starts: pieces.starts,
            scores: pieces.scores,
        };
        for id in 0..count as u32 {
            model.insert(id)?;
        }
        Some(model)
    }

    fn insert(&mut self, id: u32) -> Option<()> {
        let piece = self.piece(id);
        let length = u16::try_from(piece.len())
            .ok()
            .filter(|&length| (1..=MAX_PIECE_BYTES).contains(&usize::from(length)))?;
        let first = std::str::from_utf8(piece).ok()?.chars().next()?;
        let (tag, start) = hash(piece);
        let mask = self.slots.len() - 1;
        let free = (0..MAX_PROBES)
            .map(|step| (start + step) & mask)
            .find_map(|slot| match self.slots[slot] {
                (_, 0) => Some(Some(slot)),
                (other, plus_one) if other == tag && self.piece(plus_one - 1) == piece => Some(None),
                _ => None,
            });
        let slot = free??;
        self.slots[slot] = (tag, id + 1);
        let longest = &mut self.longest[bucket(first)];
        *longest = length.max(*longest);
        Some(())
    }

    fn piece(&self, id: u32) -> &[u8] {
        let id = id as usize;
        &self.bytes[self.starts[id] as usize..self.starts[id + 1] as usize]
    }

    fn find(&self, (tag, start): (u32, usize), piece: &[u8]) -> Option<u32> {
        let mask = self.slots.len() - 1;
        for step in 0..MAX_PROBES {
            match self.slots[(start + step) & mask] {
                (_, 0) => return None,
                (other, plus_one) if other == tag && self.piece(plus_one - 1) == piece => return Some(plus_one - 1),
                _ => {}
            }
        }
        None
    }

    /// The Viterbi path of highest score, as start, end and id of each token, last first: the library's algorithm, which is SentencePiece's.
    /// Of equal scores the first found wins, as there.
    fn viterbi(&self, text: &str) -> Vec<(usize, usize, u32)> {
        #[derive(Clone, Copy)]
        struct Node {
            score: f64,
            start: usize,
            id: u32,
        }
        const NONE: usize = usize::MAX;
        let bytes = text.as_bytes();
        let mut nodes = vec![
            Node {
                score: 0.0,
                start: NONE,
                id: 0
            };
            bytes.len() + 1
        ];
        let offer = |node: &mut Node, score: f64, start: usize, id: u32| {
            if node.start == NONE || score > node.score {
                *node = Node { score, start, id };
            }
        };
        for (start, first) in text.char_indices() {
            let before = nodes[start].score;
            let mut has_single = false;
            let mut prefix_hash = Fnv1a::new();
            let limit = bytes.len().min(start + usize::from(self.longest[bucket(first)]));
            for end in start + 1..=limit {
                prefix_hash.push(bytes[end - 1]);
                if !text.is_char_boundary(end) {
                    continue;
                }
                if let Some(id) = self.find(prefix_hash.finish(), &bytes[start..end]) {
                    offer(&mut nodes[end], self.scores[id as usize] + before, start, id);
                    has_single |= end - start == first.len_utf8();
                }
            }
            if !has_single {
                offer(
                    &mut nodes[start + first.len_utf8()],
                    self.unknown_score + before,
                    start,
                    self.unknown,
                );
            }
        }
        let mut path = vec![];
        let mut end = bytes.len();
        while end > 0 {
            let Node { start, id, .. } = nodes[end];
            path.push((start, end, id));
            end = start;
        }
        path
    }
}

impl Model for Unigram {
    type Trainer = UnigramTrainer;

    fn tokenize(&self, text: &str) -> Result<Vec<Token>> {
        let path = self.viterbi(text);
        let mut tokens = Vec::with_capacity(path.len());
        let mut steps = path.into_iter().rev().peekable();
        while let Some((start, mut end, mut id)) = steps.next() {
            if id == self.unknown {
                // Adjacent unknown tokens are fused into one, which may happen to be a piece.
                while let Some((_, later, _)) = steps.next_if(|&(_, _, next)| next == self.unknown) {
                    end = later;
                }
                id = self.token_to_id(&text[start..end]).unwrap_or(self.unknown);
            }
            tokens.push(Token::new(id, text[start..end].to_owned(), (start, end)));
        }
        Ok(tokens)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.find(hash(token.as_bytes()), token.as_bytes())
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        let known = (id as usize) < self.scores.len();
        known.then(|| String::from_utf8_lossy(self.piece(id)).into_owned())
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        (0..self.scores.len() as u32)
            .filter_map(|id| Some((self.id_to_token(id)?, id)))
            .collect()
    }

    fn get_vocab_size(&self) -> usize {
        self.scores.len()
    }

    fn save(&self, _: &Path, _: Option<&str>) -> Result<Vec<PathBuf>> {
        Err("this model cannot be saved".into())
    }

    fn get_trainer(&self) -> UnigramTrainer {
        UnigramTrainer::default()
    }
}

/// The vocabulary while it is read.
#[derive(Default)]
struct Pieces {
    bytes: Vec<u8>,
    starts: Vec<u32>,
    scores: Vec<f64>,
}

/// Fails for every model except a Unigram model recognized in every detail: the library has to read the others.
impl<'de> Deserialize<'de> for Unigram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Unigram;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a Unigram model")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Unigram, A::Error> {
        let (mut is_unigram, mut unknown, mut pieces) = (false, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "type" if !is_unigram => {
                    is_unigram = map.next_value::<String>()? == "Unigram";
                    if !is_unigram {
                        return Err(A::Error::custom("another model"));
                    }
                }
                "unk_id" if unknown.is_none() => unknown = Some(map.next_value::<u32>()?),
                "byte_fallback" => {
                    if map.next_value::<bool>()? {
                        return Err(A::Error::custom("a model with byte fallback"));
                    }
                }
                // Only once the type is known, so that other models are rejected before hundreds of thousands of pieces are read.
                "vocab" if pieces.is_none() && is_unigram => {
                    let mut read = Pieces::default();
                    map.next_value_seed(List(&mut read))?;
                    pieces = Some(read);
                }
                _ => return Err(A::Error::custom("an unknown field, or one in an unusual order")),
            }
        }
        let model = pieces
            .zip(unknown)
            .and_then(|(pieces, unknown)| Unigram::new(pieces, unknown));
        model.ok_or_else(|| A::Error::custom("a vocabulary that is left to the library"))
    }
}

/// Reads `[[piece, score], …]` into one buffer.
struct List<'a>(&'a mut Pieces);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a list of pieces")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        let Self(pieces) = self;
        pieces.starts.push(0);
        while list.next_element_seed(Pair(pieces))?.is_some() {}
        Ok(())
    }
}

struct Pair<'a>(&'a mut Pieces);

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a piece and its score")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> std::result::Result<(), A::Error> {
        let Self(pieces) = self;
        let missing = || A::Error::custom("a piece without a score");
        pair.next_element_seed(Text(&mut pieces.bytes))?.ok_or_else(missing)?;
        pieces.scores.push(pair.next_element()?.ok_or_else(missing)?);
        pieces
            .starts
            .push(u32::try_from(pieces.bytes.len()).map_err(A::Error::custom)?);
        Ok(())
    }
}

/// Appends a string without an intermediate copy.
struct Text<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a piece")
    }

    fn visit_str<E: Error>(self, text: &str) -> std::result::Result<(), E> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
