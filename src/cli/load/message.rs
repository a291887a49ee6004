//! Requests and answers of RateLimitService on the wire.

use bytes::Buf;
use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitRequest;
use envoy_types::pb::envoy::service::ratelimit::v3::RateLimitResponse;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::Code;
use prost::Message;

use crate::cli::load::values::Zipf;
use crate::settings::load::Load;

/// Writes one request after the other, each into the texts of the one before.
#[derive(Debug)]
pub(super) struct Requests {
    message: RateLimitRequest,
    entry_key: String,
    over_limit_key: String,
    over_limit_share: f64,
    values: Zipf,
    random: fastrand::Rng,
    buffer: BytesMut,
}

impl Requests {
    /// The same seed gives the same requests.
    pub(super) fn new(settings: &Load, seed: u64) -> Self {
        let descriptor = || RateLimitDescriptor {
            entries: vec![Entry::default()],
            ..RateLimitDescriptor::default()
        };
        let descriptors = (0..settings.descriptors.get()).map(|_| descriptor());
        Self {
            message: RateLimitRequest {
                domain: settings.domain.clone(),
                descriptors: descriptors.collect(),
                hits_addend: 0,
            },
            entry_key: settings.entry_key.clone(),
            over_limit_key: settings.over_limit_key.clone(),
            over_limit_share: settings.over_limit_share,
            values: Zipf::new(settings.keys.get(), settings.zipf),
            random: fastrand::Rng::with_seed(seed),
            buffer: BytesMut::new(),
        }
    }

    /// The next request in its gRPC frame.
    pub(super) fn next(&mut self) -> Bytes {
        let is_over = self.random.f64() < self.over_limit_share;
        let key = if is_over {
            &self.over_limit_key
        } else {
            &self.entry_key
        };
        for (index, descriptor) in self.message.descriptors.iter_mut().enumerate() {
            let value = self.values.draw(&mut self.random);
            for entry in &mut descriptor.entries {
                entry.key.clone_from(key);
                entry.value.clear();
                write_value(&mut entry.value, value, index);
            }
        }
        let length = self.message.encoded_len();
        self.buffer.reserve(FRAME_HEAD + length);
        self.buffer.put_u8(0);
        // Flags bound the parts of a request far below that.
        self.buffer
            .put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        let written = self.message.encode(&mut self.buffer);
        written.expect("the buffer grows");
        self.buffer.split().freeze()
    }
}

/// `load-7`, of further descriptors `load-7-1` and so on, so that no two meet.
fn write_value(text: &mut String, value: u64, descriptor: usize) {
    use std::fmt::Write;
    let written = match descriptor {
        0 => write!(text, "load-{value}"),
        _ => write!(text, "load-{value}-{descriptor}"),
    };
    written.expect("a text takes all that is written");
}

/// Whether the answer in a gRPC frame is OVER_LIMIT; none if it is no answer.
pub(super) fn is_over_limit(frame: &[u8]) -> Option<bool> {
    let mut message = frame.get(FRAME_HEAD..)?;
    let length = (&frame[1..FRAME_HEAD]).get_u32();
    if frame[0] != 0 || usize::try_from(length).ok()? != message.len() {
        return None;
    }
    let response = RateLimitResponse::decode(&mut message).ok()?;
    match response.overall_code() {
        Code::Ok => Some(false),
        Code::OverLimit => Some(true),
        Code::Unknown => None,
    }
}

/// Whether the message is compressed (it never is), and its length.
const FRAME_HEAD: usize = 5;

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::settings::Command;
    use crate::settings::Settings;

    #[test]
    fn a_request_has_a_descriptor_for_each_value() {
        let mut requests = requests("--keys 1 --descriptors 2 --domain shop --entry-key plan");
        let message = message(&requests.next());
        assert_eq!(message.domain, "shop");
        let entries = message.descriptors.iter().flat_map(|it| &it.entries);
        let entries: Vec<_> = entries.map(|it| (&*it.key, &*it.value)).collect();
        assert_eq!(entries, [("plan", "load-1"), ("plan", "load-1-1")]);
    }

    #[test]
    fn a_share_of_the_requests_has_the_other_key() {
        let mut requests = requests("--over-limit-share 0.25 --over-limit-key tiny");
        let is_over = |_: &u32| message(&requests.next()).descriptors[0].entries[0].key == "tiny";
        let over = (0..10_000).filter(is_over).count();
        assert!((2_300..2_700).contains(&over), "{over}");
    }

    #[test]
    fn values_are_spread_over_all_keys() {
        let mut requests = requests("--keys 100");
        let value = |_| {
            message(&requests.next()).descriptors[0].entries[0]
                .value
                .clone()
        };
        let values: std::collections::BTreeSet<String> = (0..2_000).map(value).collect();
        assert_eq!(values.len(), 100);
    }

    #[test]
    fn an_answer_is_told_from_what_is_none() {
        let frame = |message: &[u8]| {
            let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap()];
            frame.extend_from_slice(message);
            frame
        };
        assert_eq!(is_over_limit(&frame(&[8, 1])), Some(false));
        assert_eq!(is_over_limit(&frame(&[8, 2])), Some(true));
        assert_eq!(is_over_limit(&frame(&[])), None);
        assert_eq!(is_over_limit(&frame(&[8])), None);
        assert_eq!(is_over_limit(&[0, 0, 0, 0, 3, 8, 1]), None);
        assert_eq!(is_over_limit(&[1, 0, 0, 0, 2, 8, 1]), None);
        assert_eq!(is_over_limit(&[0, 0]), None);
    }

    fn requests(flags: &str) -> Requests {
        let arguments = ["slidegate", "load", "--target", "localhost:1"];
        let arguments = arguments.into_iter().chain(flags.split(' '));
        let settings = Settings::read(arguments.map(OsString::from)).unwrap();
        let Command::Load(settings) = settings.command else {
            panic!("{settings:?}");
        };
        Requests::new(&settings, 0)
    }

    fn message(frame: &[u8]) -> RateLimitRequest {
        RateLimitRequest::decode(&frame[FRAME_HEAD..]).unwrap()
    }
}
