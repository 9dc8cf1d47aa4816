//! Where calls go. Chosen by whoever runs the binary; nothing in a document or a policy can name a host.

use std::net::IpAddr;

use reqwest::Url;

/// An HTTP(S) origin: scheme, host and port, nothing behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    host: String,
}

impl Endpoint {
    /// Reads `https://HOST[:PORT]`, or `HOST[:PORT]`, which means https. `http://` goes to loopback only, unless
    /// `allow_http`: requests carry plaintext data keys.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let bad = |why: &'static str| EndpointError::Malformed {
            text: text.to_owned(),
            why,
        };
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&whole).map_err(|_| bad("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("only https:// and http:// are known"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("nothing may stand behind host and port"));
        }
        let host = url.host_str().ok_or_else(|| bad("it has no host"))?;
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"), // as it goes into `Host`: without the scheme's own port
            None => host.to_owned(),
        };
        let endpoint = Endpoint { url, host };
        if endpoint.url.scheme() == "http" && !allow_http && !endpoint.is_loopback() {
            return Err(EndpointError::PlainHttp(endpoint.host));
        }
        Ok(endpoint)
    }

    /// Of a host name that is made of checked parts.
    fn https(host: String) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "a host of letters, digits, - and dots is a URL"
        )]
        let url = Url::parse(&format!("https://{host}/")).expect("a host name");
        Endpoint { url, host }
    }

    /// The metadata service of Tencent Cloud's machines, on a network of their host's own: plain HTTP by design.
    pub(super) fn metadata() -> Self {
        #[expect(clippy::expect_used, reason = "a constant")]
        let endpoint = Endpoint::parse("http://metadata.tencentyun.com", true).expect("an endpoint");
        endpoint
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The value of the header `Host`: with the port unless it is the scheme's own.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// This machine: never through a proxy, and plain HTTP is fine.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.url.host_str().unwrap_or_default();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Why a text is no [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not of the form.
    #[error("{text:?} is no endpoint: {why}")]
    Malformed {
        /// As it was given.
        text: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A user name or password in it. Not repeated.
    #[error("an endpoint has no user name and no password")]
    Credentials,
    /// Plain HTTP to another machine.
    #[error("plain HTTP to {0} would show data keys to the network")]
    PlainHttp(String),
}

impl EndpointError {
    /// What a person can do.
    pub fn advice(&self) -> &'static str {
        match self {
            EndpointError::Malformed { .. } | EndpointError::Credentials => {
                "write it like https://kms.tencentcloudapi.com or http://127.0.0.1:8099"
            }
            EndpointError::PlainHttp(_) => {
                "use https://, or allow it with --tencent-allow-http on a network that you trust"
            }
        }
    }
}

/// Which hosts of Tencent Cloud are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// `kms.tencentcloudapi.com`, the access point next to the caller, whatever the region of the key.
    #[default]
    Nearest,
    /// `kms.<region>.tencentcloudapi.com`: the region of the key, so that nothing depends on another one.
    Regional,
    /// `kms.internal.tencentcloudapi.com`: inside a VPC of Tencent Cloud, without a way to the internet.
    Internal,
    /// `kms.intl.tencentcloudapi.com`: accounts of the international site.
    International,
}

