//! Starting, stopping and addressing one server.

use std::{
    fs::File,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use tokio::time::{Instant, sleep};

use super::{
    Binaries, ClusterOptions, Lifetime, PostgresError, database,
    embedded::copy_native,
    guardian::{Guardian, Stop},
    identity::Identity,
    layout::Layout,
    left_over::end_left_over,
    options::server_arguments,
    program::run,
};

/// A first start after a crash replays the log, which takes longer than any other.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How often a starting server is tried.
const TRY_EVERY: Duration = Duration::from_millis(15);

/// A running PostgreSQL server that stops with its owner.
///
/// Dropping it starts the shutdown without waiting for its end; [`Cluster::stop`] waits.
#[derive(Debug)]
pub struct Cluster {
    guardian: Option<Guardian>,
    binaries: Binaries,
    identity: Identity,
    layout: Layout,
    lifetime: Lifetime,
    fsync: bool,
    port: u16,
    password: String,
    /// Held for as long as we live, so that two processes never share a folder.
    _lock: File,
}

impl Cluster {
    /// Starts a server, after `initdb` and the Supabase-like roles when the folder is new.
    ///
    /// # Errors
    /// Everything in [`PostgresError`]; a half-made folder is made anew at the next start.
    pub async fn start(options: ClusterOptions) -> Result<Self, PostgresError> {
        let ClusterOptions { data_dir, binaries, port, lifetime, fsync } = options;
        let identity = Identity::decide()?;
        let layout = Layout::prepare(&data_dir, &identity)?;
        let lock = layout.lock()?;
        let binaries = reachable_binaries(binaries, &identity, &layout)?;
        let password = layout.password(&identity)?;
        let mut cluster = Self {
            guardian: None,
            binaries,
            identity,
            layout,
            lifetime,
            fsync,
            port,
            password,
            _lock: lock,
        };
        match cluster.bring_up().await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // The first error is the one to tell; leftovers of a failed start are removed.
                let _ = cluster.stop().await;
                Err(error)
            }
        }
    }

    async fn bring_up(&mut self) -> Result<(), PostgresError> {
        if let Some(folder) = self.layout.version() {
            if folder != self.binaries.major_version().to_string() {
                let dir = self.layout.area().to_owned();
                let binaries = self.binaries.major_version();
                return Err(PostgresError::FolderVersion { dir, folder, binaries });
            }
            end_left_over(&self.binaries, &self.identity, &self.layout.data()).await?;
            return self.launch().await;
        }
        self.init().await?;
        self.launch().await?;
        database::initialise(self).await?;
        let ready = self.layout.ready();
        std::fs::write(&ready, "").map_err(PostgresError::io("write", &ready))
    }

    /// Runs `initdb`. Passwords go over loopback only, so the server checks them in clear: hashing
    /// on both sides would cost every connection of an unoptimised build some 30 ms.
    async fn init(&self) -> Result<(), PostgresError> {
        let data = self.layout.data();
        if data.exists() {
            end_left_over(&self.binaries, &self.identity, &self.layout.data()).await?;
            std::fs::remove_dir_all(&data).map_err(PostgresError::io("remove", &data))?;
        }
        let mut command = self.identity.command(self.binaries.program("initdb"));
        self.binaries.environment(&mut command);
        command.arg("-D").arg(&data);
        command.args(["-U", database::SUPERUSER, "-E", "UTF8", "--locale=C", "--auth=password"]);
        command.arg(format!("--pwfile={}", self.layout.password_file().display()));
        // What is lost before the cluster is ready is made anew anyway.
        command.arg("--no-sync");
        run("initdb", command).await
    }

    /// Starts the server on the existing folder and waits until it takes connections.
    async fn launch(&mut self) -> Result<(), PostgresError> {
        // A port found free can be taken before the server binds it, so there are a few tries.
        let tries = if self.port == 0 { 4 } else { 1 };
        let wanted = self.port;
        let mut last = PostgresError::Start("no free port".to_owned());
        for _ in 0..tries {
            self.port = if wanted == 0 { free_port()? } else { wanted };
            let arguments = server_arguments(&self.layout.data(), self.port, self.fsync);
            let guardian = Guardian::spawn(
                &self.binaries,
                &self.identity,
                &self.layout,
                self.lifetime,
                &arguments,
            )?;
            match self.wait_ready(guardian).await {
                Ok(guardian) => {
                    self.guardian = Some(guardian);
                    return Ok(());
                }
                Err(error) => last = error,
            }
        }
        self.port = wanted;
        Err(last)
    }

    async fn wait_ready(&self, mut guardian: Guardian) -> Result<Guardian, PostgresError> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let attempt = async {
                sleep(TRY_EVERY).await;
                self.options(database::SUPERUSER, "postgres").connect().await
            };
            let refused = tokio::select! {
                biased;
                connected = attempt => match connected {
                    Ok(_) => return Ok(guardian),
                    Err(error) => error,
                },
                () = guardian.exited() => {
                    guardian.stop(Stop::Fast).await?;
                    return Err(PostgresError::Start(self.layout.last_log()));
                }
            };
            if Instant::now() > deadline {
                guardian.stop(Stop::Immediate).await?;
                return Err(PostgresError::Start(format!(
                    "no connection within {} s: {refused}",
                    START_WITHIN.as_secs()
                )));
            }
        }
    }

    /// How to log in as one of the roles with a password.
    pub(super) fn options(&self, user: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(user)
            .password(&self.password)
            .database(database)
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
            .application_name("supabase-local")
            .disable_statement_logging()
    }

    /// The address with which a login role (`supabase_admin`, `postgres`, `authenticator`, …)
    /// reaches a database; it contains the password, so it must not be logged.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// [`Cluster::url`] for the superuser.
    #[must_use]
    pub fn admin_url(&self, database: &str) -> String {
        self.url(database::SUPERUSER, database)
    }

    /// The random password of the login roles, for roles that migrations create.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The TCP port on 127.0.0.1; it can change at a restart after which it was taken.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's major version, such as 17.
    #[must_use]
    pub fn major_version(&self) -> u16 {
        self.binaries.major_version()
    }

    /// The folder that holds everything of this cluster.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.layout.area()
    }

    /// The server's log file.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.layout.log()
    }

    /// Stops the server, waits for its end, and removes the folder of a temporary cluster.
    ///
    /// # Errors
    /// When it does not end within 12 s or its folder cannot be removed.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        if let Some(guardian) = self.guardian.take() {
            guardian.stop(Stop::Finish).await?;
        }
        let area = self.layout.area();
        // The guardian runs without privileges and may not have been allowed to remove it.
        if self.lifetime == Lifetime::Temporary && area.exists() {
            std::fs::remove_dir_all(area).map_err(PostgresError::io("remove", area))?;
        }
        Ok(())
    }

    /// Ends the server as a crash would; [`Cluster::restart`] brings it back.
    ///
    /// # Errors
    /// When it does not end within 12 s.
    pub async fn stop_immediate(&mut self) -> Result<(), PostgresError> {
        match self.guardian.take() {
            Some(guardian) => guardian.stop(Stop::Immediate).await,
            None => Ok(()),
        }
    }

    /// Stops the server if it runs and starts it again on the same folder and port.
    ///
    /// # Errors
    /// As [`Cluster::start`]; the server is then down and may be restarted again.
    pub async fn restart(&mut self) -> Result<(), PostgresError> {
        if let Some(guardian) = self.guardian.take() {
            guardian.stop(Stop::Fast).await?;
        }
        end_left_over(&self.binaries, &self.identity, &self.layout.data()).await?;
        self.launch().await
    }
}

impl Drop for Cluster {
    /// A running server is stopped by its guardian, which also removes a temporary folder; after
    /// [`Cluster::stop_immediate`] there is no guardian any more.
    fn drop(&mut self) {
        if self.guardian.is_none() && self.lifetime == Lifetime::Temporary {
            // Nobody is left to tell, and the folder is in the system's temporary one.
            let _ = std::fs::remove_dir_all(self.layout.area());
        }
    }
}

/// Copies embedded binaries into the cluster's folder when its user could not reach them.
fn reachable_binaries(
    binaries: Binaries,
    identity: &Identity,
    layout: &Layout,
) -> Result<Binaries, PostgresError> {
    if identity.can_enter(binaries.dir()) {
        return Ok(binaries);
    }
    let Some(native) = &binaries.native else {
        let (user, dir) = (identity.name().to_owned(), binaries.dir().to_owned());
        return Err(PostgresError::Unreachable { user, dir });
    };
    let target = layout.server();
    copy_native(native, &target)?;
    Binaries::at(target.join("bin"), Some(target))
}

fn free_port() -> Result<u16, PostgresError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(PostgresError::io("find a free port on", Path::new("127.0.0.1")))
}
