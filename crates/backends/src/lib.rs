//! One folder per capability: the embedded engines and their adapters.
