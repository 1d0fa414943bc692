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
    if url.scheme() != plain && url.scheme() != secure {
        let text = format!("must begin with {secure}://, not with {}:", url.scheme());
        reader.problem(variable, text);
        return None;
    }
    if url.host_str().is_none_or(str::is_empty) {
        reader.problem(variable, format!("must name a host behind {secure}://"));
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

/// A Postgres address whose way is settled.
pub(super) struct DatabaseAddress {
    pub url: Url,
    /// Whether the connection leaves this machine encrypted, but to a server that nobody verifies.
    pub unverified: bool,
}

/// Reads a Postgres address and settles its TLS mode: `require` at least, except on this machine.
pub(super) fn database(
    reader: &mut Reader<'_>,
    variable: &'static Variable,
) -> Option<DatabaseAddress> {
    let text = reader.required(variable)?;
    let url = match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => url,
        _ => {
            reader.problem(
                variable,
                "must be an address as in postgres://error_daemon:password@host:5432/postgres, with what is \
                 special in the password written as in URLs (@ as %40)",
            );
            return None;
        }
    };
    match one_host(&url) {
        Ok(local) => settle_tls(reader, variable, url, local),
        Err(text) => {
            reader.problem(variable, text);
            None
        }
    }
}

/// Whether the address leads to this machine, provided that it says where it leads once and in one
/// place: the driver takes the last of what the query says, and that before what stands ahead of it.
fn one_host(url: &Url) -> Result<bool, String> {
    let mut seen = Vec::new();
    let mut socket = false;
    for (name, value) in url.query_pairs() {
        let name = name.replace('-', "");
        if seen.contains(&name) {
            return Err(format!("says {name} twice; leave one of them out"));
        }
        match name.as_str() {
            "host" if value.starts_with('/') && url.host_str().is_none_or(str::is_empty) => {
                socket = true;
            }
            "host" | "hostaddr" => {
                return Err(format!("must name its host before the path, not as ?{name}="));
            }
            "port" => return Err("must name its port behind the host, not as ?port=".to_owned()),
            _ => {}
        }
        seen.push(name);
    }
    // Without a host, the driver would look for one in variables of its own.
    if !socket && url.host_str().is_none_or(str::is_empty) {
        return Err(
            "must name a host, as in postgres://user:password@host:5432/postgres".to_owned()
        );
    }
    Ok(socket || host_is_loopback(url))
}

fn settle_tls(
    reader: &mut Reader<'_>,
    variable: &'static Variable,
    mut url: Url,
    local: bool,
) -> Option<DatabaseAddress> {
    let mode = url
        .query_pairs()
        .find(|(name, _)| matches!(&**name, "sslmode" | "ssl-mode"))
        .map(|(_, mode)| mode.into_owned());
    if local {
        return Some(DatabaseAddress { url, unverified: false });
    }
    match mode.as_deref() {
        // The driver's own default would fall back to plain text without a word.
        None if !reader.allows_plaintext() => {
            url.query_pairs_mut().append_pair("sslmode", "require");
        }
        Some("verify-ca" | "verify-full") => {
            return Some(DatabaseAddress { url, unverified: false });
        }
        Some(mode) if mode != "require" && !reader.allows_plaintext() => {
            reader.problem(
                variable,
                format!(
                    "sslmode={mode} to another machine may travel in plain text; use \
                     sslmode=require or better, or set ALLOW_PLAINTEXT=true if the network is yours"
                ),
            );
            return None;
        }
        _ => {}
    }
    Some(DatabaseAddress { url, unverified: true })
}
