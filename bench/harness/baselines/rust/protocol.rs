// The protocol of ../child.mjs; both Rust baselines include this file.
use std::io::{BufRead, Write};
use std::time::Instant;

trait Implementation {
    fn embed(&mut self, texts: &[String]) -> Vec<Vec<f32>>;
}

fn answer(line: serde_json::Value) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn serve(implementation: &mut impl Implementation) {
    implementation.embed(&["The first text.".to_string()]);
    answer(serde_json::json!({ "ready": true }));
    for line in std::io::stdin().lock().lines() {
        let request: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let file = std::fs::read(request["texts"].as_str().unwrap()).unwrap();
        let texts: Vec<String> = serde_json::from_slice(&file).unwrap();
        if request["what"] == "calls" {
            let calls = request["calls"].as_u64().unwrap() as usize;
            let mut microseconds = Vec::with_capacity(calls);
            for at in 0..calls + 3 {
                let text = &texts[at % texts.len()..][..1];
                let start = Instant::now();
                std::hint::black_box(implementation.embed(text));
                if at >= 3 {
                    microseconds.push(start.elapsed().as_nanos() as f64 / 1e3);
                }
            }
            answer(serde_json::json!({ "microseconds": microseconds }));
            continue;
        }
        let size = request["batch"].as_u64().unwrap() as usize;
        let start = Instant::now();
        let rows: Vec<Vec<f32>> = texts.chunks(size).flat_map(|part| implementation.embed(part)).collect();
        let seconds = start.elapsed().as_secs_f64();
        if let Some(out) = request["out"].as_str() {
            let bytes: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(out, bytes).unwrap();
        }
        answer(serde_json::json!({ "seconds": seconds }));
    }
}
