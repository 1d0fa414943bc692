//! Addresses, and the rule that nothing travels in plain text to another machine.

use std::net::IpAddr;

use url::{Host, Url};

use super::{Reader, variables::Variable};

/// Whether an address cannot leave this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // URLs of schemes the standard does not know (postgres) keep their host as a mere text.
        None => url.host_str().is_none_or(str::is_empty),
    }
}

fn host_is_loopback(url: &Url) -> bool {
    let literal = url.host_str().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    is_loopback(url)
        || literal.is_some_and(|host| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
}

/// Reads an address with one of `schemes`; the second of a pair `(plain, secure)` is always allowed.
pub(super) fn address(
    reader: &mut Reader<'_>,
    variable: &'static Variable,
    (plain, secure): (&str, &str),
) -> Option<Url> {
    let text = reader.text(variable)?;
    let Ok(url) = Url::parse(&text) else {
        reader.problem(variable, format!("must be an address that begins with {secure}://"));
        return None;
    };
    if url.scheme() != plain && url.scheme() != secure || url.host_str().is_none() {
        reader.problem(
            variable,
            format!("must begin with {secure}:// and name a host, not with {}://", url.scheme()),
        );
        return None;
    }
    if url.scheme() == plain && !host_is_loopback(&url) && !reader.allows_plaintext() {
        reader.problem(
            variable,
            format!(
                "{plain}:// to another machine would travel in plain text; use {secure}://, or set \
                 ALLOW_PLAINTEXT=true if the network is yours"
            ),
        );
        return None;
    }
    Some(url)
}

/// Reads a list of web origins, each a scheme, a host and perhaps a port.
pub(super) fn origins(reader: &mut Reader<'_>, variable: &'static Variable) -> Vec<String> {
    let text = reader.text(variable).unwrap_or_default();
    let mut origins = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let origin = Url::parse(part).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.as_str().trim_end_matches('/') == url.origin().ascii_serialization()
        });
        match origin {
            Some(url) => origins.push(url.origin().ascii_serialization()),
            None => reader.problem(
                variable,
                format!("{part:?} is not an origin as in https://meshhook.example.com"),
            ),
        }
    }
    origins
}

/// Reads a Postgres address and settles its TLS mode: `require` at least, except on this machine.
pub(super) fn database(reader: &mut Reader<'_>, variable: &'static Variable) -> Option<Url> {
    let text = reader.required(variable)?;
    let url = match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => url,
        _ => {
            reader.problem(variable, "must be an address that begins with postgres://");
            return None;
        }
    };
    settle_tls(reader, variable, url)
}

fn settle_tls(reader: &mut Reader<'_>, variable: &'static Variable, mut url: Url) -> Option<Url> {
    let mode = url
        .query_pairs()
        .find(|(name, _)| matches!(&**name, "sslmode" | "ssl-mode"))
        .map(|(_, mode)| mode.into_owned());
    if host_is_loopback(&url) {
        return Some(url);
    }
    match mode.as_deref() {
        None if reader.allows_plaintext() => Some(url),
        // The driver's own default would fall back to plain text without a word.
        None => {
            url.query_pairs_mut().append_pair("sslmode", "require");
            Some(url)
        }
        Some("require" | "verify-ca" | "verify-full") => Some(url),
        Some(_) if reader.allows_plaintext() => Some(url),
        Some(mode) => {
            reader.problem(
                variable,
                format!(
                    "sslmode={mode} to another machine may travel in plain text; use \
                     sslmode=require or better, or set ALLOW_PLAINTEXT=true if the network is yours"
                ),
            );
            None
        }
    }
}
