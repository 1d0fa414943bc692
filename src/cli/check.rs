//! `check`: goes through a deployment line by line and says what to do about each failure.

mod realtime;

use std::{fmt::Display, sync::Arc, time::Duration};

use clap::Args;
use serde_json::{Value, json};

use super::{advice, reconcile, wiring};
use crate::{
    clock::Clock,
    config::{
        Api, Credentials, Database, Environment, Feed, Http, Instance, Notify, Problems, Reader,
        Reporter, Supabase, Upkeep,
    },
    error::Error,
    model::Timestamp,
    notify::probe,
    rest::Select,
    store::{Db, channels::Channel, diagnose},
};

/// How long one question to the database may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// What lets a Realtime with a login of few rights hear for us.
const REALTIME_LOGIN: &str = "should Realtime log in by that role: grant error_daemon to \
    supabase_realtime_admin, or where that is refused, to service_role";

/// What to do about a variable.
const VARIABLE: &str = "write it as .env.example shows it";

/// What sslmode=require leaves open.
const UNVERIFIED: &str = "the connection is encrypted, but nobody verified whose server it is; \
    sslmode=verify-full&sslrootcert=FILE in DATABASE_URL does (a hosted project's certificate is on \
    its database settings page)";

/// Diagnose a deployment line by line; the exit status is 1 if anything failed.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Leave out the channels.
    #[arg(long)]
    no_channels: bool,
    /// Instead, compare minutes, hours and groups with the table of errors between two times.
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"], value_parser = reconcile::time)]
    reconcile: Option<Vec<Timestamp>>,
    /// Answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Prints lines, or keeps them for one answer in JSON, and remembers whether all were well.
#[derive(Default)]
struct Report {
    as_json: bool,
    lines: Vec<Value>,
    failed: u32,
}

impl Report {
    fn ok(&mut self, what: &str, detail: impl Display) {
        self.line("ok", what, &detail.to_string(), "");
    }

    fn note(&mut self, what: &str, detail: impl Display) {
        self.line("note", what, &detail.to_string(), "");
    }

    fn fail(&mut self, what: &str, detail: impl Display, todo: &str) {
        self.failed += 1;
        self.line("FAIL", what, &detail.to_string(), todo);
    }

    /// What the configuration makes impossible is named by its variables.
    fn refuse(&mut self, what: &str, error: Error, todo: &str) {
        match error {
            Error::Configuration(Problems(problems)) => {
                for problem in problems {
                    self.fail(problem.variable, problem.text, VARIABLE);
                }
            }
            error => self.fail(what, error, todo),
        }
    }

    fn line(&mut self, state: &str, what: &str, detail: &str, todo: &str) {
        if self.as_json {
            let todo = Some(todo).filter(|todo| !todo.is_empty());
            let state = state.to_lowercase();
            self.lines.push(json!({"state": state, "what": what, "detail": detail, "todo": todo}));
            return;
        }
        println!("{state:<5} {what}: {detail}");
        if !todo.is_empty() {
            println!("      → {todo}");
        }
    }

    fn expect(&mut self, what: &str, good: bool, detail: &str, todo: &str) {
        if good { self.ok(what, detail) } else { self.fail(what, format!("not {detail}"), todo) }
    }
}

pub async fn execute(arguments: Arguments, environment: &Environment) -> Result<(), Error> {
    if let Some([from, to]) = arguments.reconcile.as_deref() {
        return reconcile::execute(*from, *to, arguments.json, environment).await;
    }
    let mut report = Report { as_json: arguments.json, ..Report::default() };
    let clock = Clock::system();
    let database = section(&mut report, environment, Database::read);
    let supabase = section(&mut report, environment, Supabase::read);
    let credentials = section(&mut report, environment, Credentials::read);
    let notify = section(&mut report, environment, Notify::read);
    let upkeep = section(&mut report, environment, Upkeep::read);
    section(&mut report, environment, |reader| {
        Some((Http::read(reader), Api::read(reader), Feed::read(reader), Instance::read(reader)))
    });
    if report.failed == 0 {
        report.ok("variables", "every one that is set can be read");
    }
    let db = match &database {
        Some(config) => check_database(&mut report, config).await,
        None => None,
    };
    if let (Some(supabase), Some(credentials)) = (&supabase, &credentials) {
        check_rest(&mut report, supabase, credentials, &clock).await;
        realtime::check(&mut report, supabase, credentials, db.as_ref(), &clock).await;
    }
    if let (Some(db), Some(notify), false) = (&db, &notify, arguments.no_channels) {
        let told = upkeep.and_then(|upkeep| upkeep.system_channels).unwrap_or_default();
        check_channels(&mut report, db, notify, &told, &clock).await;
    }
    if report.as_json {
        println!("{}", json!({"failed": report.failed, "checks": report.lines}));
    }
    if report.failed > 0 {
        return Err(Error::failed(format!(
            "{} of the checks failed; what to do stands below each",
            report.failed
        )));
    }
    Ok(())
}

