//! Every status of the C interface, and what a caller may rely on besides.

use super::*;
use crate::failure::guard;
use std::ptr::{null, null_mut};

const HELLO: &[u8] = b"Hello worlds!";

#[test]
fn encodes_with_special_tokens() {
    let tokenizer = Handle::tiny();
    assert_eq!(tokenizer.encode(HELLO, 16), Ok((vec![2, 4, 5, 6, 7, 3], 6)));
    assert_eq!(
        tokenizer.encode("h\u{e9}llo 中".as_bytes(), 16),
        Ok((vec![2, 4, 1, 3], 4))
    );
    assert_eq!(
        tokenizer.encode(b"world[EXTRA]hello", 16),
        Ok((vec![2, 5, 10, 4, 3], 5))
    );
}

#[test]
fn ignores_the_padding_and_truncation_of_the_file() {
    assert_eq!(Handle::tiny().encode(b"hello hello hello", 16).unwrap().0.len(), 5);
}

#[test]
fn cuts_the_tail_and_keeps_the_special_tokens() {
    let tokenizer = Handle::tiny();
    assert_eq!(tokenizer.encode(HELLO, 6), Ok((vec![2, 4, 5, 6, 7, 3], 6)));
    assert_eq!(tokenizer.encode(HELLO, 5), Ok((vec![2, 4, 5, 6, 3], 6)));
    assert_eq!(tokenizer.encode(HELLO, 3), Ok((vec![2, 4, 3], 6)));
    assert_eq!(tokenizer.encode(HELLO, 2), Ok((vec![2, 3], 6)));
    assert_eq!(tokenizer.encode(b"", 2), Ok((vec![2, 3], 2)));
}

#[test]
fn rejects_a_limit_without_room_for_special_tokens() {
    for limit in [0, 1] {
        let (status, reason) = Handle::tiny().encode(HELLO, limit).unwrap_err();
        assert_eq!(status, Status::InvalidArgument);
        assert_eq!(
            reason,
            format!("max_tokens must be at least 2, the number of special tokens; got {limit}")
        );
    }
}

#[test]
fn lists_the_special_tokens_around_one_text_and_two() {
    let of = |processor: Value| {
        let mut definition = tiny_definition();
        definition["post_processor"] = processor;
        let tokenizer = Handle::load(definition.to_string().as_bytes()).unwrap();
        (tokenizer.template(false), tokenizer.template(true))
    };
    let around = |id: &str, type_id: u32| json!({"SpecialToken": {"id": id, "type_id": type_id}});
    let text = |id: &str, type_id: u32| json!({"Sequence": {"id": id, "type_id": type_id}});
    let bert = json!({
        "type": "TemplateProcessing",
        "single": [around("[CLS]", 0), text("A", 0), around("[SEP]", 0)],
        "pair": [around("[CLS]", 0), text("A", 0), around("[SEP]", 0), text("B", 1), around("[SEP]", 1)],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]},
                           "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}
    });
    assert_eq!(
        of(bert),
        (
            Ok(vec![(2, 0), (-1, 0), (3, 0)]),
            Ok(vec![(2, 0), (-1, 0), (3, 0), (-2, 1), (3, 1)])
        )
    );
    // Left to the library: not BERT's.
    let roberta = json!({"type": "RobertaProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2],
                         "trim_offsets": true, "add_prefix_space": true});
    assert_eq!(
        of(roberta),
        (
            Ok(vec![(2, 0), (-1, 0), (3, 0)]),
            Ok(vec![(2, 0), (-1, 0), (3, 0), (3, 0), (-2, 0), (3, 0)])
        )
    );
    assert_eq!(of(Value::Null), (Ok(vec![(-1, 0)]), Ok(vec![(-1, 0), (-2, 1)])));
    let once =
        json!({"type": "TemplateProcessing", "single": [text("A", 0)], "pair": [text("A", 0)], "special_tokens": {}});
    assert_eq!(of(once).0, Ok(vec![(-1, 0)]));
}

