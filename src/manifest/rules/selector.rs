//! Client selectors → the entries that Envoy puts into a descriptor.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::manifest::traffic_policy::ClientSelector;
use crate::manifest::traffic_policy::SourceCidr;
use crate::manifest::traffic_policy::SourceCidrType;
use crate::manifest::traffic_policy::ValueSelector;
use crate::manifest::traffic_policy::ValueSelectorType;

/// An entry of a descriptor: without a value, each value that is sent counts apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub value: Option<String>,
}

/// A field and what is wrong with it.
pub(super) type Refused = (String, String);

/// The entries of the `rule`-th rule of a policy. All selectors must hold: headers and query
/// parameters add up, of paths and addresses the last is meant.
pub(super) fn entries(rule: usize, selectors: &[ClientSelector]) -> Result<Vec<Entry>, Refused> {
    let mut entries = Vec::new();
    for (s, selector) in selectors.iter().enumerate() {
        for (h, header) in selector.headers.iter().enumerate() {
            let field = || format!("clientSelectors[{s}].headers[{h}]");
            entries.push(value_entry(rule, entries.len(), header, field)?);
        }
    }
    let n_headers = entries.len();
    if selectors
        .iter()
        .any(|selector| !selector.methods.is_empty())
    {
        entries.push(Entry::fixed(format!("rule-{rule}-method")));
    }
    if selectors.iter().any(|selector| selector.path.is_some()) {
        entries.push(Entry::fixed(format!("rule-{rule}-path")));
    }
    let with_cidr =
        |(s, selector): (usize, &ClientSelector)| Some((s, selector.source_cidr.clone()?));
    if let Some((s, cidr)) = selectors
        .iter()
        .enumerate()
        .filter_map(with_cidr)
        .next_back()
    {
        let field = || format!("clientSelectors[{s}].sourceCIDR");
        entries.extend(cidr_entries(&cidr).map_err(|reason| (field(), reason))?);
    }
    let mut n_matches = n_headers;
    for (s, selector) in selectors.iter().enumerate() {
        for (q, param) in selector.query_params.iter().enumerate() {
            let field = || format!("clientSelectors[{s}].queryParams[{q}]");
            entries.push(value_entry(rule, n_matches, param, field)?);
            n_matches += 1;
        }
    }
    if entries.is_empty() {
        entries.push(Entry::fixed(format!("rule-{rule}-match--1")));
    }
    Ok(entries)
}

// === impl Entry ===

impl Entry {
    /// An entry whose value is its key.
    fn fixed(key: String) -> Self {
        let value = Some(key.clone());
        Self { key, value }
    }
}

fn value_entry(
    rule: usize,
    index: usize,
    selector: &ValueSelector,
    field: impl Fn() -> String,
) -> Result<Entry, Refused> {
    let key = format!("rule-{rule}-match-{index}");
    match selector.match_type.unwrap_or_default() {
        ValueSelectorType::Distinct if selector.value.is_some() => {
            let reason = "a value with type Distinct: expected none".to_owned();
            Err((format!("{}.value", field()), reason))
        }
        ValueSelectorType::Distinct if selector.invert == Some(true) => {
            let reason = "true with type Distinct: expected none".to_owned();
            Err((format!("{}.invert", field()), reason))
        }
        ValueSelectorType::Distinct => Ok(Entry { key, value: None }),
        ValueSelectorType::Exact | ValueSelectorType::RegularExpression => {
            if selector.value.is_none() {
                return Err((format!("{}.value", field()), "is missing".to_owned()));
            }
            Ok(Entry::fixed(key))
        }
    }
}

fn cidr_entries(cidr: &SourceCidr) -> Result<Vec<Entry>, String> {
    let network = network(&cidr.value).ok_or_else(|| {
        let written = &cidr.value;
        format!("`{written}` is no block of addresses: expected one such as `10.0.0.0/8`")
    })?;
    let invert = if cidr.invert == Some(true) {
        "invert:"
    } else {
        ""
    };
    let block = Entry {
        key: "masked_remote_address".to_owned(),
        value: Some(format!("{invert}{network}")),
    };
    let address = Entry {
        key: "remote_address".to_owned(),
        value: None,
    };
    Ok(match cidr.match_type.unwrap_or_default() {
        SourceCidrType::Distinct => vec![block, address],
        SourceCidrType::Exact => vec![block],
    })
}

/// A block of addresses as Envoy Gateway writes it: without the bits of hosts.
fn network(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/')?;
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u32 = length.parse().ok()?;
    let address = match address.parse().ok()? {
        IpAddr::V4(address) => {
            let host_bits = 32_u32.checked_sub(length)?;
            let bits = address.to_bits() & u32::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(bits))
        }
        IpAddr::V6(address) => {
            let host_bits = 128_u32.checked_sub(length)?;
            let bits = address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        }
    };
    Some(format!("{address}/{length}"))
}
