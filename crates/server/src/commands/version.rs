//! `astrolabe version`.

use astrolabe_kernel::Result;

use crate::{
    cli::{Context, Done},
    system::Version,
};

/// Prints the version of this build.
///
/// # Errors
/// None in practice.
pub fn run(context: &Context) -> Result<Done> {
    let version = Version::this();
    context.output.line(format!("astrolabe {} ({}), API {}", version.version, version.git_sha, version.api_version));
    context.output.document(&version)?;
    Ok(Done::All)
}
