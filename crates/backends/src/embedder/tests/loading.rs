use std::path::Path;

use super::{
    super::{Embedder, EmbedderError, Precision, Priority},
    tiny,
};

fn model() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    tiny::write(dir.path());
    dir
}

fn refused(dir: &Path) -> String {
    Embedder::load(dir, 1, Precision::F32).err().unwrap().to_string()
}

#[test]
fn every_text_has_a_unit_vector_the_empty_one_too() {
    let embedder = Embedder::load(model().path(), 2, Precision::F32).unwrap();
    let vectors = embedder.embed_blocking(&["", "restart the router!", "🙂"], Priority::Bulk).unwrap();
    for vector in &vectors {
        let length: f32 = vector.iter().map(|value| value * value).sum();
        assert_eq!(vector.len(), 8);
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
}

#[test]
fn vectors_come_in_the_order_of_the_texts_whoever_computes_them() {
    let embedder = Embedder::load(model().path(), 3, Precision::F32).unwrap();
    let texts: Vec<String> = (0..60).map(|number| "restart the router ".repeat(number % 7) + tiny::WORDS[4 + number % 10]).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = embedder.embed_blocking(&texts, Priority::Bulk).unwrap();
    for (text, vector) in texts.iter().zip(&together) {
        assert_eq!(&embedder.embed_blocking(&[text], Priority::Interactive).unwrap()[0], vector);
    }
}

#[test]
fn tokens_beyond_the_limit_do_not_change_the_vector() {
    let dir = model();
    std::fs::write(dir.path().join("sentence_bert_config.json"), r#"{"max_seq_length": 6}"#).unwrap();
    let embedder = Embedder::load(dir.path(), 1, Precision::F32).unwrap();
    let vectors = embedder.embed_blocking(&["the the the the", "the the the the router"], Priority::Bulk).unwrap();
    assert_eq!((embedder.spec().max_tokens, &vectors[0]), (6, &vectors[1]));
    assert_eq!(embedder.count_tokens("the the the the router"), 7);
}

#[test]
fn a_models_folder_without_a_manifest_holds_no_model() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Embedder::load_from_models_dir(dir.path(), 1, Precision::F32).unwrap().is_none());
}

#[test]
fn the_manifest_names_the_model_and_its_version_is_the_hash() {
    let dir = tempfile::tempdir().unwrap();
    tiny::write_models_dir(dir.path(), None);
    let embedder = Embedder::load_from_models_dir(dir.path(), 1, Precision::F32).unwrap().unwrap();
    assert_eq!((embedder.alias(), embedder.dims(), embedder.version().len()), ("tiny-alias", 8, 12));
}

#[test]
fn weights_with_another_hash_than_the_manifest_says_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    tiny::write_models_dir(dir.path(), Some(&"0".repeat(64)));
    let error = Embedder::load_from_models_dir(dir.path(), 1, Precision::F32).unwrap_err();
    assert!(matches!(&error, EmbedderError::WrongHash { expected, .. } if *expected == "0".repeat(64)), "{error}");
    assert!(error.to_string().contains("make models"), "{error}");
}

#[test]
fn weights_that_are_cut_short_are_refused() {
    let dir = model();
    let bytes = tiny::weights();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(dir.path().join("model.safetensors"), &bytes[..length]).unwrap();
        assert!(refused(dir.path()).starts_with("the model is damaged"), "{length} bytes");
    }
}

#[test]
fn a_header_that_promises_the_impossible_is_refused_before_memory_is_taken() {
    let dir = model();
    let promise = |header: &str| {
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), b"data"].concat();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        refused(dir.path())
    };
    for header in [
        "{}",
        "not json",
        r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#,
        r#"{"a":{"dtype":"F32","shape":[18446744073709551615,2],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551615,18446744073709551615]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
    ] {
        assert!(promise(header).starts_with("the model is damaged"), "{header}");
    }
    std::fs::write(dir.path().join("model.safetensors"), [0xff; 64]).unwrap();
    assert!(refused(dir.path()).contains("impossible"));
}

#[test]
fn a_missing_file_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let dir = model();
        std::fs::remove_file(dir.path().join(file)).unwrap();
        let text = refused(dir.path());
        assert!(text.contains(file) && text.contains("make models"), "{text}");
    }
}

#[test]
fn a_model_of_another_make_is_refused() {
    let dir = model();
    let mut config = tiny::config();
    config["hidden_act"] = "relu".into();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    assert!(refused(dir.path()).contains("hidden_act is relu"));
    std::fs::write(dir.path().join("config.json"), tiny::config().to_string()).unwrap();
    std::fs::create_dir(dir.path().join("1_Pooling")).unwrap();
    std::fs::write(dir.path().join("1_Pooling/config.json"), r#"{"pooling_mode_cls_token": true}"#).unwrap();
    assert!(refused(dir.path()).contains("mean pooling"));
}

#[test]
fn sizes_that_do_not_fit_the_weights_are_refused() {
    for (field, value) in
        [("hidden_size", 6), ("intermediate_size", 17), ("vocab_size", 13), ("num_attention_heads", 3), ("num_hidden_layers", 3)]
    {
        let dir = model();
        let mut config = tiny::config();
        config[field] = value.into();
        std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
        assert!(refused(dir.path()).starts_with("the model is damaged"), "{field}");
    }
}
