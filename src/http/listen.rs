//! Takes connections, as many as there is room for, and none for longer than its client keeps it busy.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// What slow clients may take of the server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Connections at one time; more wait in the listener's queue.
    pub connections: usize,
    /// From a connection's begin, or its last answer, to the end of the next request's head.
    pub head: Duration,
    /// For as long a client may refuse to take more of its answer.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connections: 256, head: Duration::from_secs(10), write: Duration::from_secs(30) }
    }
}

/// Serves `router` to every connection until `cancel`, then lets requests that are under way end.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    patience: Patience,
    cancel: CancellationToken,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(patience.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((permit, listener.accept().await))
        };
        let (permit, accepted) = tokio::select! {
            () = cancel.cancelled() => break,
            next = next => next?,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, cancel) = (router.clone(), cancel.clone());
                connections.spawn(async move {
                    one(stream, peer, router, patience, cancel).await;
                    drop(permit);
                });
            }
            // The client went away before it was served, or there are no file descriptors at the
            // moment; neither is a reason to end, and the latter none to ask again at once.
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Serves one connection. How it ends is its client's affair.
async fn one(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    patience: Patience,
    cancel: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(patience.write));
    let answer = move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let request: Request = request.map(Body::new);
        let answered = router.clone().oneshot(request);
        async move { Ok::<Response, Infallible>(answered.await.unwrap_or_else(|e| match e {})) }
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience.head)
        .keep_alive_timeout(patience.head);
    let connection = builder.serve_connection(TokioIo::new(Box::pin(stream)), service_fn(answer));
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
