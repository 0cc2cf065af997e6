//! The ids of 10,000 texts are those of Hugging Face's own Python package: `test/fixtures/tokens.golden.jsonl.gz`, made by
//! `scripts/golden/make_tokens.py`. Read here, so that the library is proved without the addon around it.

use super::*;
use std::io::{BufRead, BufReader};
use std::path::Path;

#[test]
fn equals_the_python_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let fixture = std::fs::File::open(root.join("test/fixtures/tokens.golden.jsonl.gz")).expect("the fixture is there");
    let mut lines = BufReader::new(flate2::read::GzDecoder::new(fixture))
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.expect("the fixture unpacks")).expect("a line is JSON"));
    let head = lines.next().expect("the fixture has a head");
    let definition = std::fs::read(root.join(head["tokenizer"].as_str().expect("the head names the definition")));
    let tokenizer = Handle::load(&definition.expect("the definition is there")).expect("the definition loads");
    let limit = head["max_tokens"].as_u64().unwrap() as usize;

    let mut texts = 0;
    for line in lines {
        let text = match line["text"].as_str() {
            Some(text) => text.to_owned(),
            None => line["repeat"]
                .as_str()
                .unwrap()
                .repeat(line["times"].as_u64().unwrap() as usize),
        };
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

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
