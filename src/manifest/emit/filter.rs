//! What is in force for a route → filters of its `HTTPRoute`.

use crate::manifest::filter;
use crate::manifest::filter::PathModifier;
use crate::manifest::filter::PathModifierType;
use crate::manifest::filter::RouteFilter;
use crate::manifest::filter::RouteFilterType;
use crate::platform::Route;
use crate::platform::effective::Effective;
use crate::platform::effective::InForce;
use crate::platform::effective::Source;
use crate::platform::filter::Header;
use crate::platform::filter::HeaderModifier;
use crate::platform::filter::PathRewrite;
use crate::platform::filter::RequestRedirect;
use crate::platform::filter::UrlRewrite;

/// What is done to the requests of a route.
#[derive(Debug)]
pub(super) struct Filters<'p> {
    modifier: Option<InForce<'p, HeaderModifier>>,
    rewrite: Option<InForce<'p, UrlRewrite>>,
    redirect: Option<InForce<'p, RequestRedirect>>,
}

impl<'p> Filters<'p> {
    pub(super) fn of(route: &'p Route, effective: &Effective<'p>) -> Self {
        Self {
            modifier: effective.header_modifier(route),
            rewrite: effective.url_rewrite(route),
            redirect: effective.request_redirect(route),
        }
    }

    /// What says so.
    pub(super) fn sources(&self) -> impl Iterator<Item = Source<'p>> {
        let modifier = self.modifier.map(|it| it.source);
        let rewrite = self.rewrite.map(|it| it.source);
        let redirect = self.redirect.map(|it| it.source);
        [modifier, rewrite, redirect].into_iter().flatten()
    }

    /// Whether the prefix that matches is replaced by another.
    pub(super) fn replaces_prefix(&self) -> bool {
        let path = self.rewrite.as_ref().and_then(|it| it.spec.path.as_ref());
        matches!(path, Some(PathRewrite::Prefix(_)))
    }

    /// The filters, in the order in which they act.
    pub(super) fn written(&self) -> Vec<RouteFilter> {
        let modifier = self.modifier.as_ref().map(|it| RouteFilter {
            request_header_modifier: Some(header_modifier(it.spec)),
            ..empty(RouteFilterType::RequestHeaderModifier)
        });
        let rewrite = self.rewrite.as_ref().map(|it| RouteFilter {
            url_rewrite: Some(url_rewrite(it.spec)),
            ..empty(RouteFilterType::UrlRewrite)
        });
        let redirect = self.redirect.as_ref().map(|it| RouteFilter {
            request_redirect: Some(request_redirect(it.spec)),
            ..empty(RouteFilterType::RequestRedirect)
        });
        [modifier, rewrite, redirect]
            .into_iter()
            .flatten()
            .collect()
    }
}

fn empty(filter_type: RouteFilterType) -> RouteFilter {
    RouteFilter {
        filter_type,
        request_header_modifier: None,
        request_redirect: None,
        url_rewrite: None,
    }
}

fn header_modifier(modifier: &HeaderModifier) -> filter::HeaderModifier {
    let written = |header: &Header| filter::Header {
        name: header.name.clone(),
        value: header.value.clone(),
    };
    filter::HeaderModifier {
        add: modifier.add.iter().map(written).collect(),
        set: modifier.set.iter().map(written).collect(),
        remove: modifier.remove.clone(),
    }
}

fn url_rewrite(rewrite: &UrlRewrite) -> filter::UrlRewrite {
    let path = rewrite.path.as_ref().map(|path| match path {
        PathRewrite::Full(path) => PathModifier {
            modifier_type: PathModifierType::ReplaceFullPath,
            replace_full_path: Some(path.clone()),
            replace_prefix_match: None,
        },
        PathRewrite::Prefix(path) => PathModifier {
            modifier_type: PathModifierType::ReplacePrefixMatch,
            replace_full_path: None,
            replace_prefix_match: Some(path.clone()),
        },
    });
    filter::UrlRewrite {
        hostname: rewrite.hostname.clone(),
        path,
    }
}

fn request_redirect(redirect: &RequestRedirect) -> filter::RequestRedirect {
    filter::RequestRedirect {
        scheme: redirect.scheme.map(str::to_owned),
        hostname: redirect.hostname.clone(),
        path: None,
        port: redirect.port,
        status_code: redirect.status_code,
    }
}
