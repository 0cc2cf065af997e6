// candle-transformers' BERT in f32. usage: baseline-candle CHECKPOINT THREADS
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use tokenizers::{PaddingParams, Tokenizer, TruncationParams};
include!("../../protocol.rs");

struct Candle {
    model: BertModel,
    tokenizer: Tokenizer,
}

impl Candle {
    fn run(&self, texts: &[String]) -> candle_core::Result<Vec<Vec<f32>>> {
        let encodings = self.tokenizer.encode_batch(texts.to_vec(), true).unwrap();
        let shape = (encodings.len(), encodings[0].len());
        let ids: Vec<u32> = encodings
            .iter()
            .flat_map(|each| each.get_ids().iter().copied())
            .collect();
        let mask: Vec<u32> = encodings
            .iter()
            .flat_map(|each| each.get_attention_mask().iter().copied())
            .collect();
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let hidden = self
            .model
            .forward(&ids, &ids.zeros_like()?, if shape.0 == 1 { None } else { Some(&mask) })?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = hidden.broadcast_mul(&mask)?.sum(1)?.broadcast_div(&mask.sum(1)?)?;
        mean.broadcast_div(&mean.sqr()?.sum_keepdim(1)?.sqrt()?)?.to_vec2()
    }
}

impl Implementation for Candle {
    fn embed(&mut self, texts: &[String]) -> Vec<Vec<f32>> {
        self.run(texts).unwrap()
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    std::env::set_var("RAYON_NUM_THREADS", &arguments[2]);
    let folder = std::path::PathBuf::from(&arguments[1]);
    let config: Config = serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let weights = [folder.join("model.safetensors")];
    // SAFETY: nothing writes to the file while the bench runs.
    let weights = unsafe { VarBuilder::from_mmaped_safetensors(&weights, DType::F32, &Device::Cpu).unwrap() };
    let model = BertModel::load(weights, &config).unwrap();
    let mut tokenizer = Tokenizer::from_file(folder.join("tokenizer.json")).unwrap();
    tokenizer.with_padding(Some(PaddingParams::default()));
    tokenizer
        .with_truncation(Some(TruncationParams {
            max_length: 256,
            ..Default::default()
        }))
        .unwrap();
    serve(&mut Candle { model, tokenizer });
}
