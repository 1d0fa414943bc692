//! The HTTP client for addresses that users give: it goes nowhere but to the public internet.

use std::{
    error::Error as _,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use reqwest::{
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use url::{Host, Url};

use super::{
    address::is_public,
    outcome::{Answer, Outcome, REASON_MAX},
    text::one_line,
};

/// How much of an answer is read.
const BODY_MAX: usize = 16 * 1024;

/// What the client may do.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Whether `http://` is allowed besides `https://`.
    pub allow_plaintext: bool,
    /// Networks that may be reached although they are not public.
    pub allowed_networks: Vec<IpNet>,
    /// Time for name look-up, connection and TLS.
    pub connect_timeout: Duration,
    /// Time for the whole exchange.
    pub total_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow_plaintext: false,
            allowed_networks: Vec::new(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a request was not made or got no answer; no message holds the address, which may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The address cannot be used.
    #[error("the address {0}")]
    Url(&'static str),
    /// The address leads into a network that is not public.
    #[error(
        "the address leads to {0}, which is not on the public internet; an operator can allow its network"
    )]
    Refused(IpAddr),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
    /// The connection could not be made or broke.
    #[error("{0}")]
    Connection(String),
}

impl EgressError {
    /// What the failure means for the message.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Url(_) | Self::Refused(_) => Outcome::permanent(self.to_string()),
            Self::TimedOut(_) | Self::Connection(_) => Outcome::retry(self.to_string()),
        }
    }
}

/// Looks up which addresses a name has now; the next answer may be another.
pub trait Lookup: fmt::Debug + Send + Sync {
    /// The addresses of `name`, with `port`.
    fn addresses<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The operating system's own look-up.
#[derive(Debug)]
struct SystemLookup;

impl Lookup for SystemLookup {
    fn addresses<'a>(
        &'a self,
        name: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// A client that follows no redirect, uses no proxy and connects to checked addresses only.
#[derive(Clone, Debug)]
pub struct Egress {
    client: reqwest::Client,
    guard: Guard,
}

impl Egress {
    /// A client under `config`.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        Self::with_lookup(config, Arc::new(SystemLookup))
    }

    /// The same, with another way to look names up.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn with_lookup(config: EgressConfig, lookup: Arc<dyn Lookup>) -> Result<Self, EgressError> {
        let guard = Guard { config: Arc::new(config), lookup };
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(guard.clone()))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .https_only(!guard.config.allow_plaintext)
            .connect_timeout(guard.config.connect_timeout)
            .timeout(guard.config.total_timeout)
            .pool_max_idle_per_host(2)
            .user_agent(concat!("meshhook-errors/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| EgressError::Connection(described(&error)))?;
        Ok(Self { client, guard })
    }

    /// Posts a JSON text and reads at most 16 KiB of the answer.
    ///
    /// # Errors
    /// Where the address may not be reached or does not answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Answer, EgressError> {
        self.post_reading(url, headers, body, BODY_MAX).await
    }

    /// The same for answers that are read up to `most` bytes.
    ///
    /// # Errors
    /// Where the address may not be reached or does not answer.
    pub async fn post_reading(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
        most: usize,
    ) -> Result<Answer, EgressError> {
        let url = self.guard.check(url)?;
        let mut request =
            self.client.post(url).header("content-type", "application/json").body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send().await.map_err(|error| self.error(error))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        // The status has come, so a body that breaks off does not change what happened.
        while let Ok(Some(chunk)) = response.chunk().await {
            bytes.extend(chunk.iter().take(most - bytes.len()));
            if bytes.len() >= most {
                break;
            }
        }
        let body = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { status, retry_after, body })
    }

    /// Resolves the address and connects to it, without sending anything.
    ///
    /// # Errors
    /// Where the address may not be reached or does not answer.
    pub async fn probe(&self, url: &str) -> Result<SocketAddr, EgressError> {
        let url = self.guard.check(url)?;
        let port = url.port_or_known_default().ok_or(EgressError::Url("has no port"))?;
        let limit = self.guard.config.connect_timeout;
        let connect = async {
            let addresses = match url.host() {
                Some(Host::Domain(name)) => self.guard.resolve_name(name, port).await?,
                Some(Host::Ipv4(v4)) => vec![SocketAddr::new(v4.into(), port)],
                Some(Host::Ipv6(v6)) => vec![SocketAddr::new(v6.into(), port)],
                None => Vec::new(),
            };
            let stream = tokio::net::TcpStream::connect(&*addresses)
                .await
                .map_err(|error| EgressError::Connection(format!("cannot connect: {error}")))?;
            stream.peer_addr().map_err(|error| EgressError::Connection(error.to_string()))
        };
        tokio::time::timeout(limit, connect).await.map_err(|_| EgressError::TimedOut(limit))?
    }

    fn error(&self, error: reqwest::Error) -> EgressError {
        let mut cause = error.source();
        while let Some(source) = cause {
            if let Some(refused) = source.downcast_ref::<EgressError>() {
                return refused.clone();
            }
            cause = source.source();
        }
        if error.is_timeout() {
            let config = &self.guard.config;
            let limit =
                if error.is_connect() { config.connect_timeout } else { config.total_timeout };
            return EgressError::TimedOut(limit);
        }
        EgressError::Connection(described(&error.without_url()))
    }
}

/// Decides where the client may go; the same rules hold for names and for literal addresses.
///
/// A name is looked up once per connection, and the connection is made to the very addresses that were
/// judged: a name that answers differently a moment later (DNS rebinding) changes nothing.
#[derive(Clone, Debug)]
struct Guard {
    config: Arc<EgressConfig>,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    fn check(&self, url: &str) -> Result<Url, EgressError> {
        let url = Url::parse(url.trim()).map_err(|_| EgressError::Url("is not a URL"))?;
        match url.scheme() {
            "https" => {}
            "http" if self.config.allow_plaintext => {}
            _ => return Err(EgressError::Url("must begin with https://")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EgressError::Url("must not hold a user name or password"));
        }
        // The client asks the resolver for names only, so literal addresses are judged here.
        match url.host() {
            Some(Host::Ipv4(v4)) => self.allow(v4.into())?,
            Some(Host::Ipv6(v6)) => self.allow(v6.into())?,
            Some(Host::Domain(_)) => {}
            None => return Err(EgressError::Url("has no host")),
        }
        Ok(url)
    }

    fn allow(&self, address: IpAddr) -> Result<(), EgressError> {
        let listed = |net: &IpNet| net.contains(&address) || net.contains(&address.to_canonical());
        if is_public(address) || self.config.allowed_networks.iter().any(listed) {
            Ok(())
        } else {
            Err(EgressError::Refused(address))
        }
    }

    /// The addresses of a name that may be reached.
    async fn resolve_name(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let found = self
            .lookup
            .addresses(name, port)
            .await
            .map_err(|error| EgressError::Connection(format!("name look-up: {error}")))?;
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.allow(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => refused = Some(error),
            }
        }
        match (allowed.is_empty(), refused) {
            (false, _) => Ok(allowed),
            (true, Some(error)) => Err(error),
            (true, None) => Err(EgressError::Connection("the name has no address".to_owned())),
        }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let addresses = guard.resolve_name(name.as_str(), 0).await?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// An error with its causes, on one line and without the address.
fn described(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    one_line(&text, REASON_MAX)
}
