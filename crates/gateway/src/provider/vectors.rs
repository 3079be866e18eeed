//! What has to be true of vectors, whoever made them.

use crate::{
    chat::{EmbedReply, EmbedRequest, Usage},
    error::{ModelGatewayError, protocol},
    tokens,
};

/// The reply of these vectors; the rules of [`EmbedReply`] hold for every provider.
///
/// # Errors
/// `Protocol`.
pub(crate) fn checked(
    vectors: Vec<Vec<f32>>,
    usage: Option<Usage>,
    model: String,
    request: &EmbedRequest,
) -> Result<EmbedReply, ModelGatewayError> {
    if vectors.len() != request.inputs.len() {
        return Err(protocol(format!("there are {} vectors for {} texts", vectors.len(), request.inputs.len())));
    }
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 || vectors.iter().any(|v| v.len() != length || v.iter().any(|x| !x.is_finite())) {
        return Err(protocol("the vectors are empty, differ in length or have numbers that are not finite"));
    }
    let usage = usage.unwrap_or_else(|| Usage {
        input: request.inputs.iter().map(|t| tokens::count(t)).sum(),
        estimated: true,
        ..Usage::default()
    });
    Ok(EmbedReply { vectors, usage, model })
}
