//! A way to a server that can be cut, and that can lose answers after the server gave them.
//! Knows nothing of HTTP but that a server that sends something has done its work.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Listens on a port of its own and passes everything on to another.
pub struct Front {
    pub port: u16,
    to: u16,
    /// How many answers are to be lost.
    lose: Arc<AtomicUsize>,
    /// How many were.
    pub lost: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Front {
    pub async fn start(to: u16) -> Self {
        let mut front = Self {
            port: 0,
            to,
            lose: Arc::default(),
            lost: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        front.open().await;
        front
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next so many answers are not passed on: their connections break instead.
    pub fn lose(&self, answers: usize) {
        self.lose.fetch_add(answers, Ordering::AcqRel);
    }

    /// As a machine that goes down: connections break in whatever they do, the port is closed.
    pub async fn cut(&mut self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        (self.stop, self.tasks) = (CancellationToken::new(), TaskTracker::new());
    }

    /// Listens, on the same port as before a cut.
    pub async fn open(&mut self) {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", self.port)).await {
                Ok(listener) => break listener,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        self.port = listener.local_addr().unwrap().port();
        let (lose, lost, to) = (Arc::clone(&self.lose), Arc::clone(&self.lost), self.to);
        let (stop, tasks) = (self.stop.clone(), self.tasks.clone());
        let accept = async move {
            while let Ok((client, _)) = listener.accept().await {
                let (lose, lost, stop) = (Arc::clone(&lose), Arc::clone(&lost), stop.clone());
                tasks.spawn(async move {
                    // A connection that is dropped so is reset, and what was on its way is lost.
                    client.set_zero_linger().ok();
                    let pass = pass_on(client, to, &lose, &lost);
                    stop.run_until_cancelled(pass).await;
                });
            }
        };
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(accept).await });
    }
}

async fn pass_on(
    client: TcpStream,
    to: u16,
    lose: &AtomicUsize,
    lost: &AtomicUsize,
) -> io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let back = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let read = from_server.read(&mut buffer).await?;
            let one_less = |left: usize| left.checked_sub(1);
            if read > 0 && lose.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less).is_ok()
            {
                lost.fetch_add(1, Ordering::AcqRel);
                return Ok(());
            }
            let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
                return Ok(());
            };
            to_client.write_all(part).await?;
        }
    };
    tokio::select! { done = there => done, done = back => done }
}
