//! Client selectors → the entries that Envoy puts into a descriptor.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::manifest::traffic_policy::ClientSelector;
use crate::manifest::traffic_policy::MethodSelector;
use crate::manifest::traffic_policy::PathSelector;
use crate::manifest::traffic_policy::SourceCidr;
use crate::manifest::traffic_policy::SourceCidrType;
use crate::manifest::traffic_policy::ValueSelector;
use crate::manifest::traffic_policy::ValueSelectorType;

/// An entry of a descriptor: without a value, each value that is sent counts apart.
#[derive(Clone, Debug)]
pub(in crate::manifest) struct Entry<'m> {
    pub key: String,
    pub value: Option<String>,
    /// What a request must have for it.
    pub source: Source<'m>,
}

/// What Envoy makes an entry from. When it finds nothing, the descriptor is not sent.
#[derive(Clone, Debug)]
pub(in crate::manifest) enum Source<'m> {
    /// The address that the request comes from.
    Address,
    /// Nothing: the entry is always there.
    Always,
    /// An address in, or outside of, a block.
    Block(Block),
    /// A header.
    Header(&'m ValueSelector),
    /// One of these methods.
    Method(Vec<&'m MethodSelector>),
    /// The path, with its query.
    Path(&'m PathSelector),
    /// A query parameter.
    QueryParam(&'m ValueSelector),
}

/// A block of addresses, without the bits of hosts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::manifest) struct Block {
    network: IpAddr,
    length: u32,
    /// Whether the other addresses are meant.
    invert: bool,
}

/// A field and what is wrong with it.
pub(in crate::manifest) type Refused = (String, String);

/// The entries of the `rule`-th rule of a policy. All selectors must hold: headers and query
/// parameters add up, of paths and addresses the last is meant.
pub(in crate::manifest) fn entries(
    rule: usize,
    selectors: &[ClientSelector],
) -> Result<Vec<Entry<'_>>, Refused> {
    let mut entries = Vec::new();
    for (s, selector) in selectors.iter().enumerate() {
        for (h, header) in selector.headers.iter().enumerate() {
            let field = || format!("clientSelectors[{s}].headers[{h}]");
            let source = Source::Header(header);
            entries.push(value_entry(rule, entries.len(), header, source, field)?);
        }
    }
    let n_headers = entries.len();
    let methods: Vec<_> = selectors.iter().flat_map(|it| &it.methods).collect();
    if !methods.is_empty() {
        let source = Source::Method(methods);
        entries.push(Entry::fixed(format!("rule-{rule}-method"), source));
    }
    if let Some((s, path)) = last(selectors, |it| it.path.as_ref()) {
        let place = |(below, reason)| (format!("clientSelectors[{s}].path.{below}"), reason);
        check_path(path).map_err(place)?;
        entries.push(Entry::fixed(
            format!("rule-{rule}-path"),
            Source::Path(path),
        ));
    }
    if let Some((s, cidr)) = last(selectors, |it| it.source_cidr.as_ref()) {
        let field = || format!("clientSelectors[{s}].sourceCIDR");
        entries.extend(cidr_entries(cidr).map_err(|reason| (field(), reason))?);
    }
    let mut n_matches = n_headers;
    for (s, selector) in selectors.iter().enumerate() {
        for (q, param) in selector.query_params.iter().enumerate() {
            let field = || format!("clientSelectors[{s}].queryParams[{q}]");
            let source = Source::QueryParam(param);
            entries.push(value_entry(rule, n_matches, param, source, field)?);
            n_matches += 1;
        }
    }
    if entries.is_empty() {
        let key = format!("rule-{rule}-match--1");
        entries.push(Entry::fixed(key, Source::Always));
    }
    Ok(entries)
}

/// The last selector that has something, with its index.
fn last<'m, T>(
    selectors: &'m [ClientSelector],
    of: impl Fn(&'m ClientSelector) -> Option<&'m T>,
) -> Option<(usize, &'m T)> {
    let numbered = selectors.iter().enumerate();
    numbered
        .filter_map(|(s, it)| Some((s, of(it)?)))
        .next_back()
}

// === impl Entry ===

/// Entries are equal when Envoy sends them alike.
impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

impl<'m> Entry<'m> {
    /// An entry whose value is its key.
    fn fixed(key: String, source: Source<'m>) -> Self {
        let value = Some(key.clone());
        Self { key, value, source }
    }
}

// === impl Block ===

impl Block {
    /// Whether an address is meant. An address of the other family is in no block.
    pub(in crate::manifest) fn selects(&self, address: IpAddr) -> bool {
        let is_inside = masked(address, self.length) == Some(self.network);
        is_inside != self.invert
    }
}

fn value_entry<'m>(
    rule: usize,
    index: usize,
    selector: &ValueSelector,
    source: Source<'m>,
    field: impl Fn() -> String,
) -> Result<Entry<'m>, Refused> {
    let key = format!("rule-{rule}-match-{index}");
    let refused = |below: &str, reason: String| Err((format!("{}.{below}", field()), reason));
    let value = selector.value.as_deref();
    match selector.match_type.unwrap_or_default() {
        ValueSelectorType::Distinct if value.is_some() => refused(
            "value",
            "a value with type Distinct: expected none".to_owned(),
        ),
        ValueSelectorType::Distinct if selector.invert == Some(true) => refused(
            "invert",
            "true with type Distinct: expected none".to_owned(),
        ),
        ValueSelectorType::Distinct => Ok(Entry {
            key,
            value: None,
            source,
        }),
        ValueSelectorType::Exact | ValueSelectorType::RegularExpression => match value {
            None => refused("value", "is missing".to_owned()),
            Some("") if matches!(source, Source::QueryParam(_)) => {
                refused("value", "is empty: expected a value".to_owned())
            }
            Some(value) => {
                if selector.match_type == Some(ValueSelectorType::RegularExpression)
                    && let Err(reason) = check_expression(value)
                {
                    return refused("value", reason);
                }
                Ok(Entry::fixed(key, source))
            }
        },
    }
}

