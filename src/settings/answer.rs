//! What answers carry beside the codes.

use clap::Args;

/// What answers carry beside the codes.
#[derive(Args, Debug)]
pub struct Answer {
    /// Adds headers to responses: the limit nearest to its end, what remains of it, its reset
    #[arg(long, env = "SLIDEGATE_LIMIT_HEADERS")]
    pub limit_headers: bool,

    /// Adds the same headers to requests on their way to the backend
    #[arg(long, env = "SLIDEGATE_LIMIT_REQUEST_HEADERS")]
    pub limit_request_headers: bool,

    /// Their names there where those differ: of the limit, of what remains, of the reset.
    #[arg(skip)]
    pub request_names: Option<[String; 3]>,

    /// The name of the header with the limit
    #[arg(
        long,
        env = "SLIDEGATE_LIMIT_HEADER",
        value_name = "NAME",
        default_value = "RateLimit-Limit",
        value_parser = header_name
    )]
    pub limit_header: String,

    /// The name of the header with what remains
    #[arg(
        long,
        env = "SLIDEGATE_REMAINING_HEADER",
        value_name = "NAME",
        default_value = "RateLimit-Remaining",
        value_parser = header_name
    )]
    pub remaining_header: String,

    /// The name of the header with the seconds until the reset
    #[arg(
        long,
        env = "SLIDEGATE_RESET_HEADER",
        value_name = "NAME",
        default_value = "RateLimit-Reset",
        value_parser = header_name
    )]
    pub reset_header: String,

    /// Adds dynamic metadata to answers: what was asked, and the metadata of the rules
    #[arg(long, env = "SLIDEGATE_RESPONSE_METADATA")]
    pub response_metadata: bool,
}

pub(super) fn header_name(text: &str) -> Result<String, &'static str> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !text.is_empty() && text.bytes().all(is_part);
    is_name
        .then(|| text.to_owned())
        .ok_or("expected the name of a header such as `RateLimit-Limit`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_name_has_no_spaces_and_no_colon() {
        assert_eq!(header_name("X-RateLimit_1"), Ok("X-RateLimit_1".to_owned()));
        for text in ["", "a b", "a:", "ä"] {
            assert!(header_name(text).is_err(), "{text}");
        }
    }
}
