//! Compares what is pushed with what was pushed before, so that nothing is done twice.

use envoy_types::pb::google::protobuf::Any;
use sha2::Digest;
use sha2::Sha256;

use crate::rule::Domain;
use crate::source::xds::push::Push;
use crate::source::xds::push::Refused;

/// Knows the last push and the rules that are in force.
#[derive(Debug, Default)]
pub struct Judge {
    last: Option<(Fingerprint, Option<String>)>,
    in_force: Vec<Domain>,
}

/// What to do with a push.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgement {
    /// Tells pushes of different contents apart; their order does not matter.
    pub fingerprint: Fingerprint,
    /// Whether the last push had the same contents.
    pub is_repeated: bool,
    /// The rules to put in force; none where nothing is new or nothing can be used.
    pub domains: Option<Vec<Domain>>,
    /// Why the push is refused, in whole or in part.
    pub refusal: Option<String>,
}

/// A digest of the contents of a push.
pub type Fingerprint = [u8; 32];

impl Judge {
    /// Judges a push.
    pub fn judge(&mut self, resources: &[Any]) -> Judgement {
        let fingerprint = fingerprint(resources);
        if let Some((_, refusal)) = self.last.as_ref().filter(|(last, _)| *last == fingerprint) {
            return Judgement {
                fingerprint,
                is_repeated: true,
                domains: None,
                refusal: refusal.clone(),
            };
        }
        let (domains, refusal) = match Push::read(resources, &self.in_force) {
            Ok(push) => {
                self.in_force.clone_from(&push.domains);
                (Some(push.domains), reason(&push.refused))
            }
            Err(unreadable) => (None, Some(unreadable.to_string())),
        };
        self.last = Some((fingerprint, refusal.clone()));
        Judgement {
            fingerprint,
            is_repeated: false,
            domains,
            refusal,
        }
    }
}

/// Names what was refused, the first few of it when that is much.
fn reason(refused: &[Refused]) -> Option<String> {
    if refused.is_empty() {
        return None;
    }
    let named: Vec<_> = refused
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    let more = refused.len() - named.len();
    let mut reason = named.join("; ");
    if more > 0 {
        reason.push_str(&format!("; and {more} more"));
    }
    Some(reason)
}

fn fingerprint(resources: &[Any]) -> Fingerprint {
    let digest = |resource: &Any| -> Fingerprint {
        Sha256::new()
            .chain_update(resource.type_url.len().to_le_bytes())
            .chain_update(&resource.type_url)
            .chain_update(&resource.value)
            .finalize()
            .into()
    };
    let mut digests: Vec<Fingerprint> = resources.iter().map(digest).collect();
    digests.sort_unstable();
    Sha256::digest(digests.concat()).into()
}

/// How many refused rules a NACK names.
const MAX_NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use envoy_types::pb::ratelimit::config::ratelimit::v3::RateLimitConfig;
    use envoy_types::util::pack_any;

    use super::*;

    #[test]
    fn the_same_push_in_another_order_is_nothing_new() {
        let (a, b) = (config("a"), config("b"));
        let mut judge = Judge::default();
        let first = judge.judge(&[a.clone(), b.clone()]);
        assert_eq!(names(&first), Some("a b".to_owned()));
        assert!(!first.is_repeated);
        let second = judge.judge(&[b, a.clone()]);
        assert!(second.is_repeated);
        assert_eq!(names(&second), None);
        assert_eq!(second.fingerprint, first.fingerprint);
        let third = judge.judge(&[a]);
        assert_eq!(names(&third), Some("a".to_owned()));
        assert_ne!(third.fingerprint, first.fingerprint);
    }

    #[test]
    fn a_push_that_cannot_be_read_changes_nothing() {
        let mut judge = Judge::default();
        judge.judge(&[config("a")]);
        let garbage = Any {
            value: vec![255],
            ..config("a")
        };
        let judgement = judge.judge(&[config("b"), garbage]);
        assert_eq!(names(&judgement), None);
        let refusal = judgement.refusal.unwrap();
        assert!(
            refusal.starts_with("a resource cannot be decoded: "),
            "{refusal}"
        );
    }

    #[test]
    fn a_refusal_is_repeated_with_its_reason_which_names_a_few() {
        let mut judge = Judge::default();
        let bad = vec![config(""); MAX_NAMED + 2];
        let first = judge.judge(&bad);
        let refusal = first.refusal.unwrap();
        assert!(refusal.ends_with("; and 2 more"), "{refusal}");
        assert_eq!(judge.judge(&bad).refusal, Some(refusal));
    }

    fn config(domain: &str) -> Any {
        pack_any(RateLimitConfig {
            name: domain.to_owned(),
            domain: domain.to_owned(),
            descriptors: Vec::new(),
        })
    }

    fn names(judgement: &Judgement) -> Option<String> {
        let domains = judgement.domains.as_ref()?;
        let names: Vec<&str> = domains.iter().map(|it| it.name.as_str()).collect();
        Some(names.join(" "))
    }
}
