//! Which Redis the variables of envoyproxy/ratelimit name, and how it is reached.

use crate::settings::Serve;
use crate::settings::drop_in::Environment;
use crate::settings::store::StoreAddress;
use crate::store::redis::address::Login;

/// The variables of one Redis.
struct Names {
    kind: &'static str,
    socket: &'static str,
    url: &'static str,
    auth: &'static str,
    sentinel_auth: &'static str,
    tls: &'static str,
}

impl Environment {
    /// Reads where hits are counted, and those of limits per second if that is somewhere else.
    pub(super) fn redis(&mut self, serve: &mut Serve, is_given: &dyn Fn(&str) -> bool) {
        let redis = &mut serve.redis;
        if !is_given("redis_sentinel_auth") {
            redis.redis_sentinel_auth = self.set(MAIN.sentinel_auth).map(Login::read);
        }
        if !is_given("redis_cert") {
            redis.redis_cert = self.path("REDIS_TLS_CLIENT_CERT");
            redis.redis_key = self.path("REDIS_TLS_CLIENT_KEY");
            for (name, path, other) in [
                ("REDIS_TLS_CLIENT_CERT", &redis.redis_cert, &redis.redis_key),
                ("REDIS_TLS_CLIENT_KEY", &redis.redis_key, &redis.redis_cert),
            ] {
                if path.is_none() && other.is_some() {
                    self.fault(name, "", "certificate and key go together");
                }
            }
        }
        if !is_given("redis_ca") {
            redis.redis_ca = self.path("REDIS_TLS_CACERT");
        }
        redis.redis_skip_hostname_verification |=
            self.boolean("REDIS_TLS_SKIP_HOSTNAME_VERIFICATION");
        if let Some(store) = self.server(&MAIN) {
            serve.store = store;
        }
        if self.boolean("REDIS_PERSECOND") && !is_given("per_second_store") {
            let login = self.set(PER_SECOND.sentinel_auth).map(Login::read);
            if !is_given("per_second_sentinel_auth") {
                // None at all, where that of the others holds otherwise.
                serve.redis.per_second_sentinel_auth = Some(login.unwrap_or_default());
            }
            serve.redis.per_second_store = self.server(&PER_SECOND);
        }
    }

    fn server(&mut self, names: &Names) -> Option<StoreAddress> {
        let kind = self.text(names.kind).to_ascii_lowercase();
        let socket = self.text(names.socket).to_ascii_lowercase();
        let (servers, mut login, is_secure) = servers(self.text(names.url));
        let is_tls = self.boolean(names.tls) || is_secure;
        if let Some(auth) = self.set(names.auth).filter(|_| login.is_none()) {
            let (user, password) = auth.split_once(':').unwrap_or(("", auth));
            login = Some(format!("{}:{}", escaped(user), escaped(password)));
        }
        let login = login.map_or_else(String::new, |it| it + "@");
        let scheme = if is_tls { "rediss" } else { "redis" };
        let is_path = kind == "single" && servers.starts_with('/');
        let text = match (kind.as_str(), socket.as_str()) {
            ("single", "unix") if is_path && is_tls => {
                self.fault(names.tls, "true", "TLS is not spoken over a unix socket");
                return None;
            }
            ("single", "unix") if is_path => format!("unix://{login}{servers}"),
            ("single", "unix") => {
                let why = "expected the path of a unix socket, as the type of socket is unix";
                self.fault(names.url, "", why);
                return None;
            }
            ("single", "tcp" | "tcp4" | "tcp6") => format!("{scheme}://{login}{servers}"),
            ("single", _) => {
                self.fault(names.socket, &socket, "expected tcp or unix");
                return None;
            }
            ("cluster", _) => format!("{scheme}+cluster://{login}{servers}"),
            ("sentinel", _) => {
                let Some((master, sentinels)) = servers.split_once(',') else {
                    self.fault(names.url, "", "expected master,host:port,host:port");
                    return None;
                };
                format!("{scheme}+sentinel://{login}{sentinels}/{master}")
            }
            _ => {
                let kind = self.text(names.kind).to_owned();
                self.fault(names.kind, &kind, "expected SINGLE, SENTINEL or CLUSTER");
                return None;
            }
        };
        let address = StoreAddress::read(&text);
        address
            .map_err(|fault| self.fault(names.url, "", fault))
            .ok()
    }
}

/// The list without what each part may have of a URL, the first login in percent encoding, and
/// whether a part asks for TLS.
fn servers(list: &str) -> (String, Option<String>, bool) {
    let mut login = None;
    let mut is_tls = false;
    let parts = list.split(',').map(str::trim).map(|part| {
        let secured = part.strip_prefix("rediss://");
        is_tls |= secured.is_some();
        let url = secured.or_else(|| part.strip_prefix("redis://"));
        match url.unwrap_or(part).rsplit_once('@') {
            Some((own, server)) => {
                login.get_or_insert_with(|| own.to_owned());
                server
            }
            None => url.unwrap_or(part),
        }
    });
    let servers: Vec<&str> = parts.collect();
    (servers.join(","), login, is_tls)
}

/// Text as it stands in a URL.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

const MAIN: Names = Names {
    kind: "REDIS_TYPE",
    socket: "REDIS_SOCKET_TYPE",
    url: "REDIS_URL",
    auth: "REDIS_AUTH",
    sentinel_auth: "REDIS_SENTINEL_AUTH",
    tls: "REDIS_TLS",
};

const PER_SECOND: Names = Names {
    kind: "REDIS_PERSECOND_TYPE",
    socket: "REDIS_PERSECOND_SOCKET_TYPE",
    url: "REDIS_PERSECOND_URL",
    auth: "REDIS_PERSECOND_AUTH",
    sentinel_auth: "REDIS_PERSECOND_SENTINEL_AUTH",
    tls: "REDIS_PERSECOND_TLS",
};
