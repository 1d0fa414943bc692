//! What one instance is set up with.

use std::time::Duration;

use super::{pulse, reconcile};
use crate::{
    cli::wiring,
    config::{
        Api, Credentials, Database, Environment, Feed, Http, Instance, Notify as NotifyConfig,
        Problems, Supabase, Upkeep,
    },
    http::Patience,
    model::Span,
    realtime::Timing,
    retention,
    system::Limits,
};

/// Everything `run` reads from the environment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Postgres.
    pub database: Database,
    /// PostgREST and Realtime.
    pub supabase: Supabase,
    /// What tokens are made from.
    pub credentials: Credentials,
    /// How messages get out.
    pub notify: NotifyConfig,
    /// The daemon's own server.
    pub http: Http,
    /// Who may call its API.
    pub api: Api,
    /// How often the table is read.
    pub feed: Feed,
    /// Which instance this is.
    pub instance: Instance,
    /// What it does beside.
    pub upkeep: Upkeep,
    /// Every wait of the socket; not read from the environment.
    pub socket: Timing,
    /// How often counts are compared with the table; not read from the environment.
    pub reconcile_every: Duration,
    /// How often old rows are deleted; not read from the environment.
    pub prune_every: Duration,
    /// How often the dead man's ping goes out; not read from the environment.
    pub ping_every: Duration,
    /// How long the tracker's own conditions must hold; not read from the environment.
    pub system: Limits,
    /// What slow clients may take of its own server; not read from the environment.
    pub patience: Patience,
    /// The life of the daemon's own tokens; not read from the environment.
    pub token_life: Span,
}

impl Settings {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn read(environment: &Environment) -> Result<Self, Problems> {
        let mut reader = environment.reader();
        let database = Database::read(&mut reader);
        let supabase = Supabase::read(&mut reader);
        let credentials = Credentials::read(&mut reader);
        let notify = NotifyConfig::read(&mut reader);
        let http = Http::read(&mut reader);
        let api = Api::read(&mut reader);
        let feed = Feed::read(&mut reader);
        let instance = Instance::read(&mut reader);
        let upkeep = Upkeep::read(&mut reader);
        let all = (|| {
            Some(Self {
                database: database?,
                supabase: supabase?,
                credentials: credentials?,
                notify: notify?,
                http: http?,
                api: api?,
                feed: feed?,
                instance: instance?,
                upkeep: upkeep?,
                socket: Timing::default(),
                reconcile_every: reconcile::EVERY,
                prune_every: retention::EVERY,
                ping_every: pulse::EVERY,
                system: Limits::default(),
                patience: Patience::default(),
                token_life: wiring::DAEMON_TOKEN_LIFE,
            })
        })();
        reader.finish(all)
    }
}
