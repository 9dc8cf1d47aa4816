//! The proxies of the environment, as reqwest takes them: which one stands before a host, for errors to name.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::HttpError;
use crate::kms::tencent::endpoint::Endpoint;

/// The variables, which are read once, as reqwest does. No Debug: they may hold a password.
pub(super) struct Proxies {
    /// What reqwest goes by.
    taken: Matcher,
    /// Whatever `NO_PROXY` leaves to a proxy.
    any: Matcher,
    /// The variable whose proxy cannot be read, which reqwest would pass over: the way out might be shut for a reason.
    https: Option<&'static str>,
    http: Option<&'static str>,
}

impl Proxies {
    pub(super) fn of_environment() -> Self {
        Proxies::of(|name| env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        // In a CGI program a header of the client sets HTTP_PROXY: there reqwest takes none.
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
        let unreadable = |own| {
            let set = [own, all].into_iter().filter_map(first);
            let mut set = set.filter(|(_, value)| !value.is_empty());
            set.next()
                .filter(|(_, value)| !is_address(value))
                .map(|(name, _)| name)
        };
        Proxies {
            taken: Matcher::builder()
                .https(text(https))
                .http(text(http))
                .all(text(all))
                .no(text(no))
                .build(),
            any: Matcher::builder()
                .all("http://proxy.invalid")
                .no(text(no))
                .build(),
            https: unreadable(https),
            http: unreadable(http),
        }
    }

    /// The host as errors name it, with the proxy that stands before it: its host and port, nothing else of it.
    pub(super) fn way_to(&self, endpoint: &Endpoint) -> Result<String, HttpError> {
        let host = endpoint.host().to_owned();
        let Ok(url) = endpoint.url().as_str().parse::<http::Uri>() else {
            return Ok(host);
        };
        if self.any.intercept(&url).is_none() {
            return Ok(host);
        }
        let unreadable = if endpoint.url().scheme() == "http" {
            self.http
        } else {
            self.https
        };
        if let Some(name) = unreadable {
            return Err(HttpError::Proxy(name));
        }
        let Some(proxy) = self.taken.intercept(&url) else {
            return Ok(host);
        };
        let uri = proxy.uri();
        let name = uri.host().unwrap_or_default();
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(format!("{host} (through the proxy {name}{port})"))
    }
}

/// Whether all readers see the same address in it. A password with an `@`, `/` or `#` that is not escaped is read as a
/// part of the host by some.
fn is_address(value: &str) -> bool {
    let with_scheme = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    let schemes = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
    let is_one = value.matches('@').count() <= 1;
    is_one
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
        Proxies::of(|name| {
            let found = set.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn way(set: &[(&str, &str)]) -> Result<String, HttpError> {
        proxies(set).way_to(&Endpoint::parse("https://kms.example", false).expect("an endpoint"))
    }

    #[test]
    fn a_proxy_is_named_by_host_and_port() {
        for (value, named) in [
            ("http://proxy.example:3128", "proxy.example:3128"),
            ("proxy.example:3128", "proxy.example:3128"),
            ("http://user:hunter2@proxy.example:3128/", "proxy.example:3128"),
            ("http://user:p%40ss@proxy.example", "proxy.example"),
            ("socks5h://user:hunter2@127.0.0.1:1080", "127.0.0.1:1080"),
            ("http://[::1]:3128", "[::1]:3128"),
        ] {
            assert_eq!(
                way(&[("HTTPS_PROXY", value)]),
                Ok(format!("kms.example (through the proxy {named})"))
            );
        }
    }

    #[test]
    fn what_readers_would_read_differently_is_refused_without_a_word_of_it() {
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
                way(&[("HTTPS_PROXY", value)]),
                Err(HttpError::Proxy("HTTPS_PROXY")),
                "{value}"
            );
        }
    }

    #[test]
    fn only_the_variable_that_is_for_the_host_counts() {
        let straight = Ok("kms.example".to_owned());
        assert_eq!(way(&[("HTTP_PROXY", "bad host")]), straight);
        assert_eq!(
            way(&[("HTTPS_PROXY", "bad host"), ("NO_PROXY", "example")]),
            straight
        );
        assert_eq!(way(&[("HTTPS_PROXY", "")]), straight);
        assert_eq!(
            way(&[("all_proxy", "bad host")]),
            Err(HttpError::Proxy("all_proxy"))
        );
        assert_eq!(
            way(&[("HTTPS_PROXY", "http://a.example:1"), ("ALL_PROXY", "bad host")]),
            Ok("kms.example (through the proxy a.example:1)".to_owned())
        );
    }
}
