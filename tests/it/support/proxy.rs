//! A TCP proxy whose other side can vanish, as a database does, or fall silent.

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
    line: watch::Sender<Line>,
    _task: AbortOnDropHandle<()>,
}

/// How the line is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Up,
    /// Every connection is cut.
    Down,
    /// Connections stay, new ones are made, and nothing comes through.
    Silent,
}

impl Proxy {
    /// Passes on to the host and port of `url`.
    pub async fn to(url: &Url) -> Self {
        let target = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (line, seen) = watch::channel(Line::Up);
        let task = tokio::spawn(pass(listener, target, seen));
        Self { address, line, _task: AbortOnDropHandle::new(task) }
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
        self.line.send_replace(if up { Line::Up } else { Line::Down });
    }

    /// Lets nothing through any more, without a word; what was under way then is lost.
    pub fn fall_silent(&self) {
        self.line.send_replace(Line::Silent);
    }
}

async fn pass(listener: TcpListener, target: (String, u16), line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((mut stream, _)) = listener.accept() => {
                let (target, mut line) = (target.clone(), line.clone());
                connections.spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else { return };
                    if *line.borrow() == Line::Up {
                        tokio::select! {
                            _ = copy_bidirectional(&mut stream, &mut server) => return,
                            _ = line.wait_for(|line| *line != Line::Up) => {}
                        }
                    }
                    // Both ends stay open as long as the silence lasts.
                    let _ = line.wait_for(|line| *line != Line::Silent).await;
                });
            }
        }
    }
}
