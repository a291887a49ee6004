//! The settings of Envoy Gateway itself without which manifests would not work.

use crate::manifest::emit::Emission;

/// The settings that what a platform becomes needs, as text to read: they are no Kubernetes resource.
pub fn needed(emission: &Emission<'_>) -> Option<String> {
    let (has_backends, has_limits) = (emission.has_backends(), emission.has_limits());
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
