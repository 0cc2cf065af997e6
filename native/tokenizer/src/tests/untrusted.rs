//! Bytes that are no tokenizer and bytes that are no text: each is a status, and none ends the process.

use super::*;

#[test]
fn refuses_what_is_no_tokenizer() {
    let nested = "[".repeat(100_000);
    let inputs: [&[u8]; 9] = [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"{\"model\":{}}",
        b"{\"version\":\"9.0\"}",
        b"{\"model\":{\"type\":\"Unheard\"}}",
        nested.as_bytes(),
    ];
    for input in inputs {
        let (status, reason) = Handle::load(input).unwrap_err();
        assert_eq!(status, Status::BadModel);
        assert!(reason.starts_with("tokenizer.json cannot be used: "), "{reason}");
    }
}

#[test]
fn refuses_an_empty_vocabulary() {
    let mut definition = tiny_definition();
    definition["model"]["vocab"] = json!({});
    definition["added_tokens"] = json!([]);
    definition["post_processor"] = Value::Null;
    let (status, reason) = Handle::load(definition.to_string().as_bytes()).unwrap_err();
    assert_eq!(
        (status, reason.as_str()),
        (
            Status::BadModel,
            "tokenizer.json cannot be used: its vocabulary is empty"
        )
    );
}

#[test]
fn counts_the_ids_of_the_post_processor() {
    let mut definition = tiny_definition();
    definition["post_processor"]["special_tokens"]["[SEP]"]["ids"] = json!([u32::MAX]);
    let own = definition.clone();
    // Another pre-tokenizer sends the second definition to the library's tokenizer.
    definition["pre_tokenizer"] = json!({"type": "Whitespace"});
    for one in [own, definition] {
        let handle = Handle::load(one.to_string().as_bytes()).unwrap();
        let mut largest = 0;
        let status = unsafe { gabion_tokenizer_max_id(handle.0, &mut largest) };
        assert_eq!((status_of(status), largest), (Status::Ok, u32::MAX));
    }
}

#[test]
fn tries_the_post_processor_when_loading() {
    let mut definition = tiny_definition();
    definition["post_processor"]["single"][2]["SpecialToken"]["id"] = json!("[NOWHERE]");
    let (status, _) = Handle::load(definition.to_string().as_bytes()).unwrap_err();
    assert_eq!(status, Status::BadModel);

    for sequences in [0, 2] {
        let mut definition = tiny_definition();
        let single = vec![json!({"Sequence": {"id": "A", "type_id": 0}}); sequences];
        definition["post_processor"]["single"] = json!(single);
        let (status, reason) = Handle::load(definition.to_string().as_bytes()).unwrap_err();
        assert_eq!(status, Status::BadModel);
        assert!(reason.ends_with("does not give the text's tokens once"), "{reason}");
    }
}

#[test]
fn loads_or_refuses_every_cut_and_changed_definition() {
    let definition = tiny_definition().to_string().into_bytes();
    let mut random = Random(1);
    let mut refused = 0;
    for end in 0..definition.len() {
        assert_eq!(Handle::load(&definition[..end]).unwrap_err().0, Status::BadModel);
    }
    for _ in 0..4000 {
        let mut changed = definition.clone();
        for _ in 0..=random.below(3) {
            let place = random.below(changed.len());
            changed[place] = b"0123456789{}[]\",:-eE.nul\\\x00\xff"[random.below(27)];
        }
        match Handle::load(&changed) {
            Ok(tokenizer) => match tokenizer.encode("hello wörlds [CLS] 中".as_bytes(), 8) {
                Ok((ids, _)) => assert!(ids.len() <= 8),
                Err((status, reason)) => assert_ne!(status, Status::Panic, "{reason}"),
            },
            Err((status, reason)) => {
                assert_eq!(status, Status::BadModel, "{reason}");
                refused += 1;
            }
        }
    }
    assert!((1..4000).contains(&refused), "{refused} of 4000 refused");
}

#[test]
fn says_where_a_text_stops_being_utf8() {
    let tokenizer = Handle::tiny();
    let inputs: [(&[u8], usize); 6] = [
        (b"\x80", 0),
        (b"hello \xff", 6),
        (b"\xc3", 0),
        (b"a\xed\xa0\x80b", 1), // a surrogate
        (b"ab\xc0\x80", 2),     // NUL, overlong
        (b"\xf4\x90\x80\x80", 0),
    ];
    for (input, place) in inputs {
        let expected = (Status::InvalidUtf8, format!("the text is not UTF-8 at byte {place}"));
        assert_eq!(tokenizer.encode(input, 8), Err(expected));
    }
}

#[test]
fn encodes_or_refuses_every_byte_string() {
    let tokenizer = Handle::tiny();
    let mut random = Random(2);
    for _ in 0..20_000 {
        let text: Vec<u8> = (0..random.below(24)).map(|_| random.below(256) as u8).collect();
        let limit = 2 + random.below(8);
        match tokenizer.encode(&text, limit) {
            Ok((ids, total)) => {
                assert_eq!(ids.len(), total.min(limit));
                assert_eq!((ids[0], ids[ids.len() - 1]), (2, 3));
            }
            Err((status, reason)) => assert_eq!(status, Status::InvalidUtf8, "{reason}"),
        }
    }
}

#[test]
fn passes_on_why_a_text_is_refused() {
    let mut definition = tiny_definition();
    definition["model"]["unk_token"] = json!("[NOWHERE]");
    let tokenizer = Handle::load(definition.to_string().as_bytes()).unwrap();
    assert!(tokenizer.encode(b"hello", 8).is_ok());
    let (status, reason) = tokenizer.encode(b"unheard", 8).unwrap_err();
    assert_eq!(status, Status::Tokenize);
    assert!(reason.starts_with("the text cannot be tokenized: "), "{reason}");
}
