//! Rules → YAML: the same text for the same rules, safe for readers of YAML 1.1.

use serde::Serialize;
use serde_saphyr::ser_options;

use crate::rule::Allowance;
use crate::rule::Descriptor;
use crate::rule::Domain;
use crate::rule::Metadata;
use crate::rule::Value;
use crate::rule::limit::Algorithm;
use crate::rule::limit::Cost;
use crate::rule::limit::Limit;
use crate::rule::limit::OnStoreFailure;

pub(super) fn domains(domains: &[Domain]) -> String {
    let documents: Vec<DomainForm<'_>> = domains.iter().map(DomainForm::from).collect();
    let options = ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_multiple_with_options(&documents, options)
        .expect("strings, numbers, booleans, lists and maps can be written")
}

#[derive(Serialize)]
struct DomainForm<'d> {
    domain: &'d str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    descriptors: Vec<DescriptorForm<'d>>,
}

impl<'d> From<&'d Domain> for DomainForm<'d> {
    fn from(domain: &'d Domain) -> Self {
        Self {
            domain: &domain.name,
            descriptors: domain.descriptors.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
struct DescriptorForm<'d> {
    key: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'d str>,
    #[serde(skip_serializing_if = "is_false")]
    shadow_mode: bool,
    #[serde(skip_serializing_if = "is_false")]
    quota_mode: bool,
    #[serde(skip_serializing_if = "is_false")]
    share_threshold: bool,
    #[serde(skip_serializing_if = "is_false")]
    value_to_metric: bool,
    #[serde(skip_serializing_if = "is_false")]
    detailed_metric: bool,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'d Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<LimitForm<'d>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    descriptors: Vec<Self>,
}

impl<'d> From<&'d Descriptor> for DescriptorForm<'d> {
    fn from(descriptor: &'d Descriptor) -> Self {
        let share_threshold = matches!(
            descriptor.value,
            Value::Wildcard {
                share_threshold: true,
                ..
            }
        );
        let limit = match &descriptor.allowance {
            Some(Allowance::Limited(limit)) => Some(limit),
            Some(Allowance::Unlimited) | None => None,
        };
        Self {
            key: &descriptor.key,
            value: descriptor.value.text(),
            shadow_mode: limit.is_some_and(|limit| limit.shadow),
            quota_mode: limit.is_some_and(|limit| limit.quota),
            share_threshold,
            value_to_metric: descriptor.value_to_metric,
            detailed_metric: descriptor.detailed_metric,
            metadata: &descriptor.metadata,
            rate_limit: descriptor.allowance.as_ref().map(|allowance| {
                let replaces = descriptor.replaces.iter();
                LimitForm {
                    replaces: replaces.map(|name| ReplacedForm { name }).collect(),
                    ..LimitForm::from(allowance)
                }
            }),
            descriptors: descriptor.descriptors.iter().map(Into::into).collect(),
        }
    }
}

#[derive(Default, Serialize)]
struct LimitForm<'d> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requests_per_unit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_multiplier: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    burst: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_store_failure: Option<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    unlimited: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    replaces: Vec<ReplacedForm<'d>>,
}

#[derive(Serialize)]
struct ReplacedForm<'d> {
    name: &'d str,
}

impl<'d> From<&'d Allowance> for LimitForm<'d> {
    fn from(allowance: &'d Allowance) -> Self {
        match allowance {
            Allowance::Limited(limit) => limit.into(),
            Allowance::Unlimited => Self {
                unlimited: true,
                ..Self::default()
            },
        }
    }
}

impl<'d> From<&'d Limit> for LimitForm<'d> {
    fn from(limit: &'d Limit) -> Self {
        let multiplier = limit.unit_multiplier.get();
        Self {
            name: limit.name.as_deref(),
            unit: Some(limit.unit.name()),
            requests_per_unit: Some(limit.requests),
            unit_multiplier: (multiplier > 1).then_some(multiplier),
            burst: (limit.burst > 0).then_some(limit.burst),
            algorithm: limit.algorithm.map(Algorithm::name),
            cost: limit.cost.map(Cost::name),
            on_store_failure: limit.on_store_failure.map(OnStoreFailure::name),
            ..Self::default()
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests;