#[test]
fn refuses_a_template_that_does_not_fit_its_buffers() {
    let tokenizer = Handle::tiny();
    let (mut ids, mut types, mut count) = ([7; 2], [7; 2], 0);
    let status =
        unsafe { gabion_tokenizer_template(tokenizer.0, 0, ids.as_mut_ptr(), types.as_mut_ptr(), 2, &mut count) };
    assert_eq!(
        (status_of(status), count, ids, types),
        (Status::BufferTooSmall, 3, [7; 2], [7; 2])
    );
    let status = unsafe { gabion_tokenizer_template(null(), 0, null_mut(), null_mut(), 0, &mut count) };
    assert_eq!(status_of(status), Status::InvalidArgument);
}

#[test]
fn works_without_special_tokens() {
    let mut definition = tiny_definition();
    definition["post_processor"] = Value::Null;
    let tokenizer = Handle::load(definition.to_string().as_bytes()).unwrap();
    assert_eq!(tokenizer.encode(HELLO, 1), Ok((vec![4], 4)));
    assert_eq!(tokenizer.encode(b"", 1), Ok((vec![], 0)));
    assert_eq!(tokenizer.encode(b"", 0).unwrap_err().0, Status::InvalidArgument);
}

#[test]
fn says_how_large_the_buffer_must_be_and_writes_nothing() {
    let tokenizer = Handle::tiny();
    for (capacity, limit) in [(0, 16), (5, 16), (4, 5)] {
        let mut ids = [i64::MIN; 8];
        let buffer = if capacity == 0 { null_mut() } else { ids.as_mut_ptr() };
        let (mut token_count, mut total_token_count) = (0, 0);
        let status = unsafe {
            gabion_tokenizer_encode(
                tokenizer.0,
                HELLO.as_ptr(),
                HELLO.len(),
                limit,
                buffer,
                capacity,
                &mut token_count,
                &mut total_token_count,
            )
        };
        assert_eq!(status_of(status), Status::BufferTooSmall);
        assert_eq!((token_count, total_token_count), (limit.min(6), 6));
        assert_eq!(ids, [i64::MIN; 8]);
        assert!(
            last_error().contains(&format!("holds {capacity} ids")),
            "{}",
            last_error()
        );
    }
}

#[test]
fn names_the_null_pointer() {
    let tokenizer = Handle::tiny();
    let (mut ids, mut token_count, mut total_token_count) = ([0i64; 16], 0usize, 0usize);
    let (handle, text) = (tokenizer.0.cast_const(), HELLO.as_ptr());
    let (ids, token_count, total_token_count) = (ids.as_mut_ptr(), &raw mut token_count, &raw mut total_token_count);
    let expect = |name: &str, status: c_int| {
        assert_eq!(status_of(status), Status::InvalidArgument, "{name}");
        assert_eq!(last_error(), format!("{name} must not be null"));
    };
    let len = HELLO.len();
    unsafe {
        let encode = |handle, text, ids, token_count, total_token_count| {
            gabion_tokenizer_encode(handle, text, len, 16, ids, 16, token_count, total_token_count)
        };
        expect("tokenizer", encode(null(), text, ids, token_count, total_token_count));
        expect("text", encode(handle, null(), ids, token_count, total_token_count));
        expect("ids", encode(handle, text, null_mut(), token_count, total_token_count));
        expect("token_count", encode(handle, text, ids, null_mut(), total_token_count));
        expect("total_token_count", encode(handle, text, ids, token_count, null_mut()));
        expect("json", gabion_tokenizer_load(null(), 1, 0, &mut null_mut()));
        expect("out", gabion_tokenizer_load(text, len, 0, null_mut()));
        expect("tokenizer", gabion_tokenizer_max_id(null(), &mut 0));
        expect("out", gabion_tokenizer_max_id(handle, null_mut()));
        gabion_tokenizer_free(null_mut());
    }
}

#[test]
fn takes_null_for_an_empty_text() {
    let tokenizer = Handle::tiny();
    let (mut ids, mut token_count, mut total_token_count) = ([0i64; 2], 0, 0);
    let status = unsafe {
        gabion_tokenizer_encode(
            tokenizer.0,
            null(),
            0,
            2,
            ids.as_mut_ptr(),
            2,
            &mut token_count,
            &mut total_token_count,
        )
    };
    assert_eq!(
        (status_of(status), ids, token_count, total_token_count),
        (Status::Ok, [2, 3], 2, 2)
    );
}

