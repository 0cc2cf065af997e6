// fastembed with a model of our own files. usage: baseline-fastembed FOLDER THREADS GRAPH; ORT_DYLIB_PATH names libonnxruntime.
use fastembed::{
    InitOptionsUserDefined, Pooling, QuantizationMode, TextEmbedding, TokenizerFiles, UserDefinedEmbeddingModel,
};
include!("../../protocol.rs");

struct FastEmbed(TextEmbedding);

impl Implementation for FastEmbed {
    fn embed(&mut self, texts: &[String]) -> Vec<Vec<f32>> {
        self.0.embed(texts, None).unwrap()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let folder = std::path::PathBuf::from(&arguments[1]);
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let files = TokenizerFiles {
        tokenizer_file: read("tokenizer.json"),
        config_file: read("config.json"),
        special_tokens_map_file: read("special_tokens_map.json"),
        tokenizer_config_file: read("tokenizer_config.json"),
    };
    let quantization = if arguments[3].contains("quantized") {
        QuantizationMode::Dynamic
    } else {
        QuantizationMode::None
    };
    let model = UserDefinedEmbeddingModel::new(read(&arguments[3]), files)
        .with_pooling(Pooling::Mean)
        .with_quantization(quantization);
    let options = InitOptionsUserDefined::new()
        .with_max_length(256)
        .with_intra_threads(arguments[2].parse().unwrap());
    serve(&mut FastEmbed(
        TextEmbedding::try_new_from_user_defined(model, options).unwrap(),
    ));
}
