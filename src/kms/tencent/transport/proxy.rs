//! The proxies in the environment as reqwest reads them, so that errors can name the proxy in front of a host.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::endpoint::Endpoint;

/// The proxy variables, read once, as reqwest does. No Debug: they may hold a password.
pub(super) struct Proxies {
    /// Matches like reqwest.
    effective: Matcher,
    /// Matches every host that `NO_PROXY` does not exclude.
    not_excluded: Matcher,
    /// The variable that is in effect for `https://` if its value is not a valid address. Reqwest would ignore it and
    /// connect directly, which the network may forbid for a reason.
    invalid_for_https: Option<&'static str>,
    /// The same for `http://`.
    invalid_for_http: Option<&'static str>,
}

/// The environment variable whose proxy address is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InvalidProxy(pub(super) &'static str);

impl Proxies {
    pub(super) fn from_environment() -> Self {
        Proxies::from_lookup(|name| env::var(name).ok())
    }

    fn from_lookup(variable: impl Fn(&str) -> Option<String>) -> Self {
        // In a CGI program a request header sets HTTP_PROXY (httpoxy), so reqwest ignores all proxy variables there.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let variable = |name: &str| variable(name).filter(|_| !is_cgi);
        let first =
            |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, variable(name)?)));
        let text = |names| first(names).map(|(_, value)| value).unwrap_or_default();
        let [https, http, all, no] = [
            ["HTTPS_PROXY", "https_proxy"],
            ["HTTP_PROXY", "http_proxy"],
            ["ALL_PROXY", "all_proxy"],
            ["NO_PROXY", "no_proxy"],
        ];
        let invalid = |scheme_specific| {
            let set = [scheme_specific, all].into_iter().filter_map(first);
            let mut set = set.filter(|(_, value)| !value.is_empty());
            set.next()
                .filter(|(_, value)| !is_unambiguous_address(value))
                .map(|(name, _)| name)
        };
        Proxies {
            effective: Matcher::builder()
                .https(text(https))
                .http(text(http))
                .all(text(all))
                .no(text(no))
                .build(),
            not_excluded: Matcher::builder()
                .all("http://proxy.invalid")
                .no(text(no))
                .build(),
            invalid_for_https: invalid(https),
            invalid_for_http: invalid(http),
        }
    }

    /// Returns the host for error messages, with host and port of the proxy in front of it, if any. A proxy's user name
    /// and password are left out.
    pub(super) fn route_to(&self, endpoint: &Endpoint) -> Result<String, InvalidProxy> {
        let host = endpoint.host().to_owned();
        let Ok(url) = endpoint.url().as_str().parse::<http::Uri>() else {
            return Ok(host);
        };
        if self.not_excluded.intercept(&url).is_none() {
            return Ok(host);
        }
        let invalid = if endpoint.url().scheme() == "http" {
            self.invalid_for_http
        } else {
            self.invalid_for_https
        };
        if let Some(variable) = invalid {
            return Err(InvalidProxy(variable));
        }
        let Some(proxy) = self.effective.intercept(&url) else {
            return Ok(host);
        };
        let uri = proxy.uri();
        let name = uri.host().unwrap_or_default();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(format!("{host} (through the proxy {name}{port})"))
    }
}

/// Whether every parser reads the same host from a proxy's address. Some take an unescaped `@`, `/` or `#` in a password
/// for a part of the host.
fn is_unambiguous_address(value: &str) -> bool {
    let with_scheme = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let has_at_most_one_at_sign = value.matches('@').count() <= 1;
    has_at_most_one_at_sign
        && Url::parse(&with_scheme).is_ok_and(|url| {
            schemes.contains(&url.scheme())
                && url.has_host()
                && matches!(url.path(), "" | "/")
                && url.query().is_none()
                && url.fragment().is_none()
        })
        && Matcher::builder()
            .all(value.to_owned())
            .build()
            .intercept(&http::Uri::from_static("https://kms.tencentcloudapi.com/"))
            .is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &[(&str, &str)]) -> Proxies {
        Proxies::from_lookup(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn route(set: &[(&str, &str)]) -> Result<String, InvalidProxy> {
        proxies(set).route_to(&Endpoint::parse("https://kms.example", false).expect("an endpoint"))
    }

    #[test]
    fn proxy_is_named_by_host_and_port() {
        for (value, named) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("proxy.example:3128", "proxy.example:3128"),
            ("http://user:hunter2@proxy.example:3128/", "proxy.example:3128"),
            ("http://user:p%40ss@proxy.example", "proxy.example"),
            ("socks5h://user:hunter2@127.0.0.1:1080", "127.0.0.1:1080"),
            ("http://[::1]:3128", "[::1]:3128"),
        ] {
            assert_eq!(
                route(&[("HTTPS_PROXY", value)]),
                Ok(format!("kms.example (through the proxy {named})"))
            );
        }
    }

    #[test]
    fn ambiguous_proxy_address_is_rejected_without_its_value() {
        for value in [
            "http://user:p@ssw0rd@127.0.0.1:9",
            "http://user:p#hunter2pw@127.0.0.1:9",
            "http://user:12345/x@127.0.0.1:9",
            "http://user:1?x@127.0.0.1:9",
            "user:Secr3t",
            "ht!tp://proxy",
            "ftp://proxy.example",
            "http://",
        ] {
            assert_eq!(
                route(&[("HTTPS_PROXY", value)]),
                Err(InvalidProxy("HTTPS_PROXY")),
                "{value}"
            );
        }
    }

    #[test]
    fn only_the_variable_in_effect_for_the_host_is_checked() {
        let direct = Ok("kms.example".to_owned());
        assert_eq!(route(&[("HTTP_PROXY", "bad host")]), direct);
        assert_eq!(
            route(&[("HTTPS_PROXY", "bad host"), ("NO_PROXY", "example")]),
            direct
        );
        assert_eq!(route(&[("HTTPS_PROXY", "")]), direct);
        assert_eq!(
            route(&[("all_proxy", "bad host")]),
            Err(InvalidProxy("all_proxy"))
        );
        assert_eq!(
            route(&[("HTTPS_PROXY", "http://a.example:1"), ("ALL_PROXY", "bad host")]),
            Ok("kms.example (through the proxy a.example:1)".to_owned())
        );
    }
}
