//! What `config.json` says about a model's arithmetic.

use serde::Deserialize;

use super::EmbedderError;

/// The fields of `config.json` that decide the arithmetic.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    pub hidden_size: usize,
    pub intermediate_size: usize,
    pub num_attention_heads: usize,
    pub num_hidden_layers: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub vocab_size: usize,
    pub layer_norm_eps: f32,
}

fn absolute() -> String {
    "absolute".to_owned()
}

impl Config {
    /// Refuses what this forward pass would compute wrongly.
    pub fn check(&self) -> Result<(), EmbedderError> {
        let expected = [
            ("model_type", &self.model_type, "bert"),
            ("hidden_act", &self.hidden_act, "gelu"),
            ("position_embedding_type", &self.position_embedding_type, "absolute"),
        ];
        for (field, found, expected) in expected {
            if found != expected {
                return Err(EmbedderError::Unsupported(format!("config.json: {field} is {found}, only {expected} can be used")));
            }
        }
        let sizes = [
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_hidden_layers,
            self.max_position_embeddings,
            self.type_vocab_size,
            self.vocab_size,
        ];
        // The bound keeps every product below far from overflow; the largest BERT ever published has 4,096 here.
        if sizes.iter().any(|size| !(1..=1 << 20).contains(size)) || !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            return Err(EmbedderError::Corrupt("config.json: the sizes do not fit together".to_owned()));
        }
        Ok(())
    }
}
