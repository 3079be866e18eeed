//! The wire format of OpenAI's chat completions, as OpenAI, vLLM, llama.cpp, Ollama and most others speak it.

pub mod reply;
pub mod sse;
pub mod wire;
