//! The forward pass of a BERT encoder with mean pooling, over the tokens of several texts at once.
//!
//! The texts' tokens lie one after another in one matrix, so the dense layers read their weights once for all of them, and there is no
//! padding and no mask: every token that is computed counts. Attention goes text by text. A text's vector does not depend on which texts it
//! shares a pass with, to the last bit. `docs/adr/0007-embedder.md` has the figures behind this. The layer is Devlin et al., "BERT" (2019),
//! post-norm, with the exact (erf) GELU; pooling and normalisation are those of the `sentence-transformers` pipeline
//! `Transformer → Pooling(mean) → Normalize`.

use rten_simd::SimdOp;

use super::{
    EmbedderError, Precision, attention,
    attention::Attention,
    config::Config,
    dense::{self, After, Dense, Raw},
    rows::{Normalize, add_rows, unit},
    team::Team,
    tiles::{Buffer, GROUP, PAD, PANEL, STRIPE, TILE, row_start, tiled_len},
    weights::Weights,
};

/// Tokens that go through a pass together, unless one text alone has more.
pub(super) const PASS_TOKENS: usize = 512;
/// Rows that go through the two layers of the feed-forward part together: their inner numbers stay in the second-level cache.
const FORWARD_ROWS: usize = 8 * TILE;

struct LayerNorm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

struct EncoderLayer {
    /// All heads' queries, then keys, then values in one product.
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
    /// Columns of a token's row, padding included.
    columns: usize,
    /// Columns of a head, padding included.
    head: usize,
    /// `vocab_size × hidden`.
    words: Vec<f32>,
    /// `max_position_embeddings × hidden`, the embedding of token type 0 already added.
    positions: Vec<f32>,
    embedding_norm: LayerNorm,
    layers: Vec<EncoderLayer>,
}

/// What one worker reuses from pass to pass: all intermediate matrices.
#[derive(Default)]
pub(super) struct Scratch {
    x: Buffer,
    qkv: Buffer,
    context: Buffer,
    inner: Buffer,
    attention: attention::Buffers,
    dense: dense::Buffers,
}

impl Bert {
    /// Moves the weights into the layout of the kernels; every tensor is dropped as soon as it is packed.
    pub fn new(config: Config, weights: &mut Weights, precision: Precision) -> Result<Self, EmbedderError> {
        let (h, inner, heads) = (config.hidden_size, config.intermediate_size, config.num_attention_heads);
        let width = h / heads;
        let (columns, head) = (h.next_multiple_of(PAD), width.next_multiple_of(PANEL));
        let words = weights.take("embeddings.word_embeddings.weight", &[config.vocab_size, h])?;
        let mut positions = weights.take("embeddings.position_embeddings.weight", &[config.max_position_embeddings, h])?;
        let types = weights.take("embeddings.token_type_embeddings.weight", &[config.type_vocab_size, h])?;
        for row in positions.chunks_exact_mut(h) {
            row.iter_mut().zip(&types[..h]).for_each(|(value, kind)| *value += kind);
        }
        let norm = |weights: &mut Weights, name: &str| -> Result<LayerNorm, EmbedderError> {
            let mut padded = |part: &str| -> Result<Vec<f32>, EmbedderError> {
                let mut values = weights.take(&format!("{name}.{part}"), &[h])?;
                values.resize(columns, 0.0);
                Ok(values)
            };
            Ok(LayerNorm { scale: padded("weight")?, shift: padded("bias")? })
        };
        let embedding_norm = norm(weights, "embeddings.LayerNorm")?;
        // Where a head's number is in a padded row.
        let in_heads = |at: usize| at / width * head + at % width;
        let plain = |at: usize| at;
        let mut layers = Vec::with_capacity(config.num_hidden_layers);
        for index in 0..config.num_hidden_layers {
            let at = format!("encoder.layer.{index}");
            let mut raw = |name: &str, inputs: usize, outputs: usize| -> Result<(Vec<f32>, Vec<f32>), EmbedderError> {
                let weight = weights.take(&format!("{at}.{name}.weight"), &[outputs, inputs])?;
                Ok((weight, weights.take(&format!("{at}.{name}.bias"), &[outputs])?))
            };
            let mut qkv = Raw::zeros(columns, 3 * heads * head);
            // Scores are divided by the square root of the heads' width: done once, here.
            let scale = 1.0 / (width as f32).sqrt();
            for (part, (name, factor)) in [("query", scale), ("key", 1.0), ("value", 1.0)].into_iter().enumerate() {
                let source = raw(&format!("attention.self.{name}"), h, h)?;
                qkv.place(&source, factor, plain, |column| part * heads * head + in_heads(column));
            }
            let mut attention_out = Raw::zeros((heads * head).next_multiple_of(PAD), columns);
            attention_out.place(&raw("attention.output.dense", h, h)?, 1.0, in_heads, plain);
            let mut up = Raw::zeros(columns, inner.next_multiple_of(PAD));
            up.place(&raw("intermediate.dense", h, inner)?, 1.0, plain, plain);
            let mut down = Raw::zeros(inner.next_multiple_of(PAD), columns);
            down.place(&raw("output.dense", inner, h)?, 1.0, plain, plain);
            layers.push(EncoderLayer {
                qkv: Dense::new(qkv, precision),
                attention_out: Dense::new(attention_out, precision),
                attention_norm: norm(weights, &format!("{at}.attention.output.LayerNorm"))?,
                up: Dense::new(up, precision),
                down: Dense::new(down, precision),
                output_norm: norm(weights, &format!("{at}.output.LayerNorm"))?,
            });
        }
        Ok(Self { config, columns, head, words, positions, embedding_norm, layers })
    }

