//! What the tests share: definitions, the golden texts, random numbers, and a caller that goes through the C interface as C++ does.

mod differential;
mod golden;
mod interface;
mod random_texts;
mod recognition;
mod speed;
mod unigram;
mod untrusted;

use crate::failure::Status;
use crate::text_tokenizer::TextTokenizer;
use crate::*;
use serde_json::{json, Value};

/// A BERT-like definition with ten words, two special tokens a text, and the padding and truncation that real files ask for.
pub fn tiny_definition() -> Value {
    let words = [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "hello", "world", "##s", "!", "a", "##a",
    ];
    let vocabulary: serde_json::Map<_, _> = words
        .iter()
        .enumerate()
        .map(|(id, word)| (word.to_string(), json!(id)))
        .collect();
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    let around = |token: &str| json!({"SpecialToken": {"id": token, "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 12}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "added_tokens": [special(2, "[CLS]"), special(3, "[SEP]"), special(10, "[EXTRA]")],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [around("[CLS]"), {"Sequence": {"id": "A", "type_id": 0}}, around("[SEP]")],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}
            }
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary}
    })
}

/// A small generator with a fixed seed (Steele, Lea and Flood's SplitMix64), so that a failure can be run again.
pub struct Random(pub u64);

impl Random {
    /// A number from 0 to `limit` − 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A handle that ends itself.
#[derive(Debug)]
pub struct Handle(pub *mut TextTokenizer);

// SAFETY: the interface promises that threads may share a handle; `threads_share_a_handle` tests it.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { gabion_tokenizer_free(self.0) }
    }
}

/// What an encode call gave: the ids, and the count before the text was cut.
pub type Encoded = (Vec<i64>, usize);

impl Handle {
    pub fn load(json: &[u8]) -> Result<Self, (Status, String)> {
        let mut handle = std::ptr::NonNull::dangling().as_ptr();
        let status = unsafe { gabion_tokenizer_load(json.as_ptr(), json.len(), 0, &mut handle) };
        if status == Status::Ok as c_int {
            return Ok(Self(handle));
        }
        assert!(handle.is_null(), "a failed load must null the handle");
        Err((status_of(status), last_error()))
    }

    pub fn tiny() -> Self {
        Self::load(tiny_definition().to_string().as_bytes()).expect("the tiny definition loads")
    }

    /// Encodes into a buffer of `max_tokens`, as the contract requires.
    pub fn encode(&self, text: &[u8], max_tokens: usize) -> Result<Encoded, (Status, String)> {
        let mut ids = vec![i64::MIN; max_tokens];
        let (mut written, mut total) = (usize::MAX, usize::MAX);
        let status = unsafe {
            gabion_tokenizer_encode(
                self.0,
                text.as_ptr(),
                text.len(),
                max_tokens,
                ids.as_mut_ptr(),
                ids.len(),
                &mut written,
                &mut total,
            )
        };
        if status == Status::Ok as c_int {
            assert!(written <= max_tokens && written <= total);
            assert!(
                ids[written..].iter().all(|&id| id == i64::MIN),
                "nothing is written past the ids"
            );
            ids.truncate(written);
            return Ok((ids, total));
        }
        assert_eq!(
            (written, total),
            (usize::MAX, usize::MAX),
            "a failed call leaves the counts alone"
        );
        Err((status_of(status), last_error()))
    }
}

impl Handle {
    /// The places of the template, with their types.
    pub fn template(&self, pair: bool) -> Result<Vec<(i64, u8)>, (Status, String)> {
        let (mut ids, mut types, mut count) = ([i64::MIN; 16], [u8::MAX; 16], 0);
        let status = unsafe {
            gabion_tokenizer_template(
                self.0,
                c_int::from(pair),
                ids.as_mut_ptr(),
                types.as_mut_ptr(),
                ids.len(),
                &mut count,
            )
        };
        if status != Status::Ok as c_int {
            return Err((status_of(status), last_error()));
        }
        Ok(ids.into_iter().zip(types).take(count).collect())
    }
}

pub fn status_of(status: c_int) -> Status {
    use Status::*;
    let all = [
        Ok,
        InvalidArgument,
        InvalidUtf8,
        BadModel,
        Tokenize,
        BufferTooSmall,
        Panic,
    ];
    all.into_iter()
        .find(|&one| one as c_int == status)
        .expect("a status of the header")
}

pub fn last_error() -> String {
    let mut buffer = vec![0u8; 4096];
    let length = unsafe { gabion_tokenizer_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
    assert_eq!(buffer[length], 0, "the text ends with NUL");
    String::from_utf8(buffer[..length].to_vec()).expect("the text is UTF-8")
}
