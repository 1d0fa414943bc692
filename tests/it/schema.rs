//! The migrations themselves: where they apply, that they may be repeated, and what they leave behind.
//! What single rows go through is no matter here (`events` and `masking` have that).
//! Migrations come in as files; the catalog before and after tells what they did.

use std::path::PathBuf;

use meshhook_errors::store::diagnose;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::support::{
    db::{MIGRATIONS, OwnServer, TestDb, pool},
    sql,
};

const CATALOG: &str = include_str!("schema/catalog.sql");
/// What Supabase brings and a database of another server has not.
const AUTH_WHERE_MISSING: &str = "do $$ begin
  if to_regprocedure('auth.uid()') is null then
    create schema auth;
    grant usage on schema auth to authenticated;
    create function auth.uid() returns uuid language sql stable as
      $f$ select (current_setting('request.jwt.claims', true)::jsonb ->> 'sub')::uuid $f$;
    grant usage on schema public to authenticated;
    alter default privileges in schema public grant all on tables to authenticated;
  end if;
end $$";
const MESHHOOK: &str = include_str!("../fixtures/meshhook_schema.sql");

/// The migrations' names and texts, in order.
fn migrations() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(MIGRATIONS)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .collect();
    files.sort();
    files
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Runs a script on a connection of its own, which is then closed.
async fn run(db: &TestDb, script: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(&db.admin_url).await?;
    let result = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.map(|_| ());
    connection.close().await.ok();
    result
}

async fn catalog(pool: &PgPool) -> Vec<String> {
    let mut connection = pool.acquire().await.unwrap();
    // Compiling this query takes ten times as long as running it.
    sqlx::query("set jit = off").execute(&mut *connection).await.unwrap();
    sqlx::query_scalar(CATALOG).fetch_all(&mut *connection).await.unwrap()
}

/// What the second has that the first has not.
fn added<'a>(before: &[String], after: &'a [String]) -> Vec<&'a str> {
    let before: std::collections::HashSet<&String> = before.iter().collect();
    after.iter().filter(|line| !before.contains(line)).map(String::as_str).collect()
}

#[track_caller]
fn assert_same(before: &[String], after: &[String], when: &str) {
    let (new, gone) = (added(before, after), added(after, before));
    assert!(new.is_empty() && gone.is_empty(), "{when}: new {new:#?}, gone {gone:#?}");
}

#[tokio::test]
async fn applying_again_changes_nothing() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    // The databases of a server that was named have no users, whom the seed needs.
    let users: bool = sqlx::query_scalar("select to_regclass('auth.users') is not null")
        .fetch_one(&pool)
        .await
        .unwrap();
    let seed = if users { include_str!("../../supabase/seed.sql") } else { "" };
    sql(&pool, seed).await;
    let data = "select md5(string_agg(t::text, '' order by t::text)) from (
        select to_jsonb(r) - 'masking_rule_id' - 'created_at' as t from public.error_masking_rules r
        union all select to_jsonb(m) from error_tracking.masking m
        union all select to_jsonb(m) from error_tracking.checkpoint m
        union all select to_jsonb(m) from error_tracking.leases m
        union all select to_jsonb(m) from public.error_access m
        union all select to_jsonb(m) from public.alert_rules m) as rows";
    let rows = async || sqlx::query_scalar::<_, String>(data).fetch_one(&pool).await.unwrap();
    let (before, rows_before) = (catalog(&pool).await, rows().await);
    assert!(before.len() > 500, "the catalog query must see the schema: {}", before.len());
    for _ in 0..2 {
        for (name, text) in migrations() {
            run(&db, &text).await.unwrap_or_else(|error| panic!("{name} again: {error}"));
        }
        run(&db, seed).await.unwrap();
    }
    assert_same(&before, &catalog(&pool).await, "after applying twice more");
    assert_eq!(rows_before, rows().await, "the data of the migrations and the seed");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let db = TestDb::empty().await;
    let pool = db.admin().await;
    let mut tried = 0;
    for (name, text) in migrations() {
        let before = catalog(&pool).await;
        for at in places(&text) {
            let broken = format!("{}\nselect 1 / 0 as injected;\n{}", &text[..at], &text[at..]);
            let error = run(&db, &broken).await.expect_err("it must fail");
            let error = error.to_string();
            assert!(error.contains("division by zero"), "{name} at {at}: {error}");
            assert_same(&before, &catalog(&pool).await, &format!("{name}, failed at {at}"));
            tried += 1;
        }
        run(&db, &text).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(tried >= 20, "only {tried} places");
}

