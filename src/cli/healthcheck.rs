//! `healthcheck`: asks the instance on this machine how it is, for containers without a shell.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use crate::{
    config::{Environment, Http},
    error::Error,
};

/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ask the instance that HTTP_LISTEN names whether it lives; exit status 1 if it does not.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Ask whether it does its part, as leader or standby, and not only whether it lives.
    #[arg(long)]
    ready: bool,
}

pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    let mut reader = environment.reader();
    let http = Http::read(&mut reader);
    let http = reader.finish(http)?;
    let path = if arguments.ready { "readyz" } else { "healthz" };
    let address = format!("http://{}/{path}", reachable(http.listen));
    // A proxy of the environment must not answer for this machine.
    let client =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().map_err(|error| {
            Error::unavailable("the HTTP client", error, "look at the limits of this user")
        })?;
    let answer = client.get(&address).send().await.map_err(|error| {
        let todo = "start `meshhook-errors run`, or set HTTP_LISTEN as it has it";
        Error::unavailable("the instance's HTTP server", error.without_url(), todo)
    })?;
    if answer.status().is_success() {
        return Ok(());
    }
    let status = answer.status();
    let reasons = answer.text().await.unwrap_or_default();
    Err(Error::failed(format!("{path} answers {status}: {}", reasons.trim())))
}

/// Where to knock: a server that listens on every address is asked by loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_address_is_asked_by_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(super::reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