/// Reads one section on its own, so that a problem with one hides none with another.
fn section<T>(
    report: &mut Report,
    environment: &Environment,
    read: impl Fn(&mut Reader<'_>) -> Option<T>,
) -> Option<T> {
    let mut reader = environment.reader();
    let value = read(&mut reader);
    match reader.finish(value) {
        Ok(value) => Some(value),
        Err(problems) => {
            report.refuse("variables", problems.into(), VARIABLE);
            None
        }
    }
}

async fn check_database(report: &mut Report, config: &Database) -> Option<Db> {
    let db = match wiring::database(config) {
        Ok(db) => db,
        Err(error) => {
            report.refuse("database", error, VARIABLE);
            return None;
        }
    };
    match diagnose::login(&db, TIME_LIMIT).await {
        Ok(login) => {
            let tls = if login.encrypted { "with TLS" } else { "without TLS" };
            report.ok("database", format!("PostgreSQL {} as {} {tls}", login.major, login.role));
            report.expect(
                "login role",
                login.role == "error_daemon",
                "error_daemon",
                "log in as error_daemon, which has no more rights than it needs",
            );
            if login.encrypted && config.unverified {
                report.note("database certificate", UNVERIFIED);
            }
        }
        Err(error) => {
            report.fail("database", advice::reason(&error), advice::database(&error));
            return None;
        }
    }
    match diagnose::missing_tables(&db, TIME_LIMIT).await {
        Ok(missing) if missing.is_empty() => report.ok("migrations", "every table is there"),
        Ok(missing) => {
            let todo = "apply supabase/migrations, for instance by supabase db push";
            report.fail("migrations", format!("missing {}", missing.join(", ")), todo);
            return Some(db);
        }
        Err(error) => report.fail("migrations", &error, advice::database(&error)),
    }
    match diagnose::unpublished(&db, TIME_LIMIT).await {
        Ok(missing) if missing.is_empty() => {
            report.ok("publication", "supabase_realtime is complete")
        }
        Ok(missing) => report.fail(
            "publication",
            format!("supabase_realtime lacks {}", missing.join(", ")),
            "apply the last migration again, or alter publication supabase_realtime add table …",
        ),
        Err(error) => report.fail("publication", &error, advice::database(&error)),
    }
    check_rights(report, &db).await;
    check_instances(report, &db).await;
    Some(db)
}

async fn check_rights(report: &mut Report, db: &Db) {
    let rights = match diagnose::rights(db, TIME_LIMIT).await {
        Ok(rights) => rights,
        Err(error) => return report.fail("rights", error, "apply the migrations again"),
    };
    let again = "apply the migrations again; they grant error_daemon exactly what it needs";
    let needed = rights.reads_events && rights.leads && rights.notifies && rights.reads_numbers;
    report.expect("rights", needed, "enough to count, lead and notify", again);
    let narrow = !rights.reads_metadata && !rights.deletes_events;
    report.expect("least privilege", narrow, "without access to metadata, without deleting", again);
    report.expect(
        "row-level security",
        rights.sees_every_row,
        "letting the daemon see every row",
        "the policy tracker_daemon on error_metrics is missing; apply the migrations again",
    );
    let may = |login: &str| !rights.cannot_switch.iter().any(|name| name == login);
    report.expect(
        "role switch",
        may("authenticator"),
        "granted to authenticator",
        "grant error_daemon, error_reporter to authenticator",
    );
    if !may("supabase_realtime_admin") {
        // Most servers log in by another role, to which this is no matter: the canary decides.
        report.note(
            "role switch",
            format!("supabase_realtime_admin may not become error_daemon; {REALTIME_LOGIN}"),
        );
    }
}

async fn check_instances(report: &mut Report, db: &Db) {
    match diagnose::instances(db, TIME_LIMIT).await {
        Ok(instances) => {
            let alive: Vec<_> = instances.iter().filter(|i| i.silent_seconds < 30.0).collect();
            let leader = alive.iter().find(|instance| instance.leader);
            match leader {
                Some(leader) => report.ok(
                    "daemon",
                    format!("{} leads, {} instances are alive", leader.name, alive.len()),
                ),
                None => report.note("daemon", "no instance leads at the moment"),
            }
        }
        Err(error) => report.fail("daemon", &error, advice::database(&error)),
    }
}

async fn check_rest(
    report: &mut Report,
    supabase: &Supabase,
    credentials: &Credentials,
    clock: &Clock,
) {
    let todo =
        "check SUPABASE_URL (or SUPABASE_REST_URL), SUPABASE_ANON_KEY and the JWT secret or key";
    let client = wiring::reporter_client(
        supabase,
        &Reporter { token: None },
        Some(credentials),
        None,
        clock.clone(),
    );
    let client = match client {
        Ok(client) => client,
        Err(error) => return report.refuse("PostgREST", error, todo),
    };
    let select =
        Select { table: "error_metrics", columns: "error_id", filters: &[], order: "", limit: 1 };
    match client.select(&select).await {
        Ok(_) => report.ok("PostgREST", "takes our tokens, and a reporter may use error_metrics"),
        Err(error) => report.fail("PostgREST", error, todo),
    }
}

/// `told` are the channels that are told of trouble with the tracker itself, by name or id.
async fn check_channels(
    report: &mut Report,
    db: &Db,
    notify: &Notify,
    told: &[String],
    clock: &Clock,
) {
    let parts = match wiring::notify_parts(notify, clock.clone()) {
        Ok(parts) => parts,
        Err(error) => return report.refuse("channels", error, VARIABLE),
    };
    let channels = match parts.channels(db).all().await {
        Ok(channels) => channels,
        Err(error) => return report.fail("channels", error, "look at the database, then again"),
    };
    for name in told {
        let known =
            |channel: &Arc<Channel>| channel.name == *name || channel.id.to_string() == *name;
        if !channels.iter().any(known) {
            let detail = format!("there is no channel {name:?}");
            report.fail("SYSTEM_ALERT_CHANNELS", detail, "take names or ids from alert_channels");
        }
    }
    if channels.is_empty() {
        report.note("channels", "there is none; nobody will be told of an incident");
    }
    for channel in channels {
        let what = format!("channel {:?}", channel.name);
        if !channel.enabled {
            report.note(&what, "is not enabled");
            continue;
        }
        match probe(&parts.senders, &channel).await {
            Ok(reached) => report.ok(&what, format!("{reached} can be reached")),
            Err(reason) => {
                report.fail(&what, reason, "mend the channel, then meshhook-errors send-test")
            }
        }
    }
}
