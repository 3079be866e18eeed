//! Signature Version 4, the way requests to AWS prove who sends them ("AWS Signature Version 4 for API requests", the header variant).

use std::fmt::Write as _;

use astrolabe_kernel::{Timestamp, config::Secret};
use ring::{digest, hmac};

/// The keys of an AWS account.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// Which key; no secret, but nobody's business either.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Belongs to keys that expire.
    pub session_token: Secret,
}

/// What of a request is signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as it stands in the request line, percent-encoded once.
    pub path: &'a str,
    /// Names in small letters and values of the headers, sorted by name.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
    /// The region, such as `eu-central-1`.
    pub region: &'a str,
    /// The service's name for signatures, such as `bedrock`.
    pub service: &'a str,
    /// The header `x-amz-date`: `20150830T123600Z`.
    pub date: &'a str,
}

/// The value of the header `Authorization`.
pub fn authorization(keys: &Keys, signed: &Signed<'_>) -> String {
    let names = signed.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let scope = format!("{}/{}/{}/aws4_request", signed.date.get(..8).unwrap_or_default(), signed.region, signed.service);
    let signature = signature(&keys.secret_access_key, signed, &names, &scope);
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.access_key_id)
}

fn signature(secret: &Secret, signed: &Signed<'_>, names: &str, scope: &str) -> String {
    let mut request = String::with_capacity(512);
    // The path is encoded a second time: every percent sign of the first becomes %25. There is no query.
    let _ = write!(request, "{}\n{}\n\n", signed.method, signed.path.replace('%', "%25"));
    for (name, value) in signed.headers {
        let _ = writeln!(request, "{name}:{}", value.trim());
    }
    let _ = write!(request, "\n{names}\n{}", hex(digest::digest(&digest::SHA256, signed.body).as_ref()));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", signed.date, hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref()));
    let mut key = hmac(format!("AWS4{}", secret.expose()).as_bytes(), signed.date.get(..8).unwrap_or_default());
    for part in [signed.region, signed.service, "aws4_request"] {
        key = hmac(key.as_ref(), part);
    }
    hex(hmac(key.as_ref(), &text).as_ref())
}

fn hmac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The header `x-amz-date` of a moment.
pub fn date(now: Timestamp) -> String {
    let now = jiff::Timestamp::from_microsecond(now.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: Secret::default(),
        }
    }

    /// `get-vanilla` and `post-vanilla` of the suite that AWS publishes for Signature Version 4.
    #[test]
    fn the_examples_of_aws_are_signed_as_aws_signs_them() {
        for (method, signature) in [
            ("GET", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            ("POST", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ] {
            let headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
            let signed = Signed {
                method,
                path: "/",
                headers: &headers,
                body: b"",
                region: "us-east-1",
                service: "service",
                date: "20150830T123600Z",
            };
            assert_eq!(
                authorization(&keys(), &signed),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={signature}"
                )
            );
        }
    }

    #[test]
    fn a_moment_is_written_as_aws_wants_it() {
        let at: Timestamp = serde_json::from_str("\"2015-08-30T12:36:00.999Z\"").unwrap();
        assert_eq!(date(at), "20150830T123600Z");
    }

    #[test]
    fn keys_do_not_show() {
        assert!(!format!("{:?}", keys()).contains("wJalr"));
    }
}
