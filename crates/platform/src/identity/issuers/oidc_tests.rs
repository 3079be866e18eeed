//! Against a real provider, when `TEST_OIDC_ISSUER` names one that `scripts/oidc-provider.sh` started.

use astrolabe_kernel::{Clock, testing::TestKernel};
use serde_json::Value;

use super::*;

const AUDIENCE: &str = "https://docs.example.com";

async fn token(kernel: &Kernel, endpoint: &str) -> String {
    let form = [("grant_type", "client_credentials"), ("resource", AUDIENCE), ("scope", "read")];
    let request = kernel.egress.request("test", Trust::Operator, Method::POST, endpoint).unwrap();
    let answer = request.header("authorization", "Basic dGVzdHM6YS1zZWNyZXQtb2YtdGVzdHMtYWxvbmU=").form(&form).send().await.unwrap();
    let answer: Value = answer.success().unwrap().json(100_000).await.unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn rotate(kernel: &Kernel, issuer: &str, how: &str) {
    let url = format!("{issuer}/test/rotate?{how}");
    kernel.egress.request("test", Trust::Operator, Method::POST, &url).unwrap().send().await.unwrap().success().unwrap();
}

#[tokio::test]
async fn oidc_tokens_of_a_real_provider_pass_before_and_after_its_keys_rotate() {
    let Some((_, url)) = std::env::vars().find(|(name, value)| name == "TEST_OIDC_ISSUER" && !value.is_empty()) else { return };
    let test = TestKernel::new(&[]).await;
    // The provider's tokens are of now; how long we wait is still ours.
    let kernel = Kernel { clock: Clock::manual(Clock::System.now()), ..test.kernel.clone() };
    let config = OidcConfig { issuer: url.clone(), audience: vec![AUDIENCE.to_owned()], ..OidcConfig::default() };
    let issuer = Issuer::new(kernel.clone(), config).unwrap().unwrap();
    let endpoint = issuer.discovery().await.unwrap().token_endpoint.clone();

    rotate(&kernel, &url, "alg=RS256&drop=1").await;
    kernel.clock.advance(BETWEEN);
    let first = token(&kernel, &endpoint).await;
    let claims = issuer.verify(&first).await.unwrap();
    assert_eq!((claims.subject.as_str(), claims.audience.as_slice()), ("tests", [AUDIENCE.to_owned()].as_slice()));
    claims.require_scope("read").unwrap();
    assert_eq!(claims.require_scope("write").unwrap_err().code(), code::INSUFFICIENT_SCOPE);

    rotate(&kernel, &url, "alg=ES256").await;
    let second = token(&kernel, &endpoint).await;
    assert_eq!(issuer.verify(&second).await.unwrap_err().code(), code::INVALID_TOKEN, "thirty seconds have not passed");
    kernel.clock.advance(BETWEEN);
    issuer.verify(&second).await.unwrap();
    issuer.verify(&first).await.unwrap();

    rotate(&kernel, &url, "alg=EdDSA&drop=1").await;
    let third = token(&kernel, &endpoint).await;
    kernel.clock.advance(BETWEEN);
    issuer.verify(&third).await.unwrap();
    for gone in [&first, &second] {
        assert_eq!(issuer.verify(gone).await.unwrap_err().code(), code::INVALID_TOKEN, "the provider publishes its key no more");
    }

    let other = OidcConfig { issuer: url, audience: vec!["https://other.example.com".to_owned()], ..OidcConfig::default() };
    let other = Issuer::new(kernel, other).unwrap().unwrap();
    assert_eq!(other.verify(&third).await.unwrap_err().code(), code::INVALID_AUDIENCE);
}
