//! What is said on an ADS stream: version, nonce, ACK and NACK. Without I/O and without a clock.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::google::rpc::Status;
use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
use prost::Name;

use crate::source::xds::judge::Fingerprint;

/// The client's side of a stream; it outlives streams, but takes neither version nor nonce over.
#[derive(Debug)]
pub struct Session {
    node: Node,
    accepted: String,
    refused: Option<(Fingerprint, Duration)>,
}

/// What to answer, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// The ACK or NACK.
    pub request: DiscoveryRequest,
    /// How long to keep it back: a server may answer a NACK with the same at once.
    pub after: Duration,
}

impl Session {
    /// A session of this node.
    pub fn new(node: Node) -> Self {
        Self {
            node,
            accepted: String::new(),
            refused: None,
        }
    }

    /// What to say first on a new stream: asks for everything of the one type, knowing nothing.
    pub fn open(&mut self) -> DiscoveryRequest {
        self.accepted.clear();
        self.request(String::new(), None)
    }

    /// Whether a response is one that was asked for.
    pub fn concerns(response: &DiscoveryResponse) -> bool {
        response.type_url == RateLimitConfig::type_url()
    }

    /// The answer to a response: an ACK, or with a `refusal` a NACK.
    pub fn answer(
        &mut self,
        response: &DiscoveryResponse,
        fingerprint: Fingerprint,
        refusal: Option<String>,
    ) -> Reply {
        let Some(reason) = refusal else {
            self.accepted.clone_from(&response.version_info);
            self.refused = None;
            return Reply {
                request: self.request(response.nonce.clone(), None),
                after: Duration::ZERO,
            };
        };
        let after = match self.refused {
            Some((last, after)) if last == fingerprint => {
                (2 * after).clamp(FIRST_WAIT, LONGEST_WAIT)
            }
            Some(_) | None => Duration::ZERO,
        };
        self.refused = Some((fingerprint, after));
        Reply {
            request: self.request(response.nonce.clone(), Some(reason)),
            after,
        }
    }

    fn request(&self, nonce: String, refusal: Option<String>) -> DiscoveryRequest {
        let status = |message| Status {
            code: INVALID_ARGUMENT,
            message,
            details: Vec::new(),
        };
        DiscoveryRequest {
            version_info: self.accepted.clone(),
            node: Some(self.node.clone()),
            type_url: RateLimitConfig::type_url(),
            response_nonce: nonce,
            error_detail: refusal.map(status),
            ..DiscoveryRequest::default()
        }
    }
}

/// How long the second NACK of the same contents is kept back; each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The code of `google.rpc.Status`.
const INVALID_ARGUMENT: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_begins_with_a_wildcard_subscription_of_the_node() {
        let request = session().open();
        assert_eq!(request.node.unwrap().id, "envoy-ratelimit");
        let expected = "type.googleapis.com/ratelimit.config.ratelimit.v3.RateLimitConfig";
        assert_eq!(request.type_url, expected);
        assert_eq!(request.resource_names, [""; 0]);
        assert_eq!(
            (request.version_info, request.response_nonce),
            <_>::default()
        );
    }

    #[test]
    fn an_ack_says_version_and_nonce() {
        let mut session = session();
        session.open();
        let reply = session.answer(&response("1", "a"), GOOD, None);
        check(&reply, ("1", "a"), None, 0);
    }

    #[test]
    fn a_nack_says_the_last_version_that_was_accepted_and_why() {
        let mut session = session();
        session.open();
        session.answer(&response("1", "a"), GOOD, None);
        let reply = session.answer(&response("2", "b"), BAD, Some("bad".to_owned()));
        check(&reply, ("1", "b"), Some("bad"), 0);
        let reply = session.answer(&response("3", "c"), GOOD, None);
        check(&reply, ("3", "c"), None, 0);
    }

    #[test]
    fn a_new_stream_knows_nothing_of_the_one_before_it() {
        let mut session = session();
        session.open();
        session.answer(&response("7", "a"), GOOD, None);
        let request = session.open();
        assert_eq!(
            (request.version_info, request.response_nonce),
            <_>::default()
        );
        let reply = session.answer(&response("1", "b"), BAD, Some("bad".to_owned()));
        check(&reply, ("", "b"), Some("bad"), 0);
    }

    #[test]
    fn nacks_of_the_same_contents_are_kept_back_longer_and_longer() {
        let mut session = session();
        session.open();
        let nack = |session: &mut Session, contents| {
            let reply = session.answer(&response("1", "a"), contents, Some("bad".to_owned()));
            reply.after.as_secs()
        };
        let waits = [(); 7].map(|()| nack(&mut session, BAD));
        assert_eq!(waits, [0, 1, 2, 4, 8, 10, 10]);
        session.open();
        assert_eq!(nack(&mut session, BAD), 10, "another stream");
        assert_eq!(nack(&mut session, [3; 32]), 0, "other contents");
        assert_eq!(nack(&mut session, [3; 32]), 1);
        session.answer(&response("2", "a"), GOOD, None);
        assert_eq!(nack(&mut session, [3; 32]), 0, "after good contents");
    }

    #[track_caller]
    fn check(reply: &Reply, expected: (&str, &str), refusal: Option<&str>, after: u64) {
        let request = &reply.request;
        let said = (
            request.version_info.as_str(),
            request.response_nonce.as_str(),
        );
        assert_eq!(said, expected);
        let error = request.error_detail.as_ref().map(|it| it.message.as_str());
        assert_eq!(error, refusal);
        assert_eq!(reply.after, Duration::from_secs(after));
        assert!(request.node.is_some());
    }

    fn session() -> Session {
        Session::new(Node {
            id: "envoy-ratelimit".to_owned(),
            ..Node::default()
        })
    }

    fn response(version: &str, nonce: &str) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: version.to_owned(),
            nonce: nonce.to_owned(),
            type_url: RateLimitConfig::type_url(),
            ..DiscoveryResponse::default()
        }
    }

    const GOOD: Fingerprint = [1; 32];
    const BAD: Fingerprint = [2; 32];
}