    /// The unit vectors of texts given as token ids (`[CLS]` and `[SEP]` included, at least one, at most `max_position_embeddings`), in one
    /// pass. `pause` is called between layers: time for what cannot wait.
    pub fn embed(&self, texts: &[Vec<u32>], scratch: &mut Scratch, pause: &mut dyn FnMut()) -> Vec<Vec<f32>> {
        let rows = texts.iter().map(Vec::len).sum();
        let columns = self.columns;
        let Scratch { x, qkv, context, inner, attention, dense } = scratch;
        let x = x.take(tiled_len(rows, columns));
        self.look_up(texts.iter().flat_map(|text| text.iter().zip(self.positions.chunks_exact(self.config.hidden_size))), x);
        self.normalize(x, rows, &self.embedding_norm);
        for layer in &self.layers {
            let qkv = qkv.take(tiled_len(rows, layer.qkv.columns()));
            let context_columns = layer.attention_out.depth();
            let context = context.take(tiled_len(rows, context_columns));
            layer.qkv.apply(x, rows, qkv, After::Replace, dense);
            let mut first = 0;
            for text in texts {
                let (heads, width, out) = (self.config.num_attention_heads, self.head, &mut context[..]);
                let (columns, out_columns, buffers) = (layer.qkv.columns(), context_columns, &mut *attention);
                let (qkv, tokens, out_first) = ([&*qkv, &[]], text.len(), first);
                let queries = 0..tokens;
                Attention { qkv, columns, first, tokens, cut: tokens, queries, out_first, heads, width, out, out_columns, buffers }
                    .dispatch();
                first += text.len();
            }
            self.after_attention(layer, context, rows, x, inner, dense);
            pause();
        }
        let mut first = 0;
        let vectors = texts.iter().map(|text| {
            let mut sum = vec![0.0; columns];
            add_rows(&mut sum, x, first, text.len());
            first += text.len();
            unit(sum, self.config.hidden_size)
        });
        vectors.collect()
    }

