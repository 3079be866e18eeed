//! Tells cargo to embed the page again when it was built again. Development builds read it from disk at run time.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("PROFILE").is_some_and(|p| p == "release") {
        println!("cargo:rerun-if-changed=../../web/dist");
    }
    // The revision is set by the release build; a working copy says that it is one.
    println!("cargo:rerun-if-env-changed=ASTROLABE_GIT_SHA");
    let sha = std::env::var_os("ASTROLABE_GIT_SHA").and_then(|s| s.into_string().ok()).filter(|s| !s.is_empty());
    println!("cargo:rustc-env=ASTROLABE_GIT_SHA={}", sha.as_deref().unwrap_or("unknown"));
}
