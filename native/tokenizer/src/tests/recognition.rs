//! Which definitions gabion's own tokenizer takes on: BERT's, and nothing that differs from it in any way.

use super::golden::bundled_definition;
use super::*;
use crate::hugging_face::HuggingFace;
use crate::wordpiece::WordPiece;

fn is_recognized(definition: &Value) -> bool {
    WordPiece::recognize(definition.to_string().as_bytes(), None).is_some()
}

#[test]
fn recognizes_bert() {
    assert!(WordPiece::recognize(&bundled_definition(), None).is_some());
    assert!(is_recognized(&tiny_definition()));
}

#[test]
fn leaves_everything_unusual_to_the_library() {
    let changes: [(&str, Value); 31] = [
        ("/version", json!("2.0")),
        ("/normalizer", Value::Null),
        ("/normalizer/type", json!("NFC")),
        ("/normalizer/clean_text", json!(false)),
        ("/normalizer/more", json!(1)),
        ("/normalizer/lowercase", json!(1)),
        ("/pre_tokenizer", Value::Null),
        ("/pre_tokenizer/type", json!("Whitespace")),
        ("/pre_tokenizer/more", json!(1)),
        ("/model/type", json!("WordLevel")),
        ("/model/unk_token", json!("[NOWHERE]")),
        ("/model/max_input_chars_per_word", json!(0)),
        ("/model/max_input_chars_per_word", json!(129)),
        ("/model/max_input_chars_per_word", json!(-1)),
        ("/model/more", json!(1)),
        ("/model/vocab/hello", json!(u32::MAX)),
        ("/model/vocab/hello", json!(-1)),
        ("/model/vocab", json!([])),
        (
            "/post_processor",
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}),
        ),
        (
            "/post_processor/single/1",
            json!({"Sequence": {"id": "B", "type_id": 0}}),
        ),
        ("/padding/strategy", json!("Unheard")),
        ("/truncation/strategy", json!("Unheard")),
        ("/decoder", json!({"type": "Unheard"})),
        ("/more", json!(1)),
        ("/added_tokens/0/id", json!(1)),
        ("/added_tokens/0/lstrip", json!(true)),
        ("/added_tokens/0/rstrip", json!(true)),
        ("/added_tokens/0/single_word", json!(true)),
        ("/added_tokens/0/normalized", json!(true)),
        ("/added_tokens/2/content", json!("")),
        ("/added_tokens/2/content", json!("\u{e9}")),
    ];
    for (place, value) in changes {
        let mut definition = tiny_definition();
        let (parent, name) = place.rsplit_once('/').unwrap();
        match definition.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value.clone(),
            Value::Object(object) => drop(object.insert(name.into(), value.clone())),
            other => panic!("{other} has no parts"),
        }
        // A post-processor without the text's tokens makes the library panic.
        let recognized = std::panic::catch_unwind(|| is_recognized(&definition));
        assert!(!matches!(recognized, Ok(true)), "{place} = {value}");
    }
}

#[test]
fn leaves_doubles_to_the_library() {
    let definition = tiny_definition().to_string();
    for (once, twice) in [
        ("\"hello\":4", "\"hello\":4,\"hello\":4"),
        ("\"lowercase\":true", "\"lowercase\":true,\"lowercase\":true"),
        ("\"version\":\"1.0\"", "\"version\":\"1.0\",\"version\":\"1.0\""),
    ] {
        let doubled = definition.replace(once, twice);
        assert_ne!(doubled, definition);
        assert!(WordPiece::recognize(doubled.as_bytes(), None).is_none(), "{twice}");
    }
    for id in [10, 11] {
        let mut definition = tiny_definition();
        let mut again = definition["added_tokens"][2].clone();
        again["id"] = json!(id);
        definition["added_tokens"].as_array_mut().unwrap().push(again);
        assert!(!is_recognized(&definition));
    }
}

#[test]
fn every_changed_definition_that_is_recognized_means_the_same_to_the_library() {
    let definition = tiny_definition().to_string().into_bytes();
    let mut random = Random(3);
    let mut recognized = 0;
    for _ in 0..20_000 {
        let mut changed = definition.clone();
        for _ in 0..=random.below(2) {
            let place = random.below(changed.len());
            changed[place] = b"0123456789{}[]\",:-eE.nul\\\x00\xff#tfasu"[random.below(33)];
        }
        let Ok(Some(own)) = std::panic::catch_unwind(|| WordPiece::recognize(&changed, None)) else {
            continue;
        };
        recognized += 1;
        let library = <HuggingFace>::read(&changed, None).expect("the library loads what is recognized");
        assert_eq!(own.max_id(), library.max_id());
        assert_eq!(own.special_tokens(), library.special_tokens());
        let own = TextTokenizer::WordPiece(Box::new(own));
        for text in [
            "hello wörlds! aaa [CLS] [EXTRA] 中 worlda HELLO",
            "[[EXTRA]a [UNK] hello##s\0 ##",
            "",
        ] {
            let expected = library.windows(text, 100, 100).unwrap();
            assert_eq!(own.windows(text, 100, 100).unwrap(), expected, "{text}");
        }
    }
    assert!(recognized > 500, "{recognized} recognized");
}