/// A hosted project: migrations run as `postgres`, who is no superuser, and a role is reserved that the
/// first one would grant ours to. Everything installs, and Realtime's login finds another way.
#[tokio::test]
async fn a_reserved_role_costs_no_migration() {
    let (server, db) = OwnServer::bare().await;
    let admin = db.admin().await;
    let superuser = "select rolsuper from pg_roles where rolname = current_user";
    assert!(!sqlx::query_scalar::<_, bool>(superuser).fetch_one(&admin).await.unwrap());
    // What reserves roles there is a library of the platform; this is its refusal.
    let grant = "grant error_reporter, error_daemon to supabase_realtime_admin;";
    let refusal = "raise exception '\"supabase_realtime_admin\" is a reserved role, only superusers can \
                   modify it' using errcode = '42501';";
    let hosted: Vec<_> =
        migrations().into_iter().map(|(name, text)| (name, text.replace(grant, refusal))).collect();
    assert!(
        hosted.iter().any(|(_, text)| text.contains(refusal)),
        "no migration grants that role anything any more"
    );
    // Who inherits service_role's rights must not get ours along with them.
    let owner = pool(&server.url("supabase_admin", &db.name)).await;
    for (inherits, expected) in [("inherit", false), ("noinherit", true)] {
        sql(&owner, &format!("alter role service_role {inherits}")).await;
        for (name, text) in &hosted {
            run(&db, text).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let may = "select pg_has_role('authenticator', 'error_daemon', 'member'),
                          pg_has_role('supabase_realtime_admin', 'error_daemon', 'member')";
        let may: (bool, bool) = sqlx::query_as(may).fetch_one(&admin).await.unwrap();
        assert_eq!(may, (true, expected), "{inherits}");
    }
    let become_us = "set session authorization supabase_realtime_admin; set role error_daemon;
                     select count(*) from public.error_tracker_status";
    let mut login = owner.acquire().await.unwrap();
    sqlx::raw_sql(become_us).execute(&mut *login).await.unwrap();
    // Being allowed to switch is not having the rights.
    let holds =
        "select has_table_privilege('service_role', 'error_tracking.channel_secrets', 'select')";
    assert!(!sqlx::query_scalar::<_, bool>(holds).fetch_one(&admin).await.unwrap());
}

/// `check` looks for every table there is.
#[tokio::test]
async fn check_knows_every_table() {
    let db = TestDb::new().await;
    let tables = "select c.relnamespace::regnamespace || '.' || c.relname from pg_class c
       where c.relkind in ('r', 'p') and not c.relispartition
         and c.relnamespace in ('public'::regnamespace, 'error_tracking'::regnamespace)
         and c.relname not in ('projects', 'workflow_definitions', 'workflow_runs') order by 1";
    let tables: Vec<String> =
        sqlx::query_scalar(tables).fetch_all(&db.admin().await).await.unwrap();
    let mut known = diagnose::TABLES.to_vec();
    known.sort_unstable();
    assert_eq!(known, tables);
}

/// Up to six places between statements: not within a function's body, from the first to the last.
fn places(text: &str) -> Vec<usize> {
    let first = text.find("begin;").unwrap() + "begin;".len();
    let all: Vec<usize> = text
        .match_indices(";\n")
        .map(|(at, _)| at + 2)
        .filter(|at| {
            let before = &text[..*at];
            *at >= first
                && before.matches("$$").count().is_multiple_of(2)
                && before.matches("$f$").count().is_multiple_of(2)
                && !text[*at..].trim().is_empty()
        })
        .collect();
    let mut chosen: Vec<usize> = all.iter().step_by(all.len().div_ceil(5)).copied().collect();
    chosen.extend(all.last());
    chosen.dedup();
    chosen
}

/// MeshHook was there first: its tables, policies and functions stay as they are, and still work.
#[tokio::test]
async fn meshhooks_own_schema_is_left_alone() {
    let db = TestDb::empty().await;
    let pool = db.admin().await;
    run(&db, AUTH_WHERE_MISSING).await.unwrap();
    run(&db, MESHHOOK).await.unwrap();
    let before = catalog(&pool).await;
    for (name, text) in migrations() {
        run(&db, &text).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let after = catalog(&pool).await;
    // We let our roles use the schema; nothing else of theirs may change.
    let gone = added(&after, &before);
    assert!(
        matches!(gone.as_slice(), [line] if line.starts_with("schema public acl=")),
        "changed or gone: {gone:#?}"
    );
    let theirs = ["projects", "workflow_definitions", "workflow_runs", "user_project_ids"];
    let touched: Vec<&str> = added(&before, &after)
        .into_iter()
        .filter(|line| !line.starts_with("function") && !line.starts_with("constraint"))
        .filter(|line| theirs.iter().any(|name| line.contains(&format!("public.{name}"))))
        .collect();
    let [index] = touched.as_slice() else { panic!("{touched:#?}") };
    assert!(index.contains("idx_workflow_runs_started_at"), "{index}");

    let (alice, bob) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    sql(
        &pool,
        &format!(
            "insert into projects (id, owner, name) values ('{alice}', '{alice}', 'A'), ('{bob}', '{bob}', 'B');
             insert into workflow_definitions (id, project_id, slug, definition, name)
             values ('{alice}', '{alice}', 'a', '{{}}', 'a'), ('{bob}', '{bob}', 'b', '{{}}', 'b');
             insert into error_metrics (source, error_type, workflow_id)
             values ('worker', 'execution', '{alice}'), ('worker', 'execution', '{bob}');"
        ),
    )
    .await;
    for (table, column) in [
        ("projects", "id"),
        ("workflow_definitions", "project_id"),
        ("error_metrics", "project_id"),
    ] {
        for user in [alice, bob] {
            let mut transaction = pool.begin().await.unwrap();
            let claims = format!(r#"{{"sub": "{user}", "role": "authenticated"}}"#);
            let seen: Vec<uuid::Uuid> = {
                sqlx::raw_sql(AssertSqlSafe(format!(
                    "set local role authenticated; set local request.jwt.claims = '{claims}'"
                )))
                .execute(&mut *transaction)
                .await
                .unwrap();
                sqlx::query_scalar(AssertSqlSafe(format!("select {column} from public.{table}")))
                    .fetch_all(&mut *transaction)
                    .await
                    .unwrap()
            };
            assert_eq!(seen, [user], "{table}");
        }
    }
}

#[tokio::test]
async fn everything_is_described_and_safe() {
    let db = TestDb::new().await;
    let pool = db.admin().await;
    for (what, query) in [
        (
            "tables and views without a comment",
            "select oid::regclass::text from pg_class
              where relkind in ('r', 'v', 'm', 'p', 'S') and obj_description(oid, 'pg_class') is null
                and relnamespace in ('public'::regnamespace, 'error_tracking'::regnamespace)
                and relname not in ('projects', 'workflow_definitions', 'workflow_runs')
                and not exists (select from pg_depend d where d.objid = pg_class.oid and d.deptype = 'i')",
        ),
        (
            "columns without a comment",
            "select attrelid::regclass || '.' || attname from pg_attribute a join pg_class c on c.oid = a.attrelid
              where relkind in ('r', 'v', 'm', 'p') and not relispartition and attnum > 0 and not attisdropped
                and relnamespace in ('public'::regnamespace, 'error_tracking'::regnamespace)
                and relname not in ('projects', 'workflow_definitions', 'workflow_runs')
                and col_description(attrelid, attnum) is null",
        ),
        (
            "functions without a comment",
            "select oid::regprocedure::text from pg_proc
              where pronamespace in ('public'::regnamespace, 'error_tracking'::regnamespace)
                and obj_description(oid, 'pg_proc') is null",
        ),
        (
            "security definer functions without a fixed, empty search_path",
            "select oid::regprocedure::text from pg_proc
              where pronamespace in ('public'::regnamespace, 'error_tracking'::regnamespace)
                and prosecdef and not coalesce('search_path=\"\"' = any (proconfig), false)",
        ),
        (
            "public tables without row-level security",
            "select oid::regclass::text from pg_class
              where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace and not relrowsecurity",
        ),
        (
            "functions of the internal schema that anybody may call",
            "select oid::regprocedure::text from pg_proc
              where pronamespace = 'error_tracking'::regnamespace
                and (has_function_privilege('anon', oid, 'execute')
                  or exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))",
        ),
        (
            "internal tables that an API role may touch",
            "select c.oid::regclass || ' ' || r.role from pg_class c,
               unnest(array['anon', 'authenticated', 'error_reporter', 'service_role']) as r (role)
              where relkind in ('r', 'p') and relnamespace = 'error_tracking'::regnamespace
                and (has_table_privilege(r.role, c.oid, 'insert, update, delete, truncate')
                  -- Sums that functions read as their caller: row-level security decides.
                  or has_table_privilege(r.role, c.oid, 'select') and not relrowsecurity)",
        ),
        (
            "public tables of ours that anon has any right on",
            "select oid::regclass::text from pg_class
              where relkind in ('r', 'v', 'p') and relnamespace = 'public'::regnamespace
                and relname not in ('projects', 'workflow_definitions', 'workflow_runs')
                and (has_table_privilege('anon', oid, 'select, insert, update, delete, truncate')
                  or has_any_column_privilege('anon', oid, 'select, insert, update'))",
        ),
    ] {
        let found: Vec<String> = sqlx::query_scalar(query).fetch_all(&pool).await.unwrap();
        assert!(found.is_empty(), "{what}: {found:#?}");
    }
    let published: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_publication_tables where pubname = 'supabase_realtime' order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let mut expected: Vec<_> =
        diagnose::PUBLISHED.iter().filter_map(|name| name.strip_prefix("public.")).collect();
    expected.sort_unstable();
    assert_eq!(published, expected);
}

/// Constraint names are what people read when PostgREST refuses a row, so each names its column.
#[tokio::test]
async fn constraints_are_named_for_what_they_check() {
    let db = TestDb::new().await;
    let unnamed: Vec<String> = sqlx::query_scalar(
        "select conname::text from pg_constraint k
          where contype = 'c' and connamespace = 'public'::regnamespace
            and conrelid in ('public.error_metrics'::regclass, 'public.alert_rules'::regclass,
              'public.alert_channels'::regclass, 'public.alert_silences'::regclass,
              'public.error_access'::regclass, 'public.error_masking_rules'::regclass)
            and not exists (select from unnest(conkey) as n join pg_attribute a
              on a.attrelid = k.conrelid and a.attnum = n where starts_with(k.conname, a.attname))",
    )
    .fetch_all(&db.admin().await)
    .await
    .unwrap();
    assert!(unnamed.is_empty(), "{unnamed:?}");
}
