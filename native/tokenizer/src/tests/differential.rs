//! gabion's own tokenizer gives what the library gives: for every code point of Unicode, for texts made to break it, under every
//! normalizer setting and with added tokens that overlap. The library reads the same definition next to it.

use super::golden::{bundled_definition, golden_texts};
use super::random_texts::RandomTexts;
use super::*;
use crate::hugging_face::HuggingFace;
use crate::text_tokenizer::Kept;
use std::sync::atomic::{AtomicU64, Ordering};
use unicode_normalization_alignments::char::canonical_combining_class;

/// Both tokenizers of one definition.
struct Pair {
    own: TextTokenizer,
    library: HuggingFace,
    vocabulary: Vec<String>,
}

impl Pair {
    fn of(definition: &[u8]) -> Self {
        Self::keeping(definition, None)
    }

    fn keeping(definition: &[u8], kept: Option<Kept>) -> Self {
        let own = TextTokenizer::from_json(definition, kept).expect("the definition loads");
        assert!(
            matches!(own, TextTokenizer::WordPiece(_)),
            "the definition is recognized"
        );
        let library = HuggingFace::read(definition, kept).expect("the library loads the definition");
        assert_eq!(own.max_id(), library.max_id());
        let json: Value = serde_json::from_slice(definition).unwrap();
        let vocabulary = json["model"]["vocab"].as_object().unwrap().keys().cloned().collect();
        Self {
            own,
            library,
            vocabulary,
        }
    }

    fn assert_equal(&self, text: &str) {
        self.assert_equal_up_to(text, 1 << 30);
    }

    fn assert_equal_up_to(&self, text: &str, limit: usize) {
        let (encoding, total) = self.library.encode(text, limit).unwrap();
        let expected: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        let limit = limit.min(total.max(2));
        let mut ids = vec![MaybeUninit::new(i64::MIN); limit];
        let counts = self.own.encode(text, limit, &mut ids).unwrap();
        assert_eq!(
            (counts.token_count, counts.total_token_count),
            (expected.len(), total),
            "{text:?} under a limit of {limit}"
        );
        // SAFETY: all were written above.
        let ids: Vec<i64> = ids.iter().map(|id| unsafe { id.assume_init() }).collect();
        assert_eq!(ids[..counts.token_count], expected, "{text:?} under a limit of {limit}");
        assert!(ids[counts.token_count..].iter().all(|&id| id == i64::MIN));
    }

    fn assert_equal_windows(&self, text: &str, size: usize, stride: usize) {
        let expected = self.library.windows(text, size, stride).unwrap();
        let windows = self.own.windows(text, size, stride).unwrap();
        assert_eq!(windows, expected, "{text:?} in windows of {size} every {stride}");
    }

    /// Compares random texts until they have `code_points` characters together, and gives how many texts that were.
    fn run(&self, seed: u64, code_points: u64) -> u64 {
        let mut texts = RandomTexts::new(seed, self.vocabulary.clone(), golden_texts());
        let (mut seen, mut count) = (0, 0);
        while seen < code_points {
            let text = texts.next();
            seen += text.chars().count() as u64;
            count += 1;
            self.assert_equal(&text);
            match texts.random.below(8) {
                0 => self.assert_equal_up_to(&text, 2 + texts.random.below(20)),
                1 => {
                    let size = 1 + texts.random.below(12);
                    let stride = 1 + texts.random.below(size);
                    self.assert_equal_windows(&text, size, stride);
                }
                _ => {}
            }
        }
        count
    }
}

/// The bundled definition with its vocabulary, changed.
fn variant(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut definition = serde_json::from_slice(&bundled_definition()).unwrap();
    change(&mut definition);
    definition.to_string().into_bytes()
}

fn added(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "special": false, "single_word": false,
           "lstrip": false, "rstrip": false, "normalized": false})
}

fn settings(strip_accents: Option<bool>, lowercase: bool, chinese: bool) -> Vec<u8> {
    variant(|definition| {
        definition["normalizer"]["strip_accents"] = json!(strip_accents);
        definition["normalizer"]["lowercase"] = json!(lowercase);
        definition["normalizer"]["handle_chinese_chars"] = json!(chinese);
    })
}

/// Every code point between letters and as a word, 16 to a text; marks that may need sorting have texts of their own, because
/// one of them takes its whole text along.
fn assert_every_code_point(pair: &Pair) {
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for some in all.chunks(16) {
        let together = some.iter().all(|&one| canonical_combining_class(one) == 0);
        for some in some.chunks(if together { 16 } else { 1 }) {
            let text: String = some.iter().flat_map(|&one| ['e', one, 'd', ' ', one, ' ']).collect();
            pair.assert_equal(&text);
        }
    }
}

#[test]
fn equals_the_library_for_every_code_point() {
    assert_every_code_point(&Pair::of(&bundled_definition()));
}

#[test]
fn equals_the_library_for_golden_texts_under_limits_and_in_windows() {
    let pair = Pair::of(&bundled_definition());
    for (index, text) in golden_texts().iter().enumerate() {
        if index % 4 == 0 {
            pair.assert_equal_up_to(text, 2 + index % 50);
            pair.assert_equal_windows(text, 1 + index % 40, 1 + index % (1 + index % 40));
        }
    }
}