impl Site {
    /// All of them.
    pub const ALL: [Site; 4] = [Site::Nearest, Site::Regional, Site::Internal, Site::International];

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Site::Nearest => "nearest",
            Site::Regional => "regional",
            Site::Internal => "internal",
            Site::International => "international",
        }
    }

    /// The inverse of [`Site::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Site::ALL.into_iter().find(|site| site.as_str() == text)
    }

    /// The endpoint that whoever runs the program named, else the site's.
    pub(super) fn endpoint_unless(self, named: Option<&Endpoint>, service: &str, region: &str) -> Endpoint {
        named.cloned().unwrap_or_else(|| self.endpoint(service, region))
    }

    /// The endpoint of `kms` or `sts` for a region. Finance zones are isolated and have hosts of their own, whatever
    /// the site.
    fn endpoint(self, service: &str, region: &str) -> Endpoint {
        let between = match self {
            _ if region.ends_with("-fsi") => format!(".{region}"),
            Site::Nearest => String::new(),
            Site::Regional => format!(".{region}"),
            Site::Internal => ".internal".to_owned(),
            Site::International => ".intl".to_owned(),
        };
        Endpoint::https(format!("{service}{between}.tencentcloudapi.com"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_origin() {
        for (text, url, host) in [
            (
                "https://kms.tencentcloudapi.com",
                "https://kms.tencentcloudapi.com/",
                "kms.tencentcloudapi.com",
            ),
            (
                "kms.tencentcloudapi.com",
                "https://kms.tencentcloudapi.com/",
                "kms.tencentcloudapi.com",
            ),
            ("https://kms.example:443/", "https://kms.example/", "kms.example"),
            (
                "https://kms.example:8443",
                "https://kms.example:8443/",
                "kms.example:8443",
            ),
            (
                "http://127.0.0.1:8099",
                "http://127.0.0.1:8099/",
                "127.0.0.1:8099",
            ),
            ("http://localhost:80", "http://localhost/", "localhost"),
            ("http://[::1]:8099", "http://[::1]:8099/", "[::1]:8099"),
            ("127.0.0.1:8099", "https://127.0.0.1:8099/", "127.0.0.1:8099"),
        ] {
            let endpoint = Endpoint::parse(text, false).expect(text);
            assert_eq!((endpoint.url().as_str(), endpoint.host()), (url, host), "{text}");
        }
        for bad in [
            "",
            "https://",
            "ftp://kms.example",
            "https://kms.example/v2",
            "https://kms.example?x",
            "https://a b",
        ] {
            assert!(
                matches!(Endpoint::parse(bad, true), Err(EndpointError::Malformed { .. })),
                "{bad}"
            );
        }
        let error = Endpoint::parse("https://id:hunter2@kms.example", false).expect_err("a password");
        assert!(!format!("{error}{error:?}").contains("hunter2"), "{error}");
    }

    #[test]
    fn plain_http_goes_to_loopback_unless_it_is_allowed() {
        for far in [
            "http://kms.example",
            "http://10.0.0.1:80",
            "http://localhost.example",
            "http://[::2]",
            "http://0.0.0.0",
        ] {
            assert!(
                matches!(Endpoint::parse(far, false), Err(EndpointError::PlainHttp(_))),
                "{far}"
            );
            assert!(
                Endpoint::parse(far, true).is_ok_and(|endpoint| !endpoint.is_loopback()),
                "{far}"
            );
        }
        for near in [
            "http://127.9.9.9",
            "http://localhost",
            "http://[::1]",
            "https://127.0.0.1",
        ] {
            assert!(
                Endpoint::parse(near, false).is_ok_and(|endpoint| endpoint.is_loopback()),
                "{near}"
            );
        }
    }

    #[test]
    fn the_region_and_the_site_choose_the_host() {
        for (site, region, host) in [
            (Site::Nearest, "ap-guangzhou", "kms.tencentcloudapi.com"),
            (
                Site::Regional,
                "ap-guangzhou",
                "kms.ap-guangzhou.tencentcloudapi.com",
            ),
            (Site::Internal, "ap-guangzhou", "kms.internal.tencentcloudapi.com"),
            (
                Site::International,
                "ap-singapore",
                "kms.intl.tencentcloudapi.com",
            ),
            (
                Site::Nearest,
                "ap-shanghai-fsi",
                "kms.ap-shanghai-fsi.tencentcloudapi.com",
            ),
            (
                Site::Internal,
                "ap-shenzhen-fsi",
                "kms.ap-shenzhen-fsi.tencentcloudapi.com",
            ),
        ] {
            let endpoint = site.endpoint("kms", region);
            assert_eq!((endpoint.host(), endpoint.url().scheme()), (host, "https"));
        }
        assert_eq!(
            Site::Internal.endpoint("sts", "ap-guangzhou").host(),
            "sts.internal.tencentcloudapi.com"
        );
        for site in Site::ALL {
            assert_eq!(Site::parse(site.as_str()), Some(site));
        }
    }
}
