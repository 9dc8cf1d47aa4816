//! The hosts to call. Only the operator of the program chooses them; nothing in a document or a policy can name a host.

use std::net::IpAddr;

use reqwest::Url;

use super::service::Service;

/// An HTTP(S) origin: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    host: String,
}

impl Endpoint {
    /// Parses `https://HOST[:PORT]`, or `HOST[:PORT]`, which means `https://`. Plain `http://` is accepted for loopback
    /// only, unless `allow_http` is set: requests carry plaintext data keys.
    ///
    /// ```
    /// use envelope_secrets::kms::tencent::{Endpoint, EndpointError};
    ///
    /// assert!(Endpoint::parse("kms.tencentcloudapi.com", false).is_ok());
    /// assert!(Endpoint::parse("http://127.0.0.1:8099", false).is_ok());
    ///
    /// let error = Endpoint::parse("http://kms.example", false).unwrap_err();
    /// assert_eq!(error, EndpointError::PlainHttp("kms.example".to_owned()));
    /// ```
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let malformed = |why: &'static str| EndpointError::Malformed {
            text: text.to_owned(),
            why,
        };
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let url = Url::parse(&with_scheme).map_err(|_| malformed("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("only https:// and http:// are supported"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("nothing may follow the host and port"));
        }
        let host = url.host_str().ok_or_else(|| malformed("it has no host"))?;
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"), // `None` for the scheme's default port
            None => host.to_owned(),
        };
        let endpoint = Endpoint { url, host };
        if endpoint.url.scheme() == "http" && !allow_http && !endpoint.is_loopback() {
            return Err(EndpointError::PlainHttp(endpoint.host));
        }
        Ok(endpoint)
    }

    /// An endpoint whose host name is built from checked parts.
    fn https(host: String) -> Self {
        #[expect(
            clippy::expect_used,
            reason = "a host of letters, digits, - and dots is a URL"
        )]
        let url = Url::parse(&format!("https://{host}/")).expect("a host name");
        Endpoint { url, host }
    }

    /// The metadata service of Tencent Cloud's instances. It is link-local and offers plain HTTP only.
    pub(in crate::kms::tencent) fn metadata() -> Self {
        #[expect(clippy::expect_used, reason = "a constant")]
        let endpoint = Endpoint::parse("http://metadata.tencentyun.com", true).expect("an endpoint");
        endpoint
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// The value of the header `Host`: with the port unless it is the scheme's default.
    pub(in crate::kms::tencent) fn host(&self) -> &str {
        &self.host
    }

    /// Whether this is the local host, which is never reached through a proxy and may use plain HTTP.
    pub(super) fn is_loopback(&self) -> bool {
        let name = self.url.host_str().unwrap_or_default();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || address
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

/// Why a text is not a valid [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It does not have the form of an endpoint.
    #[error("{text:?} is not a valid endpoint: {why}")]
    Malformed {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It contains a user name or password, which the message does not repeat.
    #[error("an endpoint must not contain a user name or password")]
    Credentials,
    /// It is plain HTTP to another host. Holds the host.
    #[error("plain HTTP to {0} would expose data keys on the network")]
    PlainHttp(String),
}

impl EndpointError {
    /// What the user can do about it.
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

/// Which of Tencent Cloud's hosts to call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// `kms.tencentcloudapi.com`: the access point closest to the caller, whatever the key's region.
    #[default]
    Nearest,
    /// `kms.<region>.tencentcloudapi.com`: the key's region, independent of all other regions.
    Regional,
    /// `kms.internal.tencentcloudapi.com`: inside a Tencent Cloud VPC, without internet access.
    Internal,
    /// `kms.intl.tencentcloudapi.com`: accounts of the international site.
    International,
}

impl Site {
    /// All sites.
    pub const ALL: [Site; 4] = [Site::Nearest, Site::Regional, Site::Internal, Site::International];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Site::Nearest => "nearest",
            Site::Regional => "regional",
            Site::Internal => "internal",
            Site::International => "international",
        }
    }

    /// Parses a name as [`Site::as_str`] returns it.
    ///
    /// ```
    /// use envelope_secrets::kms::tencent::Site;
    ///
    /// assert_eq!(Site::parse("internal"), Some(Site::Internal));
    /// assert_eq!(Site::parse("moon"), None);
    /// ```
    pub fn parse(text: &str) -> Option<Self> {
        Site::ALL.into_iter().find(|site| site.as_str() == text)
    }

    /// Returns the configured endpoint if there is one, else the site's endpoint of `service` for `region`.
    pub(in crate::kms::tencent) fn endpoint_unless(
        self,
        configured: Option<&Endpoint>,
        service: Service,
        region: &str,
    ) -> Endpoint {
        configured
            .cloned()
            .unwrap_or_else(|| self.endpoint(service, region))
    }

    /// Finance zones (`-fsi`) are isolated: they have their own hosts, whatever the site.
    fn endpoint(self, service: Service, region: &str) -> Endpoint {
        let infix = match self {
            _ if region.ends_with("-fsi") => format!(".{region}"),
            Site::Nearest => String::new(),
            Site::Regional => format!(".{region}"),
            Site::Internal => ".internal".to_owned(),
            Site::International => ".intl".to_owned(),
        };
        Endpoint::https(format!("{}{infix}.tencentcloudapi.com", service.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_must_be_an_origin() {
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
    fn plain_http_needs_permission_unless_the_host_is_loopback() {
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
    fn host_follows_from_site_and_region() {
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
            let endpoint = site.endpoint(Service::Kms, region);
            assert_eq!((endpoint.host(), endpoint.url().scheme()), (host, "https"));
        }
        assert_eq!(
            Site::Internal.endpoint(Service::Sts, "ap-guangzhou").host(),
            "sts.internal.tencentcloudapi.com"
        );
        for site in Site::ALL {
            assert_eq!(Site::parse(site.as_str()), Some(site));
        }
    }
}
