//! A TCP proxy whose other side can vanish, as a database does.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    up: watch::Sender<bool>,
    _task: AbortOnDropHandle<()>,
}

impl Proxy {
    /// Passes on to the host and port of `url`.
    pub async fn to(url: &Url) -> Self {
        let target = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (up, seen) = watch::channel(true);
        let task = tokio::spawn(pass(listener, target, seen));
        Self { address, up, _task: AbortOnDropHandle::new(task) }
    }

    /// `url` through this proxy.
    pub fn through(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_ip_host(self.address.ip()).expect("a host");
        url.set_port(Some(self.address.port())).expect("a port");
        url
    }

    /// Cuts every connection and takes no new one, or takes them again.
    pub fn set_up(&self, up: bool) {
        self.up.send_replace(up);
    }
}

async fn pass(listener: TcpListener, target: (String, u16), up: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((mut stream, _)) = listener.accept() => {
                let (target, mut up) = (target.clone(), up.clone());
                connections.spawn(async move {
                    if !*up.borrow() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut stream, &mut server) => {}
                        _ = up.wait_for(|up| !up) => {}
                    }
                });
            }
        }
    }
}
