//! What a token costs, and what a tokenizer takes to load and to keep, of both tokenizers in one run, by turns. Prints; asserts
//! nothing about times.

use super::golden::{bundled_definition, golden_texts};
use super::*;
use crate::hugging_face::HuggingFace;
use crate::wordpiece::WordPiece;
use std::hint::black_box;
use std::time::Duration;

const ROUNDS: usize = 31;

/// The processor time of this thread: on a busy machine the clock on the wall measures the neighbors.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
#[ignore = "measures: run it alone, with --release --nocapture"]
fn speed() {
    let definition = bundled_definition();
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (mut own_loads, mut library_loads) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let started = processor_time();
        black_box(WordPiece::recognize(&definition, None));
        own_loads.push(processor_time() - started);
        let started = processor_time();
        black_box(<HuggingFace>::read(&definition, None).is_ok());
        library_loads.push(processor_time() - started);
    }
    println!(
        "load: own {:.1?}, library {:.1?}",
        median(own_loads),
        median(library_loads)
    );

    let own = TextTokenizer::from_json(&definition, None).unwrap();
    let library = TextTokenizer::HuggingFace(Box::new(HuggingFace::read(&definition, None).unwrap()));
    let TextTokenizer::WordPiece(tables) = &own else {
        panic!("not recognized");
    };
    println!("memory: trie and characters {:?} bytes", tables.memory());

    let texts = golden_texts();
    // Ordinary English, so many texts that they do not all stay in the nearest cache.
    let prose: Vec<String> = texts
        .iter()
        .filter(|text| text.is_ascii() && text.len() > 20)
        .take(2000)
        .cloned()
        .collect();
    let wide: Vec<String> = texts.iter().filter(|text| !text.is_ascii()).cloned().collect();
    let long = vec![prose.join(" ")];
    for (name, texts) in [("prose", &prose), ("not ASCII", &wide), ("one long text", &long)] {
        let mut ids = vec![MaybeUninit::<i64>::uninit(); 512];
        let (mut own_times, mut library_times) = (vec![], vec![]);
        let mut tokens = 0;
        for _ in 0..ROUNDS {
            for (tokenizer, times) in [(&own, &mut own_times), (&library, &mut library_times)] {
                let started = processor_time();
                tokens = texts
                    .iter()
                    .map(|text| tokenizer.encode(text, 512, &mut ids).unwrap().total_token_count)
                    .sum();
                times.push(processor_time() - started);
            }
        }
        let nanoseconds = |times: &[Duration]| {
            let least = times.iter().min().unwrap().as_nanos() as f64;
            (
                least / tokens as f64,
                median(times.to_vec()).as_nanos() as f64 / tokens as f64,
            )
        };
        let (own_least, own_median) = nanoseconds(&own_times);
        let (library_least, library_median) = nanoseconds(&library_times);
        println!(
            "{name:14} {:6} texts {tokens:8} tokens: own {own_least:6.1} ns a token (median {own_median:.1}), \
             library {library_least:7.1} (median {library_median:.1})",
            texts.len()
        );
    }
    println!("memory after: trie and characters {:?} bytes", tables.memory());
}
