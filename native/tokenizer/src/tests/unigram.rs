//! gabion's Unigram model gives what the library's gives: on the definition of an XLM-RoBERTa for every code point of Unicode and for
//! random texts, and on random vocabularies full of equal scores for texts of their own letters.

use super::golden::golden_texts;
use super::random_texts::RandomTexts;
use super::*;
use crate::hugging_face::HuggingFace;
use crate::unigram::Unigram;
use tokenizers::models::unigram::Unigram as LibraryUnigram;
use tokenizers::{Model, ModelWrapper};

fn definition() -> Vec<u8> {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/fixtures/family/xlm-roberta/tokenizer.json"
    );
    std::fs::read(file).expect("the fixture is there")
}

struct Pair {
    own: HuggingFace<Unigram>,
    library: HuggingFace<ModelWrapper>,
}

impl Pair {
    fn of(definition: &[u8]) -> Self {
        let loaded = TextTokenizer::from_json(definition, None).expect("the definition loads");
        let TextTokenizer::Unigram(own) = loaded else {
            panic!("the definition is recognized")
        };
        let library = HuggingFace::read(definition, None).expect("the library loads the definition");
        assert_eq!(
            (own.max_id(), own.special_tokens()),
            (library.max_id(), library.special_tokens())
        );
        Self { own: *own, library }
    }

    fn assert_equal(&self, text: &str) {
        let (own, own_total) = self.own.encode(text, 1 << 20).unwrap();
        let (expected, total) = self.library.encode(text, 1 << 20).unwrap();
        assert_eq!((own.get_ids(), own_total), (expected.get_ids(), total), "{text:?}");
    }

    fn run(&self, seed: u64, code_points: u64) {
        let vocabulary: Value = serde_json::from_slice(&definition()).unwrap();
        let pieces = vocabulary["model"]["vocab"].as_array().unwrap();
        let words = pieces
            .iter()
            .map(|pair| pair[0].as_str().unwrap().replace('▁', " "))
            .collect();
        let mut texts = RandomTexts::new(seed, words, golden_texts());
        let mut seen = 0;
        while seen < code_points {
            let text = texts.next();
            seen += text.chars().count() as u64;
            self.assert_equal(&text);
            if texts.random.below(8) == 0 {
                let size = 1 + texts.random.below(12);
                let stride = 1 + texts.random.below(size);
                assert_eq!(
                    self.own.windows(&text, size, stride).unwrap(),
                    self.library.windows(&text, size, stride).unwrap(),
                    "{text:?} in windows of {size} every {stride}"
                );
            }
        }
    }
}

#[test]
fn equals_the_library_for_every_code_point() {
    let pair = Pair::of(&definition());
    let all: Vec<char> = ('\0'..=char::MAX).collect();
    for some in all.chunks(32) {
        pair.assert_equal(
            &some
                .iter()
                .flat_map(|&one| ['e', one, 'd', ' ', one, ' '])
                .collect::<String>(),
        );
    }
}

#[test]
fn equals_the_library_for_golden_and_random_texts() {
    let pair = Pair::of(&definition());
    golden_texts().iter().for_each(|text| pair.assert_equal(text));
    pair.run(1, 300_000);
}

#[test]
#[ignore = "takes many minutes"]
fn long_run_of_unigram_texts() {
    let pair = Pair::of(&definition());
    for seed in 0..50 {
        pair.run(seed, 1_000_000);
        println!("seed {seed}: 1,000,000 code points equal");
    }
}

/// A vocabulary of short pieces over few letters, whose scores are often equal.
fn random_vocabulary(random: &mut Random) -> Vec<(String, f64)> {
    let letters = ["a", "b", "ab", "é", "中", "▁", "😀", "<unk>"];
    let mut pieces = vec![("<unk>".to_string(), 0.0)];
    for _ in 0..random.below(40) {
        let piece: String = (0..1 + random.below(5)).map(|_| *random.pick(&letters)).collect();
        if pieces.iter().all(|(other, _)| *other != piece) {
            pieces.push((piece, -(random.below(4) as f64) / 2.0));
        }
    }
    pieces
}

#[test]
fn equals_the_library_for_random_vocabularies() {
    let mut random = Random(77);
    let letters = ["a", "b", "é", "中", "▁", "😀", "<unk>", "c", "ß", "\u{301}"];
    for _ in 0..2000 {
        let pieces = random_vocabulary(&mut random);
        let unknown = random.below(pieces.len());
        let own: Unigram = serde_json::from_value(json!({"type": "Unigram", "unk_id": unknown, "vocab": pieces,
                                                         "byte_fallback": false}))
        .expect("the vocabulary is recognized");
        let library = LibraryUnigram::from(pieces.clone(), Some(unknown), false).unwrap();
        assert_eq!(own.get_vocab(), library.get_vocab());
        for _ in 0..30 {
            let text: String = (0..random.below(20)).map(|_| *random.pick(&letters)).collect();
            assert_eq!(
                own.tokenize(&text).unwrap(),
                library.tokenize(&text).unwrap(),
                "{text:?} {pieces:?} {unknown}"
            );
            assert_eq!(own.token_to_id(&text), library.token_to_id(&text));
        }
        for id in 0..=pieces.len() as u32 {
            assert_eq!(own.id_to_token(id), library.id_to_token(id));
        }
    }
}

#[test]
fn leaves_everything_unusual_to_the_library() {
    let usual = || -> Value { serde_json::from_slice(&definition()).unwrap() };
    let is_recognized = |definition: &Value| {
        let json = definition.to_string().into_bytes();
        matches!(TextTokenizer::from_json(&json, None), Ok(TextTokenizer::Unigram(_)))
    };
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut definition = usual();
        change(&mut definition["model"]);
        is_recognized(&definition)
    };
    assert!(changed(&|_| {}));
    assert!(!changed(&|model| model["byte_fallback"] = json!(true)));
    assert!(!changed(&|model| model["unk_id"] = Value::Null));
    assert!(!changed(&|model| model["unk_id"] = json!(1_000_000)));
    assert!(!changed(&|model| model["alpha"] = json!(0.1)));
    assert!(!changed(&|model| model["vocab"][7] = model["vocab"][8].clone()));
    assert!(!changed(&|model| model["vocab"][7][0] = json!("")));
    assert!(!changed(&|model| model["vocab"][7][0] = json!("x".repeat(600))));
    assert!(!changed(&|model| model["vocab"][7] = json!(["x"])));
    assert!(!changed(&|model| model["vocab"] = json!([])));
}
