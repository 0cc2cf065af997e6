//! Reads a tokenizer.json that is exactly BERT's: every field known, none missing that matters. Any other file, even one with the same
//! meaning, is not recognized, and the library reads it. So a broken file is always refused by the library.

use super::scanner::MAX_WORD_CHARACTERS;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{
    DecoderWrapper, Encoding, PaddingParams, PostProcessor, PostProcessorWrapper, Token, TruncationDirection,
    TruncationParams,
};

/// A recognized definition.
pub struct Definition<'a> {
    pub normalizer: BertNormalizer,
    /// Sorted by bytes, without duplicates.
    pub vocabulary: Vec<(Cow<'a, str>, u32)>,
    pub prefix: Cow<'a, str>,
    pub unknown: u32,
    pub max_word_characters: usize,
    pub added: Vec<(Box<str>, u32)>,
    pub before: Vec<u32>,
    pub after: Vec<u32>,
    pub max_id: u32,
    pub processor: Option<PostProcessorWrapper>,
    /// Whether the file truncates texts on the left.
    pub keeps_end: bool,
}

impl<'a> Definition<'a> {
    /// `None` unless the definition is recognized in every detail.
    pub fn recognize(json: &'a [u8]) -> Option<Self> {
        let file: File = serde_json::from_slice(json).ok()?;
        let model = file.model;
        if file.version != "1.0" || !(1..=MAX_WORD_CHARACTERS).contains(&model.max_input_chars_per_word) {
            return None;
        }
        // Without cleaning, NUL and U+FFFD would stay in words.
        let NormalizerFields {
            clean_text: true,
            handle_chinese_chars,
            strip_accents,
            lowercase,
            ..
        } = file.normalizer
        else {
            return None;
        };

        let vocabulary = sorted(model.vocab.0);
        let vocabulary_size = vocabulary.len() as u32;
        if vocabulary.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return None;
        }
        let id_of = |token: &str| {
            let found = vocabulary.binary_search_by(|(one, _)| one.as_bytes().cmp(token.as_bytes()));
            found.ok().map(|index| vocabulary[index].1)
        };

        let mut added = Vec::with_capacity(file.added_tokens.len());
        let mut next_id = vocabulary_size;
        for token in file.added_tokens {
            if token.normalized || token.single_word || token.lstrip || token.rstrip {
                return None;
            }
            // The library ignores the id in the file; a file with a different id than the library assigns is left to it.
            let id = id_of(&token.content).unwrap_or_else(|| {
                next_id += 1;
                next_id - 1
            });
            if token.id != id {
                return None;
            }
            added.push((token.content.into_owned().into_boxed_str(), id));
        }
        let ids: HashSet<u32> = added.iter().map(|(_, id)| *id).collect();
        let contents: HashSet<&str> = added.iter().map(|(content, _): &(Box<str>, u32)| &**content).collect();
        if ids.len() != added.len() || contents.len() != added.len() {
            return None;
        }

        let (before, after) = ids_around(file.post_processor.as_ref())?;
        let ids = vocabulary.iter().map(|(_, id)| *id);
        // A post-processor has ids of its own, which need not be in the vocabulary.
        let around = before.iter().chain(&after).copied();
        let max_id = ids.chain(added.iter().map(|(_, id)| *id)).chain(around).max()?;
        Some(Self {
            normalizer: BertNormalizer::new(true, handle_chinese_chars, strip_accents, lowercase),
            prefix: model.continuing_subword_prefix,
            unknown: id_of(&model.unk_token)?,
            max_word_characters: model.max_input_chars_per_word,
            added,
            before,
            after,
            max_id,
            processor: file.post_processor,
            keeps_end: file
                .truncation
                .is_some_and(|truncation| truncation.direction == TruncationDirection::Left),
            vocabulary,
        })
    }
}

/// Sorts tokens by their bytes. The first eight bytes are compared as a number stored next to the token: dereferencing every token in
/// every comparison would dominate loading.
fn sorted(tokens: Vec<(Cow<str>, u32)>) -> Vec<(Cow<str>, u32)> {
    let front = |bytes: &[u8]| {
        let mut number = [0; 8];
        let length = bytes.len().min(8);
        number[..length].copy_from_slice(&bytes[..length]);
        u64::from_be_bytes(number)
    };
    let mut keyed: Vec<_> = tokens
        .into_iter()
        .map(|token| (front(token.0.as_bytes()), token))
        .collect();
    keyed.sort_unstable_by(|one, other| {
        one.0
            .cmp(&other.0)
            .then_with(|| one.1 .0.as_bytes().cmp(other.1 .0.as_bytes()))
    });
    keyed.into_iter().map(|(_, token)| token).collect()
}

/// The ids that a post-processor adds before and after the tokens of any text.
fn ids_around(processor: Option<&PostProcessorWrapper>) -> Option<(Vec<u32>, Vec<u32>)> {
    match processor {
        None => return Some((vec![], vec![])),
        Some(PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Template(_)) => {}
        Some(_) => return None,
    }
    const TEXT: [u32; 2] = [u32::MAX - 1, u32::MAX];
    let tokens = TEXT.map(|id| Token::new(id, String::new(), (0, 0))).to_vec();
    let encoding = processor?.process(Encoding::from_tokens(tokens, 0), None, true).ok()?;
    let ids = encoding.get_ids();
    let start = ids.iter().position(|&id| id == TEXT[0])?;
    let (before, rest) = ids.split_at(start);
    let after = rest.strip_prefix(&TEXT[..])?;
    let foreign = before.iter().chain(after).all(|id| !TEXT.contains(id));
    foreign.then(|| (before.to_vec(), after.to_vec()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)] // some fields are read only to be refused where the library refuses them
struct File<'a> {
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(default)]
    truncation: Option<TruncationParams>,
    #[serde(default)]
    padding: Option<PaddingParams>,
    #[serde(borrow)]
    added_tokens: Vec<AddedFields<'a>>,
    normalizer: NormalizerFields,
    pre_tokenizer: PreTokenizerFields,
    post_processor: Option<PostProcessorWrapper>,
    #[serde(default)]
    decoder: Option<DecoderWrapper>,
    #[serde(borrow)]
    model: ModelFields<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct AddedFields<'a> {
    id: u32,
    #[serde(borrow)]
    content: Cow<'a, str>,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

#[derive(Deserialize)]
enum NormalizerKind {
    BertNormalizer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct NormalizerFields {
    r#type: NormalizerKind,
    clean_text: bool,
    handle_chinese_chars: bool,
    strip_accents: Option<bool>,
    lowercase: bool,
}

#[derive(Deserialize)]
enum PreTokenizerKind {
    BertPreTokenizer,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct PreTokenizerFields {
    r#type: PreTokenizerKind,
}

#[derive(Deserialize)]
enum ModelKind {
    WordPiece,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct ModelFields<'a> {
    r#type: ModelKind,
    #[serde(borrow)]
    unk_token: Cow<'a, str>,
    #[serde(borrow)]
    continuing_subword_prefix: Cow<'a, str>,
    max_input_chars_per_word: usize,
    #[serde(borrow)]
    vocab: Vocabulary<'a>,
}

/// The vocabulary in the order of the file, duplicates included.
struct Vocabulary<'a>(Vec<(Cow<'a, str>, u32)>);

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Vocabulary<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Vocabulary<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("tokens and their ids")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut entries = Vec::with_capacity(1 << 15);
                while let Some((Key(token), id)) = map.next_entry()? {
                    entries.push((token, id));
                }
                Ok(Vocabulary(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}
