//! The settings of Envoy Gateway itself without which manifests would not work.

use crate::manifest::Manifest;

/// The settings that these manifests need, as text to read: they are no Kubernetes resource.
pub fn needed(manifests: &[Manifest]) -> Option<String> {
    let has_backends = manifests
        .iter()
        .any(|it| matches!(it, Manifest::Backend(_)));
    let has_limits = manifests.iter().any(limits);
    if !has_backends && !has_limits {
        return None;
    }
    let mut text = INTRODUCTION.to_owned();
    if has_backends {
        text.push_str(BACKENDS);
    }
    if has_limits {
        text.push_str(LIMITS);
    }
    Some(text)
}

/// The same as comments of YAML.
pub fn commented(settings: &str) -> String {
    let line = |line: &str| match line {
        "" => "#\n".to_owned(),
        line => format!("# {line}\n"),
    };
    settings.lines().map(line).collect()
}

/// Whether a manifest has limits that a service counts.
fn limits(manifest: &Manifest) -> bool {
    let Manifest::BackendTrafficPolicy(policy) = manifest else {
        return false;
    };
    let limit = policy.spec.rate_limit.as_ref();
    limit.is_some_and(|limit| limit.global.is_some())
}

const INTRODUCTION: &str = "\
Envoy Gateway needs these settings for what is generated here: put them into its
configuration, kind EnvoyGateway (with Helm below `config.envoyGateway`).

";

const BACKENDS: &str = "\
extensionApis:
  enableBackend: true
";

const LIMITS: &str = "\
rateLimit:
  backend:
    type: Redis
    redis:
      url: redis.redis-system.svc.cluster.local:6379
";