    /// One text's vector by two threads; each calls this, as member 0 and 1 of the same team. They share the rows and meet once a layer, because
    /// attention reads all keys and values. The vector is the same to the last bit as that of [`embed`](Self::embed). Member 0 gets it; nothing
    /// when the other one died.
    pub fn embed_as_member(&self, ids: &[u32], member: usize, team: &Team, scratch: &mut Scratch) -> Option<Vec<f32>> {
        let _leaving = team.leaving();
        let columns = self.columns;
        let cut = (ids.len() / 2).next_multiple_of(TILE).min(ids.len());
        let queries = if member == 0 { 0..cut } else { cut..ids.len() };
        let rows = queries.len();
        let Scratch { x, context, inner, attention, dense, .. } = scratch;
        let x = x.take(tiled_len(rows, columns));
        self.look_up(ids.iter().zip(self.positions.chunks_exact(self.config.hidden_size)).skip(queries.start).take(rows), x);
        self.normalize(x, rows, &self.embedding_norm);
        for (index, layer) in self.layers.iter().enumerate() {
            // Two sets by turns: one is written for the next layer while the other member still reads this one.
            let parts = &team.qkv[index % 2];
            layer.qkv.apply(x, rows, parts[member].write().ok()?.take(tiled_len(rows, layer.qkv.columns())), After::Replace, dense);
            team.meet()?;
            let context_columns = layer.attention_out.depth();
            let context = context.take(tiled_len(rows, context_columns));
            {
                let (left, right) = (parts[0].read().ok()?, parts[1].read().ok()?);
                let (heads, width, out, buffers) = (self.config.num_attention_heads, self.head, &mut context[..], &mut *attention);
                Attention {
                    qkv: [left.all(), right.all()],
                    columns: layer.qkv.columns(),
                    first: 0,
                    tokens: ids.len(),
                    cut,
                    queries: queries.clone(),
                    out_first: 0,
                    heads,
                    width,
                    out,
                    out_columns: context_columns,
                    buffers,
                }
                .dispatch();
            }
            self.after_attention(layer, context, rows, x, inner, dense);
        }
        if member == 1 {
            *team.rest.lock().ok()? = x.to_vec();
            team.meet()?;
            return None;
        }
        team.meet()?;
        let mut sum = vec![0.0; columns];
        add_rows(&mut sum, x, 0, rows);
        add_rows(&mut sum, &team.rest.lock().ok()?, 0, ids.len() - rows);
        Some(unit(sum, self.config.hidden_size))
    }

    /// The layer from the projection of attention's result to its end.
    fn after_attention(
        &self,
        layer: &EncoderLayer,
        context: &[f32],
        rows: usize,
        x: &mut [f32],
        inner: &mut Buffer,
        dense: &mut dense::Buffers,
    ) {
        // Adding to what is there makes the residual connection cost no pass of its own.
        layer.attention_out.apply(context, rows, x, After::Add, dense);
        self.normalize(x, rows, &layer.attention_norm);
        for (block, x) in x.chunks_mut(FORWARD_ROWS * self.columns).enumerate() {
            let rows = (rows - block * FORWARD_ROWS).min(FORWARD_ROWS);
            let inner = inner.take(tiled_len(rows, layer.up.columns()));
            layer.up.apply(x, rows, inner, After::Gelu, dense);
            layer.down.apply(inner, rows, x, After::Add, dense);
            self.normalize(x, rows, &layer.output_norm);
        }
    }

    /// Writes the sum of each token's word and position into its row, zeros into the padding.
    fn look_up<'a>(&self, tokens: impl Iterator<Item = (&'a u32, &'a [f32])>, x: &mut [f32]) {
        let h = self.config.hidden_size;
        for (row, (id, position)) in tokens.enumerate() {
            let word = &self.words[*id as usize * h..][..h];
            let start = row_start(row, self.columns);
            for group in 0..self.columns / GROUP {
                let to = &mut x[start + group * STRIPE..][..GROUP];
                to.fill(0.0);
                let from = (group * GROUP).min(h)..((group + 1) * GROUP).min(h);
                let sums = word[from.clone()].iter().zip(&position[from]).map(|(word, position)| word + position);
                to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum);
            }
        }
    }

    fn normalize(&self, x: &mut [f32], rows: usize, norm: &LayerNorm) {
        let (width, eps) = (self.config.hidden_size, self.config.layer_norm_eps);
        Normalize { x, rows, columns: self.columns, width, eps, scale: &norm.scale, shift: &norm.shift }.dispatch();
    }
}

impl Raw {
    fn zeros(depth: usize, columns: usize) -> Self {
        Self { weights: vec![0.0; depth * columns], depth, bias: vec![0.0; columns] }
    }

    /// Copies a layer of the file (`outputs × inputs` and `outputs`), times `factor`, to where its inputs and outputs are in the padded order.
    fn place(&mut self, source: &(Vec<f32>, Vec<f32>), factor: f32, row: impl Fn(usize) -> usize, column: impl Fn(usize) -> usize) {
        let (weights, bias) = source;
        let inputs = weights.len() / bias.len();
        for (output, (weights, bias)) in weights.chunks_exact(inputs).zip(bias).enumerate() {
            let column = column(output);
            self.bias[column] = bias * factor;
            for (input, weight) in weights.iter().enumerate() {
                self.weights[column * self.depth + row(input)] = weight * factor;
            }
        }
    }
}
