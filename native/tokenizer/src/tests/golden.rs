//! The ids of 10,000 texts are those of Hugging Face's own Python package: `test/fixtures/tokens.golden.jsonl.gz`, made by
//! `scripts/golden/make_tokens.py`. Read here, so that the library is proved without the addon around it.

use super::*;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[test]
fn equals_the_python_package() {
    let mut lines = fixture_lines();
    let head = lines.next().expect("the fixture has a head");
    let tokenizer = Handle::load(&bundled_definition()).expect("the definition loads");
    let limit = head["max_tokens"].as_u64().unwrap() as usize;

    let mut texts = 0;
    for line in lines {
        let text = text_of(&line);
        let golden: Vec<i64> = serde_json::from_value(line["ids"].clone()).unwrap();
        let total = line["total"].as_u64().unwrap() as usize;
        assert_eq!(
            tokenizer.encode(text.as_bytes(), limit),
            Ok((golden, total)),
            "{:.200}",
            line
        );
        if let Some(digest) = line["sha256"].as_str() {
            let (whole, _) = tokenizer.encode(text.as_bytes(), total).unwrap();
            let bytes: Vec<u8> = whole.iter().flat_map(|id| id.to_le_bytes()).collect();
            assert_eq!(sha256(&bytes), digest, "all ids of {line:.200}");
        }
        texts += 1;
    }
    assert_eq!(Some(texts), head["texts"].as_u64());
}

/// The definition that the fixture was made with.
pub fn bundled_definition() -> Vec<u8> {
    let head = fixture_lines().next().expect("the fixture has a head");
    let name = head["tokenizer"].as_str().expect("the head names the definition");
    std::fs::read(root().join(name)).expect("the definition is there")
}

/// The texts of the fixture, without the nine that are a megabyte long.
pub fn golden_texts() -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| {
        let lines = fixture_lines().skip(1);
        lines
            .filter(|line| line["repeat"].is_null())
            .map(|line| text_of(&line))
            .collect()
    })
}

fn fixture_lines() -> impl Iterator<Item = Value> {
    let file = root().join("test/fixtures/tokens.golden.jsonl.gz");
    let fixture = std::fs::File::open(file).expect("the fixture is there");
    BufReader::new(flate2::read::GzDecoder::new(fixture))
        .lines()
        .map(|line| serde_json::from_str(&line.expect("the fixture unpacks")).expect("a line is JSON"))
}

fn text_of(line: &Value) -> String {
    match line["text"].as_str() {
        Some(text) => text.to_owned(),
        None => {
            let times = line["times"].as_u64().expect("a text or a repeated piece");
            line["repeat"].as_str().unwrap().repeat(times as usize)
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
