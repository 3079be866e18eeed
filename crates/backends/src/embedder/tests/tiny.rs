//! A BERT of two layers and eight dimensions with made-up weights, written as real files.

use std::{fmt::Write as _, path::Path};

use sha2::{Digest, Sha256};

/// The words that the tiny model knows.
pub const WORDS: [&str; 14] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "cafe", "router", "##s", "the", "!", "路", "a", "##a", "лес", "restart"];
const HIDDEN: usize = 8;
const INNER: usize = 16;
const POSITIONS: usize = 32;

/// A `tokenizer.json` over [`WORDS`].
pub fn tokenizer_json() -> String {
    let vocab: serde_json::Map<_, _> = WORDS.iter().enumerate().map(|(id, word)| ((*word).to_owned(), id.into())).collect();
    serde_json::json!({
        "added_tokens": [{"id": 2, "content": "[CLS]"}, {"id": 3, "content": "[SEP]"}],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab},
    })
    .to_string()
}

/// A `config.json` that fits the weights.
pub fn config() -> serde_json::Value {
    serde_json::json!({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN, "intermediate_size": INNER, "num_attention_heads": 2,
        "num_hidden_layers": 2, "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "vocab_size": WORDS.len(), "layer_norm_eps": 1e-12,
    })
}

fn shapes() -> Vec<(String, Vec<usize>)> {
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![WORDS.len(), HIDDEN]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![POSITIONS, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, HIDDEN]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![HIDDEN]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..2 {
        for (name, outputs, inputs) in [
            ("attention.self.query", HIDDEN, HIDDEN),
            ("attention.self.key", HIDDEN, HIDDEN),
            ("attention.self.value", HIDDEN, HIDDEN),
            ("attention.output.dense", HIDDEN, HIDDEN),
            ("intermediate.dense", INNER, HIDDEN),
            ("output.dense", HIDDEN, INNER),
        ] {
            shapes.push((format!("encoder.layer.{layer}.{name}.weight"), vec![outputs, inputs]));
            shapes.push((format!("encoder.layer.{layer}.{name}.bias"), vec![outputs]));
        }
        for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
            shapes.push((format!("encoder.layer.{layer}.{name}.weight"), vec![HIDDEN]));
            shapes.push((format!("encoder.layer.{layer}.{name}.bias"), vec![HIDDEN]));
        }
    }
    shapes
}

/// The bytes of a `model.safetensors`.
pub fn weights() -> Vec<u8> {
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), serde_json::json!({"format": "pt"}));
    let mut data: Vec<u8> = Vec::new();
    let mut state = 7_u32;
    for (name, shape) in shapes() {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            // A linear congruential generator (Numerical Recipes): the values only have to differ.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            data.extend(((state >> 8) as f32 / 16_777_216.0 - 0.5).to_le_bytes());
        }
        header.insert(name, serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
    }
    let header = serde_json::Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

/// Writes the whole model into `dir`.
pub fn write(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("config.json"), config().to_string()).unwrap();
    std::fs::write(dir.join("tokenizer.json"), tokenizer_json()).unwrap();
    std::fs::write(dir.join("model.safetensors"), weights()).unwrap();
}

/// Writes the model and a manifest into a models folder; the manifest names the weights by `sha256`, or by their real hash.
pub fn write_models_dir(dir: &Path, sha256: Option<&str>) {
    write(&dir.join("tiny"));
    let bytes = weights();
    let real = Sha256::digest(&bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    });
    let entry = serde_json::json!({
        "name": "tiny", "version": &real[..12], "type": "embed", "size": bytes.len(), "sha256": sha256.unwrap_or(&real), "path": "tiny", "alias": "tiny-alias",
    });
    std::fs::write(dir.join("manifest.json"), serde_json::json!({"models": [entry]}).to_string()).unwrap();
}