#[test]
fn equals_the_library_for_random_texts() {
    assert!(Pair::of(&bundled_definition()).run(1, 600_000) > 1000);
}

#[test]
fn equals_the_library_under_other_settings() {
    let mut seed = 10;
    for strip_accents in [None, Some(false), Some(true)] {
        for (lowercase, chinese) in [(true, true), (false, true), (true, false)] {
            seed += 1;
            Pair::of(&settings(strip_accents, lowercase, chinese)).run(seed, 25_000);
        }
    }
    let short_words = variant(|definition| definition["model"]["max_input_chars_per_word"] = json!(3));
    Pair::of(&short_words).run(20, 25_000);
    let other_prefix = variant(|definition| definition["model"]["continuing_subword_prefix"] = json!(""));
    Pair::of(&other_prefix).run(21, 25_000);
    let no_prefix = variant(|definition| definition["model"]["continuing_subword_prefix"] = json!("@@nowhere"));
    Pair::of(&no_prefix).run(22, 25_000);
    let bare = variant(|definition| definition["post_processor"] = Value::Null);
    Pair::of(&bare).run(23, 25_000);
    let bert = json!({"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]});
    Pair::of(&variant(|definition| definition["post_processor"] = bert)).run(24, 25_000);
}

#[test]
fn equals_the_library_with_added_tokens_that_overlap() {
    let overlapping = [
        "[SE",
        "[[",
        "]",
        "e",
        "ex",
        "ex\u{301}",
        " ",
        "##",
        "0\u{4e2d}",
        "[SEP]]",
        "\n[CLS]",
    ];
    let definition = variant(|definition| {
        let mut next = 30522;
        for content in overlapping {
            let known = definition["model"]["vocab"][content].as_u64();
            let id = known.map_or(next, |id| id as u32);
            next += u32::from(known.is_none());
            definition["added_tokens"]
                .as_array_mut()
                .unwrap()
                .push(added(id, content));
        }
    });
    Pair::of(&definition).run(30, 100_000);
}

/// 100 million code points, or `GABION_CODE_POINTS`, on two threads.
#[test]
#[ignore = "takes many minutes"]
fn long_run_of_random_texts() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().expect("a number"));
    let wanted = number("GABION_CODE_POINTS", 100_000_000);
    let seed = number("GABION_SEED", 1000);
    let pair = Pair::of(&bundled_definition());
    let (started, texts) = (std::time::Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (pair, texts) = (&pair, &texts);
            scope.spawn(move || {
                for part in 0..50 {
                    let seed = seed + thread * 50 + part;
                    texts.fetch_add(pair.run(seed, wanted / 100), Ordering::Relaxed);
                    println!(
                        "seed {seed}: {} code points equal, {:.0?}",
                        wanted / 100,
                        started.elapsed()
                    );
                }
            });
        }
    });
    let texts = texts.into_inner();
    println!("{wanted} code points in {texts} texts equal, {:.0?}", started.elapsed());
}

/// Until the process has taken `GABION_FUZZ_SECONDS` of processor time: what `npm run fuzz` starts.
#[test]
#[ignore = "runs for GABION_FUZZ_SECONDS"]
fn random_texts_for_a_while() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().expect("a number"));
    let (wanted, first) = (number("GABION_FUZZ_SECONDS", 60), number("GABION_SEED", 1000));
    let pair = Pair::of(&bundled_definition());
    let (mut texts, mut rounds) = (0, 0);
    while processor_seconds() < wanted {
        texts += pair.run(first + rounds, PART);
        rounds += 1;
    }
    println!(
        "{} code points in {texts} texts equal, seeds from {first}",
        rounds * PART
    );
}

/// Code points that are compared between two looks at the clock.
const PART: u64 = 100_000;

fn processor_seconds() -> u64 {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours, and the clock is one that every Linux has.
    assert_eq!(
        unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut spent) },
        0
    );
    u64::try_from(spent.tv_sec).expect("a time from zero on")
}

#[test]
#[ignore = "takes minutes"]
fn long_run_of_every_code_point_under_every_setting() {
    for strip_accents in [None, Some(false), Some(true)] {
        for (lowercase, chinese) in [(true, true), (false, true), (true, false), (false, false)] {
            assert_every_code_point(&Pair::of(&settings(strip_accents, lowercase, chinese)));
        }
    }
}

#[test]
fn the_end_of_a_text_is_kept_alike() {
    let pair = Pair::keeping(&bundled_definition(), Some(Kept::End));
    pair.run(41, 20_000);
    let mut left: Value = serde_json::from_slice(&bundled_definition()).unwrap();
    left["truncation"] = json!({"direction": "Left", "max_length": 5, "strategy": "LongestFirst", "stride": 0});
    Pair::of(left.to_string().as_bytes()).assert_equal_up_to("one two three four five six", 5);
    // Both would keep the beginning alike, so the ids themselves are looked at once.
    let mut ids = [MaybeUninit::new(0); 4];
    pair.own.encode("one two three four", 4, &mut ids).unwrap();
    // SAFETY: all were written.
    assert_eq!(ids.map(|id| unsafe { id.assume_init() }), [101, 2093, 2176, 102]);
}
