//! Who may call a route: authentication, and the pages of other origins.

use std::sync::Arc;

use crate::platform::Method;
use crate::platform::backend::Backend;
use crate::platform::span::Span;

/// How a route finds out who calls.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// An external service judges a key.
    ApiKey(ApiKey),
    /// A token that an issuer has signed.
    Jwt(Jwt),
    /// A login with a provider, for people with browsers.
    Oidc(Oidc),
}

/// An external service that judges a key.
///
/// It says who the consumer is, and the consumer's plan, in the headers [`CONSUMER`] and [`PLAN`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiKey {
    /// The service.
    pub backend: Arc<Backend>,
    /// The header with the key.
    pub header: String,
}

/// The header in which the external service names the consumer.
pub const CONSUMER: &str = "x-imprun-consumer";

/// The header in which the external service names the consumer's plan.
pub const PLAN: &str = "x-imprun-plan";

/// Whether only the external service that judges keys may set a header, in place of the client.
pub fn is_vouched(header: &str) -> bool {
    [CONSUMER, PLAN]
        .iter()
        .any(|it| header.eq_ignore_ascii_case(it))
}

/// A token that an issuer has signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jwt {
    /// Who must have issued it; none means anybody whose key is known.
    pub issuer: Option<String>,
    /// For whom it must be, one of these; none means for anybody.
    pub audiences: Vec<String>,
    /// Where the issuer's keys are.
    pub jwks_uri: String,
    /// What it must allow, all of it.
    pub scopes: Vec<String>,
    /// The headers that claims are put into.
    pub claim_to_headers: Vec<ClaimHeader>,
}

/// A claim of a token and the header that it is put into.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimHeader {
    /// The claim's name.
    pub claim: String,
    /// The header's name.
    pub header: String,
}

/// A login with a provider.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Oidc {
    /// The provider.
    pub issuer: String,
    /// Its authorization and token endpoints; none means that the issuer is asked for them.
    pub endpoints: Option<OidcEndpoints>,
    /// What the provider calls us.
    pub client_id: String,
    /// The name of the Kubernetes secret that holds what we prove it with.
    pub client_secret_ref: String,
    /// Where the provider sends the browser back to.
    pub redirect_url: Option<String>,
    /// The path that ends a login.
    pub logout_path: Option<String>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
}

/// Where a provider is spoken to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OidcEndpoints {
    /// Where browsers are sent.
    pub authorization: String,
    /// Where tokens are fetched.
    pub token: String,
}

/// What pages of other origins may do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cors {
    /// The origins.
    pub allow_origins: Vec<String>,
    /// The methods; none means those that need no leave.
    pub allow_methods: Vec<CorsMethod>,
    /// The request headers that they may set.
    pub allow_headers: Vec<String>,
    /// The response headers that they may read.
    pub expose_headers: Vec<String>,
    /// How long a browser may remember the answer.
    pub max_age: Option<Span>,
    /// Whether cookies come along; none leaves it to Envoy Gateway, which says no.
    pub allow_credentials: Option<bool>,
}

/// A method that pages of other origins may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CorsMethod {
    /// All methods.
    Any,
    /// This method.
    Only(Method),
}
