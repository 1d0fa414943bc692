//! What an insert costs on a real PostgreSQL, by the role, the claims and the statement of a reporter whose
//! request comes through PostgREST: 1 KB of metadata a row, into `error_metrics` and into a table with the
//! same columns, indexes and foreign keys but without trigger and row-level security.
//!
//! In bulk (a reporter's full batch, one connection) and one by one through the local REST server; with
//! nothing to mask, with three secrets, and with what a reporter masked already. Both tables take turns,
//! so that a machine that becomes slow is slow for both; figures are medians.
//!
//! Budgets: in bulk at least 5,000 rows/s, and 10,000 where nothing is to be masked any more; a single row
//! through REST at most 1.3 times as long as into the table without a trigger. The temporary server does not
//! wait for its disk, which would hide what the trigger costs.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use supabase_local::project::{DATABASE, Project, ProjectOptions};
use uuid::Uuid;

#[path = "insert/bulk.rs"]
mod bulk;
#[path = "insert/events.rs"]
mod events;
#[path = "insert/single.rs"]
mod single;
mod summary;

use events::{Events, Kind};
use summary::{Line, Summary};

/// The table without a trigger; PostgREST sees it like any other.
const PLAIN: &str = "plain_metrics";
const REAL: &str = "error_metrics";

#[tokio::main]
async fn main() {
    if !summary::measuring() {
        return;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project::open(ProjectOptions {
        migrations: Some(root.join("supabase/migrations")),
        install_into: Some(root.join(".dev/embedded-postgres")),
        ..ProjectOptions::default()
    })
    .await
    .expect("a local project");
    let owner = prepare(&project).await;
    let mut summary = Summary::new("insert");
    in_bulk(&project, owner, &mut summary).await;
    one_by_one(&project, owner, &mut summary).await;
    summary.write();
    project.stop().await.expect("the project ends");
}

/// The project and workflow that the events belong to.
#[derive(Clone, Copy)]
struct Owner {
    project: Uuid,
    workflow: Uuid,
}

async fn prepare(project: &Project) -> Owner {
    let owner = Owner { project: Uuid::new_v4(), workflow: Uuid::new_v4() };
    let Owner { project: id, workflow } = owner;
    let url = project.cluster.url("postgres", DATABASE);
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let sql = format!(
        "insert into public.projects (id, owner, name) values ('{id}', gen_random_uuid(), 'bench');
         insert into public.workflow_definitions (id, project_id, slug, definition)
           values ('{workflow}', '{id}', 'bench', '{{}}');
         create table public.{PLAIN} (like public.{REAL} including indexes,
           foreign key (workflow_id) references public.workflow_definitions (id),
           foreign key (project_id) references public.projects (id));
         alter table public.{PLAIN} alter fingerprint drop not null, alter received_at drop not null,
           alter seq drop not null, alter \"timestamp\" drop not null, alter severity drop not null;
         revoke all on public.{PLAIN} from public, anon, authenticated;
         grant insert, select (error_id) on public.{PLAIN} to error_reporter"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("prepared");
    connection.close().await.expect("the connection ends");
    owner
}

async fn in_bulk(project: &Project, owner: Owner, summary: &mut Summary) {
    let mut events = Events::new(owner);
    for kind in Kind::ALL {
        let [plain, real] = bulk::rows_a_second(project, &mut events, kind).await;
        let name = format!("bulk, {}", kind.name());
        summary.add(Line::new(format!("{name}, no trigger"), "rows/s", plain));
        let line = Line::new(name, "rows/s", real).at_least(kind.rows_a_second());
        summary.add(line.limit(plain / real));
    }
}

async fn one_by_one(project: &Project, owner: Owner, summary: &mut Summary) {
    let mut events = Events::new(owner);
    for kind in Kind::ALL {
        let [plain, real] = single::microseconds(project, &mut events, kind).await;
        let name = format!("one through REST, {}", kind.name());
        summary.add(Line::new(format!("{name}, no trigger"), "µs", plain));
        summary.add(Line::new(&name, "µs", real).limit(real / plain));
        summary.add(Line::new(format!("{name}, ratio"), "×", real / plain).at_most(1.3));
    }
}

/// The one in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
