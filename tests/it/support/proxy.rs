//! A TCP proxy whose other side can vanish, as a database does, or fall silent, and that can be a bad
//! network.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// Bytes that a dripping proxy passes on at a time, and the pause after them.
const DROP: usize = 64;
const PAUSE: Duration = Duration::from_millis(1);

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    _task: AbortOnDropHandle<()>,
}

/// How the line is.
#[derive(Clone, Copy)]
struct Line {
    state: State,
    /// How often everything was reset.
    resets: u64,
    /// What the server says comes drop by drop.
    drips: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
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
        let (line, seen) = watch::channel(Line { state: State::Up, resets: 0, drips: false });
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
        self.line.send_modify(|line| line.state = if up { State::Up } else { State::Down });
    }

    /// Lets nothing through any more, without a word; what was under way then is lost.
    pub fn fall_silent(&self) {
        self.line.send_modify(|line| line.state = State::Silent);
    }

    /// Resets every connection as it is now (TCP RST).
    pub fn reset(&self) {
        self.line.send_modify(|line| line.resets += 1);
    }

    /// Passes on what the server says drop by drop, or as it comes.
    pub fn drip(&self, drips: bool) {
        self.line.send_modify(|line| line.drips = drips);
    }
}

async fn pass(listener: TcpListener, target: (String, u16), line: watch::Receiver<Line>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            Ok((stream, _)) = listener.accept() => {
                connections.spawn(serve(stream, target.clone(), line.clone()));
            }
        }
    }
}

async fn serve(mut client: TcpStream, target: (String, u16), mut line: watch::Receiver<Line>) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    client.set_nodelay(true).expect("a socket");
    let Line { state, resets, .. } = *line.borrow();
    if state == State::Up {
        let drips = line.clone();
        let (mut said, mut answers) = server.split();
        let (mut asked, mut hears) = client.split();
        let forth = async {
            copy(&mut asked, &mut answers).await?;
            answers.shutdown().await
        };
        tokio::select! {
            _ = async { tokio::try_join!(forth, back(&mut said, &mut hears, drips)) } => return,
            _ = line.wait_for(|line| line.state != State::Up || line.resets != resets) => {}
        }
    }
    if line.borrow().resets != resets {
        // Dropping it resets it then.
        client.set_zero_linger().expect("a socket");
        return;
    }
    // Both ends stay open as long as the silence lasts.
    let _ = line.wait_for(|line| line.state != State::Silent).await;
}

/// Passes on what the server says.
async fn back(
    said: &mut ReadHalf<'_>,
    hears: &mut WriteHalf<'_>,
    line: watch::Receiver<Line>,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = said.read(&mut buffer).await?;
        if count == 0 {
            return hears.shutdown().await;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let drips = line.borrow().drips;
            let (drop, more) = rest.split_at(if drips { DROP.min(rest.len()) } else { rest.len() });
            hears.write_all(drop).await?;
            rest = more;
            if drips {
                sleep(PAUSE).await;
            }
        }
    }
}
