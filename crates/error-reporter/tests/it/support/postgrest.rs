//! Speaks HTTP by hand, because a server library would not break a connection on request.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What happens instead of an answer.
#[derive(Clone, Debug)]
pub enum Fault {
    Status(u16, Value),
    Header(u16, &'static str, &'static str),
    Hang,
    Reset,
}

/// A refusal of one row, which in one statement costs all of them.
pub type Refuse = Box<dyn Fn(&Value) -> Option<(u16, Value)> + Send>;

#[derive(Default)]
pub struct State {
    pub rows: HashMap<String, Value>,
    /// Rows that arrived although they were there already.
    pub repeated: usize,
    pub requests: Vec<(Instant, String)>,
    /// Answered first, one each.
    pub faults: VecDeque<Fault>,
    /// Answered as long as it is set.
    pub fault: Option<Fault>,
    pub refuse: Option<Refuse>,
    pub token: Option<String>,
}

pub struct Postgrest {
    pub state: Arc<Mutex<State>>,
    port: u16,
    stop: CancellationToken,
    tasks: TaskTracker,
}

const COLUMNS: [&str; 9] = [
    "error_id",
    "error_type",
    "message",
    "metadata",
    "project_id",
    "severity",
    "source",
    "timestamp",
    "workflow_id",
];

impl Postgrest {
    pub async fn start() -> Self {
        Self::on(0).await
    }

    /// On a port that was just given up, binding may have to wait for the last connection to go.
    pub async fn on(port: u16) -> Self {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        };
        let port = listener.local_addr().unwrap().port();
        let server = Self {
            state: Arc::default(),
            port,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (state, stop, tasks) =
            (Arc::clone(&server.state), server.stop.clone(), server.tasks.clone());
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, stop) = (Arc::clone(&state), stop.clone());
                tasks.spawn(async move { stop.run_until_cancelled(serve(stream, &state)).await });
            }
        };
        let stop = server.stop.clone();
        server.tasks.spawn(async move { stop.run_until_cancelled(accept).await });
        server
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// As a machine that goes down: connections break, the port is closed.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    pub fn rows(&self) -> Vec<Value> {
        self.with(|state| state.rows.values().cloned().collect())
    }

    pub fn count(&self) -> usize {
        self.with(|state| state.rows.len())
    }
}

impl Drop for Postgrest {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    while let Some((head, body)) = read(&mut stream).await {
        let (answer, wait) = match answer(&head, &body, state) {
            Ok(answer) => answer,
            // Closed with unread bytes, a socket is reset and not shut down.
            Err(Fault::Reset) => return,
            Err(_) => std::future::pending().await,
        };
        sleep(wait).await;
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = header(&head, "content-length").and_then(|text| text.parse().ok());
            let (start, length): (usize, usize) = (end + 4, length.unwrap_or(0));
            if bytes.len() >= start + length {
                return Some((head, bytes[start..start + length].to_vec()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

fn answer(head: &str, body: &[u8], state: &Mutex<State>) -> Result<(String, Duration), Fault> {
    let rows: Vec<Value> = serde_json::from_slice(body).unwrap();
    let mut state = state.lock().unwrap();
    state.requests.push((Instant::now(), head.to_owned()));
    let text = |status: u16, more: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{more}content-length: {length}\r\n\r\n{body}")
    };
    let fault = state.faults.pop_front().or_else(|| state.fault.clone());
    let fault = fault.or_else(|| refusal(head, &rows, &state));
    match fault {
        Some(Fault::Status(status, body)) => {
            return Ok((text(status, "", &body.to_string()), Duration::ZERO));
        }
        Some(Fault::Header(status, name, value)) => {
            return Ok((text(status, &format!("{name}: {value}\r\n"), "{}"), Duration::ZERO));
        }
        Some(fault) => return Err(fault),
        None => {}
    }
    for row in rows {
        let id = row["error_id"].as_str().unwrap().to_owned();
        if state.rows.insert(id, row).is_some() {
            state.repeated += 1;
        }
    }
    Ok((text(201, "preference-applied: return=minimal\r\n", ""), Duration::ZERO))
}

fn refusal(head: &str, rows: &[Value], state: &State) -> Option<Fault> {
    if let Some(token) = &state.token
        && header(head, "authorization") != Some(format!("Bearer {token}"))
    {
        return Some(Fault::Status(401, json!({ "code": "PGRST301" })));
    }
    // PostgREST refuses rows whose keys differ from those of the first.
    let odd = |row: &Value| row.as_object().unwrap().keys().ne(COLUMNS);
    if rows.iter().any(odd) {
        return Some(Fault::Status(400, json!({ "code": "PGRST102" })));
    }
    let refuse = state.refuse.as_ref()?;
    rows.iter().find_map(refuse).map(|(status, body)| Fault::Status(status, body))
}
