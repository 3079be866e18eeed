//! The forward pass of a BERT encoder with mean pooling, one text at a time.
//!
//! One text at a time means no padding and no mask: every token that is computed counts. The matrix products run on weights
//! that were packed once for the processor's kernel (AVX-512, AVX2, NEON or portable, chosen at run time); `docs/adr/0007-embedder.md`
//! has the figures behind this. The layer is Devlin et al., "BERT" (2019), post-norm, with the exact (erf) GELU; pooling and
//! normalisation are those of the `sentence-transformers` pipeline `Transformer → Pooling(mean) → Normalize`.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Softmax, Sum, SumSquareSub};
use serde::Deserialize;

use super::{EmbedderError, weights::Weights};

/// The fields of `config.json` that decide the arithmetic.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Config {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    pub hidden_size: usize,
    intermediate_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    pub max_position_embeddings: usize,
    type_vocab_size: usize,
    pub vocab_size: usize,
    layer_norm_eps: f32,
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

/// A dense layer: `x · Wᵀ + b`, with `Wᵀ` packed for the kernel.
struct Dense {
    weight: PackedBMatrix<f32>,
    bias: Vec<f32>,
}

struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct EncoderLayer {
    /// Query, key and value in one product: columns `0..h`, `h..2h`, `2h..3h`.
    qkv: Dense,
    attention_out: Dense,
    attention_norm: LayerNorm,
    up: Dense,
    down: Dense,
    output_norm: LayerNorm,
}

/// The weights, ready for use; shared by all workers.
pub(super) struct Bert {
    config: Config,
    /// `vocab_size × hidden`.
    words: Vec<f32>,
    /// `max_position_embeddings × hidden`, the embedding of token type 0 already added.
    positions: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
}

/// What one worker reuses from text to text: the kernel and all intermediate matrices.
pub(super) struct Scratch {
    gemm: GemmExecutor<f32>,
    x: Vec<f32>,
    qkv: Vec<f32>,
    scores: Vec<f32>,
    head: Vec<f32>,
    context: Vec<f32>,
    inner: Vec<f32>,
}

impl Scratch {
    pub fn new() -> Self {
        Self {
            gemm: GemmExecutor::new(),
            x: Vec::new(),
            qkv: Vec::new(),
            scores: Vec::new(),
            head: Vec::new(),
            context: Vec::new(),
            inner: Vec::new(),
        }
    }
}

