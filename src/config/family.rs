//! Host families of Tencent Cloud: the default region and STS endpoint that follow from the API host.

use http::HeaderValue;

/// The default region for hosts of mainland China. The vendor's documentation of these hosts marks the
/// region as required; that of the international site does not.
const MAINLAND_REGION: &str = "ap-guangzhou";

/// The domains of the vendor's API, as in its SDKs. The longest match comes first.
const DOMAINS: [&str; 3] = [
    "tencentcloudapi.com.cn",
    "tencentcloudapi.com",
    "tencentcloudapi.cn",
];

/// The parts of the name of an API host: `iai.DOMAIN`, with any of `internal` (the vendor's network),
/// `intl` (accounts of the international site) and a region in between.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Family<'a> {
    domain: &'static str,
    is_internal: bool,
    is_international: bool,
    region: Option<&'a str>,
}

impl<'a> Family<'a> {
    /// Returns the family of a host name in lower case, or `None` if it is not one of the vendor's.
    pub(super) fn of(host: &'a str) -> Option<Self> {
        let host = host.trim_end_matches('.');
        let (names, domain) = DOMAINS.into_iter().find_map(|domain| {
            let names = host.strip_suffix(domain)?.strip_suffix('.')?;
            Some((names, domain))
        })?;
        let mut family = Self {
            domain,
            is_internal: false,
            is_international: false,
            region: None,
        };
        // The first label is the product.
        for name in names.split('.').skip(1) {
            match name {
                "internal" => family.is_internal = true,
                "intl" => family.is_international = true,
                region if is_region(region) && family.region.is_none() => {
                    family.region = Some(region);
                }
                _ => return None,
            }
        }
        Some(family)
    }

    /// Returns the default region: the one in the host name, else that of mainland China.
    pub(super) fn region(&self) -> Option<HeaderValue> {
        let default = (!self.is_international).then_some(MAINLAND_REGION);
        HeaderValue::from_str(self.region.or(default)?).ok()
    }

    /// Returns the URL of STS for the same site, network and domain.
    pub(super) fn sts_endpoint(&self) -> String {
        let internal = if self.is_internal { "internal." } else { "" };
        let international = if self.is_international { "intl." } else { "" };
        format!("https://sts.{internal}{international}{}", self.domain)
    }
}

/// Returns whether a label has the form of a region, such as `ap-shanghai` or `ap-shenzhen-fsi`.
fn is_region(name: &str) -> bool {
    let parts = name.split('-');
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_alphanumeric());
    name.contains('-') && parts.into_iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_and_sts_endpoint_follow_from_the_api_host() {
        let cases = [
            (
                "iai.tencentcloudapi.com",
                "ap-guangzhou",
                "sts.tencentcloudapi.com",
            ),
            (
                "iai.tencentcloudapi.com.",
                "ap-guangzhou",
                "sts.tencentcloudapi.com",
            ),
            (
                "iai.internal.tencentcloudapi.com",
                "ap-guangzhou",
                "sts.internal.tencentcloudapi.com",
            ),
            (
                "iai.ap-shanghai.tencentcloudapi.com",
                "ap-shanghai",
                "sts.tencentcloudapi.com",
            ),
            (
                "iai.ap-shenzhen-fsi.tencentcloudapi.com",
                "ap-shenzhen-fsi",
                "sts.tencentcloudapi.com",
            ),
            (
                "iai.internal.ap-shanghai.tencentcloudapi.com",
                "ap-shanghai",
                "sts.internal.tencentcloudapi.com",
            ),
            (
                "iai.tencentcloudapi.cn",
                "ap-guangzhou",
                "sts.tencentcloudapi.cn",
            ),
            (
                "iai.tencentcloudapi.com.cn",
                "ap-guangzhou",
                "sts.tencentcloudapi.com.cn",
            ),
            (
                "iai.intl.tencentcloudapi.com",
                "",
                "sts.intl.tencentcloudapi.com",
            ),
            (
                "iai.ap-singapore.intl.tencentcloudapi.com",
                "ap-singapore",
                "sts.intl.tencentcloudapi.com",
            ),
        ];
        for (host, region, sts) in cases {
            let family = Family::of(host).expect(host);
            let sent = family.region();
            let sent = sent.as_ref().map_or("", |region| region.to_str().unwrap());
            assert_eq!(sent, region, "{host}");
            assert_eq!(family.sts_endpoint(), format!("https://{sts}"), "{host}");
        }
    }

    #[test]
    fn hosts_of_others_have_no_family() {
        for host in [
            "127.0.0.1",
            "localhost",
            "tencentcloudapi.com",
            "iaitencentcloudapi.com",
            "iai.tencentcloudapi.com.example",
            "iai.shanghai.tencentcloudapi.com",
            "iai.ap-.tencentcloudapi.com",
            "iai..tencentcloudapi.com",
        ] {
            assert_eq!(Family::of(host), None, "{host}");
        }
    }
}