#[test]
fn refuses_a_length_that_no_text_can_have() {
    let tokenizer = Handle::tiny();
    let status = unsafe {
        gabion_tokenizer_encode(
            tokenizer.0,
            HELLO.as_ptr(),
            usize::MAX,
            2,
            [0i64; 2].as_mut_ptr(),
            2,
            &mut 0,
            &mut 0,
        )
    };
    assert_eq!(status_of(status), Status::InvalidArgument);
    assert_eq!(last_error(), format!("text cannot have {} bytes", usize::MAX));
}

#[test]
fn counts_added_tokens_into_the_largest_id() {
    let mut largest = 0;
    let status = unsafe { gabion_tokenizer_max_id(Handle::tiny().0, &mut largest) };
    assert_eq!((status_of(status), largest), (Status::Ok, 10));
}

#[test]
fn reports_a_panic_as_a_status() {
    assert_eq!(guard(|| panic!("on {}", "purpose")), Status::Panic);
    assert_eq!(last_error(), "the tokenizer library panicked: on purpose");
    assert_eq!(guard(|| panic!("plain")), Status::Panic);
    assert_eq!(last_error(), "the tokenizer library panicked: plain");
    assert_eq!(guard(|| std::panic::panic_any(7)), Status::Panic);
    assert_eq!(last_error(), "the tokenizer library panicked: no message");
}

#[test]
fn keeps_the_last_error_for_its_thread() {
    let tokenizer = Handle::tiny();
    tokenizer.encode(b"", 0).unwrap_err();
    let here = last_error();
    let there = std::thread::spawn(last_error).join().unwrap();
    assert_eq!(there, "", "another thread has failed nothing");
    tokenizer.encode(HELLO, 16).unwrap();
    assert_eq!(last_error(), here, "a success does not clear it");
}

#[test]
fn cuts_the_last_error_between_characters() {
    let _ = guard(|| Err(Failure::new(Status::Tokenize, "aé中")));
    let copy = |capacity: usize| {
        let mut buffer = [0xAAu8; 8];
        let length = unsafe { gabion_tokenizer_last_error(buffer.as_mut_ptr().cast(), capacity) };
        assert_eq!(length, 6, "the length of the whole text");
        assert!(
            buffer[capacity..].iter().all(|&byte| byte == 0xAA),
            "nothing is written past the capacity"
        );
        std::ffi::CStr::from_bytes_until_nul(&buffer)
            .map_or_else(|_| String::new(), |text| text.to_str().unwrap().into())
    };
    let copies: Vec<_> = (1..8).map(copy).collect();
    assert_eq!(copies, ["", "a", "a", "aé", "aé", "aé", "aé中"]);
    assert_eq!(unsafe { gabion_tokenizer_last_error(null_mut(), 0) }, 6);
    assert_eq!(unsafe { gabion_tokenizer_last_error(null_mut(), 8) }, 6);
}

#[test]
fn threads_share_a_handle() {
    let tokenizer = Handle::tiny();
    let rounds = if cfg!(miri) { 2 } else { 200 };
    std::thread::scope(|scope| {
        for words in 1..=8 {
            let tokenizer = &tokenizer;
            scope.spawn(move || {
                let text = "hello ".repeat(words);
                for _ in 0..rounds {
                    assert_eq!(tokenizer.encode(text.as_bytes(), 64).unwrap().1, words + 2);
                    assert_eq!(tokenizer.encode(b"", 0).unwrap_err().0, Status::InvalidArgument);
                }
            });
        }
    });
}

#[test]
fn says_how_much_memory_a_text_takes() {
    let tokenizer = Handle::tiny();
    unsafe {
        assert_eq!(gabion_tokenizer_memory(tokenizer.0, 0, 0), 0);
        assert!(gabion_tokenizer_memory(tokenizer.0, 1000, 0) >= 1000);
        assert_eq!(gabion_tokenizer_memory(tokenizer.0, usize::MAX, 1), usize::MAX);
        assert_eq!(gabion_tokenizer_memory(null(), 1000, 1), 0);
    }
}