impl Bert {
    /// Moves the weights into the layout of the kernels; every tensor is dropped as soon as it is packed.
    pub fn new(config: Config, weights: &mut Weights) -> Result<Self, EmbedderError> {
        let (h, inner) = (config.hidden_size, config.intermediate_size);
        let gemm = GemmExecutor::<f32>::new();
        let words = weights.take("embeddings.word_embeddings.weight", &[config.vocab_size, h])?;
        let mut positions = weights.take("embeddings.position_embeddings.weight", &[config.max_position_embeddings, h])?;
        let types = weights.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, h])?;
        for row in positions.chunks_exact_mut(h) {
            row.iter_mut().zip(&types[..h]).for_each(|(value, kind)| *value += kind);
        }
        let norm = |weights: &mut Weights, name: &str| -> Result<LayerNorm, EmbedderError> {
            Ok(LayerNorm { scale: weights.take(&format!("{name}.weight"), &[h])?, shift: weights.take(&format!("{name}.bias"), &[h])? })
        };
        let embedding_norm = norm(weights, "embeddings.LayerNorm")?;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let at = format!("encoder.layer.{index}");
            let mut dense = |names: &[&str], inputs: usize, outputs: usize| -> Result<Dense, EmbedderError> {
                let mut rows = Vec::with_capacity(names.len() * inputs * outputs);
                let mut bias = Vec::with_capacity(names.len() * outputs);
                for name in names {
                    rows.extend(weights.take(&format!("{at}.{name}.weight"), &[outputs, inputs])?);
                    bias.extend(weights.take(&format!("{at}.{name}.bias"), &[outputs])?);
                }
                let matrix = NdTensorView::from_data([bias.len(), inputs], rows.as_slice());
                Ok(Dense { weight: gemm.prepack_b(matrix.transposed()), bias })
            };
            let qkv = dense(&["attention.self.query", "attention.self.key", "attention.self.value"], h, h)?;
            let attention_out = dense(&["attention.output.dense"], h, h)?;
            let up = dense(&["intermediate.dense"], h, inner)?;
            let down = dense(&["output.dense"], inner, h)?;
            layers.push(EncoderLayer {
                qkv,
                attention_out,
                attention_norm: norm(weights, &format!("{at}.attention.output.LayerNorm"))?,
                up,
                down,
                output_norm: norm(weights, &format!("{at}.output.LayerNorm"))?,
            });
        }
        Ok(Self { config, words, positions, embedding_norm, layers })
    }

    /// The unit vector of one text given as token ids (`[CLS]` and `[SEP]` included, at least one, at most `max_position_embeddings`).
    pub fn embed(&self, ids: &[u32], scratch: &mut Scratch) -> Result<Vec<f32>, EmbedderError> {
        let (h, tokens) = (self.config.hidden_size, ids.len());
        let Scratch { gemm, x, qkv, scores, head, context, inner } = scratch;
        resize(x, tokens * h);
        for ((row, id), position) in x.chunks_exact_mut(h).zip(ids).zip(self.positions.chunks_exact(h)) {
            let word = &self.words[*id as usize * h..][..h];
            row.iter_mut().zip(word).zip(position).for_each(|((value, word), position)| *value = word + position);
        }
        self.normalize(x, &self.embedding_norm);
        resize(qkv, tokens * h * 3);
        resize(context, tokens * h);
        resize(inner, tokens * self.config.intermediate_size);
        for layer in &self.layers {
            layer.qkv.apply(gemm, x, qkv, 0.0)?;
            self.attend(gemm, qkv, scores, head, context)?;
            // `beta = 1` adds the product to what is there: the residual connection costs no pass of its own.
            layer.attention_out.apply(gemm, context, x, 1.0)?;
            self.normalize(x, &layer.attention_norm);
            layer.up.apply(gemm, x, inner, 0.0)?;
            Gelu {}.map_mut(inner);
            layer.down.apply(gemm, inner, x, 1.0)?;
            self.normalize(x, &layer.output_norm);
        }
        Ok(pool(x, h))
    }

    /// Scaled dot-product attention, head by head, from `qkv` (`tokens × 3h`) into `context` (`tokens × h`).
    fn attend(
        &self,
        gemm: &GemmExecutor<f32>,
        qkv: &[f32],
        scores: &mut Vec<f32>,
        head: &mut Vec<f32>,
        context: &mut [f32],
    ) -> Result<(), EmbedderError> {
        let h = self.config.hidden_size;
        let (tokens, width) = (qkv.len() / (3 * h), h / self.config.num_attention_heads);
        resize(scores, tokens * tokens);
        resize(head, tokens * width);
        let all = NdTensorView::from_data([tokens, 3 * h], qkv);
        let columns = |from: usize| all.slice((.., from..from + width));
        let scale = GemmOptions { alpha: 1.0 / (width as f32).sqrt(), ..GemmOptions::default() };
        for offset in (0..h).step_by(width) {
            let keys = columns(h + offset);
            gemm.gemm(scores, GemmInputA::Unpacked(columns(offset)), GemmInputB::Unpacked(keys.transposed()), scale.clone())
                .map_err(defect)?;
            for row in scores.chunks_exact_mut(tokens) {
                Softmax::new_mut(row).dispatch();
            }
            let weights = NdTensorView::from_data([tokens, tokens], scores.as_slice());
            gemm.gemm(head, GemmInputA::Unpacked(weights), GemmInputB::Unpacked(columns(2 * h + offset)), GemmOptions::default())
                .map_err(defect)?;
            for (to, from) in context.chunks_exact_mut(h).zip(head.chunks_exact(width)) {
                to[offset..offset + width].copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Layer normalisation of every row: `(x - mean) / sqrt(variance + eps) * scale + shift`.
    fn normalize(&self, x: &mut [f32], norm: &LayerNorm) {
        let h = self.config.hidden_size;
        for row in x.chunks_exact_mut(h) {
            let mean = Sum::new(row).dispatch() / h as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / h as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: 1.0 / (variance + self.config.layer_norm_eps).sqrt(),
                element_scale: Some(&norm.scale),
                bias: 0.0,
                element_bias: Some(&norm.shift),
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

impl Dense {
    /// `out = input · Wᵀ + b + beta · out`.
    fn apply(&self, gemm: &GemmExecutor<f32>, input: &[f32], out: &mut [f32], beta: f32) -> Result<(), EmbedderError> {
        let inputs = self.weight.rows();
        let input = NdTensorView::from_data([input.len() / inputs, inputs], input);
        let options = GemmOptions { beta, bias: Some(BiasVector::Row(&self.bias)), ..GemmOptions::default() };
        gemm.gemm(out, GemmInputA::Unpacked(input), GemmInputB::Packed(&self.weight), options).map_err(defect)
    }
}

/// The mean of all rows, scaled to length 1.
fn pool(x: &[f32], h: usize) -> Vec<f32> {
    let mut mean = vec![0.0_f32; h];
    for row in x.chunks_exact(h) {
        mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    // Dividing by the number of rows first would change nothing: the length is divided out below.
    let length = mean.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-12);
    mean.iter_mut().for_each(|value| *value /= length);
    mean
}

/// Buffers keep their size between texts; stale values are harmless because every product with `beta = 0` overwrites them.
fn resize(buffer: &mut Vec<f32>, length: usize) {
    buffer.resize(length, 0.0);
}

fn defect(error: rten_gemm::GemmError) -> EmbedderError {
    EmbedderError::Failed(format!("matrix product refused: {error:?}"))
}