/// Refuses a path with the field that is wrong.
fn check_path(path: &PathSelector) -> Result<(), (&'static str, String)> {
    match path.match_type.as_deref() {
        Some("RegularExpression") => {
            check_expression(&path.value).map_err(|reason| ("value", reason))
        }
        None | Some("Exact" | "PathPrefix") => Ok(()),
        Some(other) => {
            let expected = "expected Exact, PathPrefix or RegularExpression";
            Err(("type", format!("unknown type `{other}`: {expected}")))
        }
    }
}

fn check_expression(text: &str) -> Result<(), String> {
    match regex_syntax::parse(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("`{text}` is no regular expression (RE2)")),
    }
}

fn cidr_entries<'m>(cidr: &SourceCidr) -> Result<Vec<Entry<'m>>, String> {
    let invert = cidr.invert == Some(true);
    let block = block(&cidr.value, invert).ok_or_else(|| {
        let written = &cidr.value;
        format!("`{written}` is no block of addresses: expected one such as `10.0.0.0/8`")
    })?;
    let prefix = if invert { "invert:" } else { "" };
    let (network, length) = (block.network, block.length);
    let masked = Entry {
        key: "masked_remote_address".to_owned(),
        value: Some(format!("{prefix}{network}/{length}")),
        source: Source::Block(block),
    };
    let address = Entry {
        key: "remote_address".to_owned(),
        value: None,
        source: Source::Address,
    };
    Ok(match cidr.match_type.unwrap_or_default() {
        SourceCidrType::Distinct => vec![masked, address],
        SourceCidrType::Exact => vec![masked],
    })
}

fn block(text: &str, invert: bool) -> Option<Block> {
    let (address, length) = text.split_once('/')?;
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: u32 = length.parse().ok()?;
    Some(Block {
        network: masked(address.parse().ok()?, length)?,
        length,
        invert,
    })
}

/// An address without the bits of hosts, unless it has fewer than `length`.
fn masked(address: IpAddr, length: u32) -> Option<IpAddr> {
    Some(match address {
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
    })
}
