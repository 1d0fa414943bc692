//! Databases of a cluster, and what makes an empty one look like Supabase's.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use super::{Cluster, PostgresError};

/// The cluster's superuser, as on hosted Supabase.
pub(super) const SUPERUSER: &str = "supabase_admin";
/// The database that new ones are copied from: three times as fast as running the scripts.
const TEMPLATE: &str = "supabase_template";

const ROLES: &str = include_str!("../bootstrap/roles.sql");
const DATABASE: &str = include_str!("../bootstrap/database.sql");

/// Creates roles, the template, and the usual database `postgres` from it.
pub(super) async fn initialise(cluster: &Cluster) -> Result<(), PostgresError> {
    let mut admin = connect(cluster, "postgres").await?;
    run(&mut admin, "create the roles", ROLES).await?;
    for role in ["postgres", "authenticator", "supabase_auth_admin", "supabase_storage_admin"] {
        // The password is hexadecimal, so it cannot end the literal.
        let sql = format!("alter role {role} password '{}'", cluster.password());
        run(&mut admin, "set the passwords", &sql).await?;
    }
    create(&mut admin, TEMPLATE, "template1").await?;
    admin.close().await.map_err(PostgresError::sql("close the connection"))?;

    let mut template = connect(cluster, TEMPLATE).await?;
    run(&mut template, "create the Supabase schemas", DATABASE).await?;
    run(&mut template, "replace the database postgres", "drop database postgres").await?;
    template.close().await.map_err(PostgresError::sql("close the connection"))?;

    // `template1` is where this connection is because the template must have no other user.
    let mut admin = connect(cluster, "template1").await?;
    create(&mut admin, "postgres", TEMPLATE).await?;
    admin.close().await.map_err(PostgresError::sql("close the connection"))
}

impl Cluster {
    /// Creates a Supabase-like database without tables of its own, owned by `postgres`.
    ///
    /// # Errors
    /// When it exists or the name is not a valid one.
    pub async fn create_database(&self, name: &str) -> Result<(), PostgresError> {
        self.create_database_from_template(name, TEMPLATE).await
    }

    /// Creates a database as a copy of another one, to which nobody may be connected meanwhile.
    ///
    /// # Errors
    /// When it exists, the name is not valid, or the template is in use.
    pub async fn create_database_from_template(
        &self,
        name: &str,
        template: &str,
    ) -> Result<(), PostgresError> {
        let mut admin = connect(self, "postgres").await?;
        create(&mut admin, name, template).await?;
        admin.close().await.map_err(PostgresError::sql("close the connection"))
    }

    /// Drops a database with its replication slots, ending whatever is connected to it.
    ///
    /// # Errors
    /// When the name is not valid or something prevents the drop; a missing database is fine.
    pub async fn drop_database(&self, name: &str) -> Result<(), PostgresError> {
        let quoted = quote_identifier(name)?;
        let mut admin = connect(self, "postgres").await?;
        // A slot keeps its database from being dropped, and only an idle slot can go.
        sqlx::query(
            "select pg_terminate_backend(active_pid) from pg_replication_slots
             where database = $1 and active_pid is not null",
        )
        .bind(name)
        .execute(&mut admin)
        .await
        .map_err(PostgresError::sql("end the replication"))?;
        for _ in 0..100_u32 {
            let left: i64 = sqlx::query_scalar(
                "with gone as (
                   select pg_drop_replication_slot(slot_name) from pg_replication_slots
                   where database = $1 and active_pid is null)
                 select (select count(*) from pg_replication_slots
                         where database = $1 and active_pid is not null) + 0 * count(*) from gone",
            )
            .bind(name)
            .fetch_one(&mut admin)
            .await
            .map_err(PostgresError::sql("drop the replication slots"))?;
            if left == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let sql = format!("drop database if exists {quoted} with (force)");
        run(&mut admin, &format!("drop the database {name}"), &sql).await?;
        admin.close().await.map_err(PostgresError::sql("close the connection"))
    }
}

async fn connect(cluster: &Cluster, database: &str) -> Result<PgConnection, PostgresError> {
    cluster
        .options(SUPERUSER, database)
        .connect()
        .await
        .map_err(PostgresError::sql(format!("connect to the database {database}")))
}

async fn create(admin: &mut PgConnection, name: &str, template: &str) -> Result<(), PostgresError> {
    let (quoted, template) = (quote_identifier(name)?, quote_identifier(template)?);
    let sql = format!("create database {quoted} template {template} owner postgres");
    run(admin, &format!("create the database {name}"), &sql).await
}

async fn run(connection: &mut PgConnection, what: &str, sql: &str) -> Result<(), PostgresError> {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map_err(PostgresError::sql(what))?;
    Ok(())
}

/// Quotes a name for use in SQL.
///
/// # Errors
/// When PostgreSQL could not have such a name: empty, over 63 bytes, or with a NUL in it.
pub fn quote_identifier(name: &str) -> Result<String, PostgresError> {
    if name.is_empty() || name.len() > 63 || name.contains('\0') {
        return Err(PostgresError::Name(name.chars().take(80).collect()));
    }
    Ok(format!("\"{}\"", name.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_or_refused() {
        let long = "x".repeat(64);
        for (name, expected) in [
            ("app", Some("\"app\"")),
            ("a\"b; drop", Some("\"a\"\"b; drop\"")),
            ("", None),
            ("a\0b", None),
            (long.as_str(), None),
        ] {
            assert_eq!(quote_identifier(name).ok().as_deref(), expected, "{name:?}");
        }
    }
}
