//! Applies a folder of migrations as the Supabase CLI does, and runs single files such as seeds.

use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, postgres::PgErrorPosition};

/// A migration or seed that could not be read or applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Two files with the same version: only one of them would ever be applied.
    #[error("two migrations have the version {version}: {first} and {second}")]
    Duplicate {
        /// The digits at the start of the names.
        version: String,
        /// The file that sorts first.
        first: String,
        /// The other one.
        second: String,
    },
    /// The database refused a file.
    #[error("{file}{}: {message}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Refused {
        /// The file's name.
        file: String,
        /// The line of the statement or of the word it stumbled over, from 1.
        line: Option<usize>,
        /// PostgreSQL's message with its code, detail and hint.
        message: String,
    },
    /// No connection, or it broke.
    #[error("cannot use the database: {0}")]
    Database(#[from] sqlx::Error),
}

/// One file that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The digits at the start of its name.
    pub version: String,
    /// The rest of its name.
    pub name: String,
}

/// Applies the files of a folder that the database has not seen, in the order of their versions.
///
/// Each file goes to the server whole, by the simple protocol, so it may have its own `begin` and
/// `commit`, which hold. What was applied is kept in `supabase_migrations.schema_migrations`, where
/// the Supabase CLI keeps it too. Names other than `<digits>_<name>.sql` are passed over, as there.
///
/// # Errors
/// At the first file that fails; those before it stay applied.
pub async fn apply_folder(database_url: &str, folder: &Path) -> Result<Vec<Applied>, MigrateError> {
    let files = list(folder)?;
    let mut connection = PgConnection::connect(database_url).await?;
    sqlx::raw_sql(
        "create schema if not exists supabase_migrations;
         create table if not exists supabase_migrations.schema_migrations (
           version text primary key, statements text[], name text);",
    )
    .execute(&mut connection)
    .await?;
    let seen: Vec<String> =
        sqlx::query_scalar("select version from supabase_migrations.schema_migrations")
            .fetch_all(&mut connection)
            .await?;
    let mut applied = Vec::new();
    for (path, migration) in files {
        if seen.contains(&migration.version) {
            continue;
        }
        let sql = read(&path)?;
        execute(&mut connection, &path, &sql).await?;
        sqlx::query(
            "insert into supabase_migrations.schema_migrations (version, statements, name)
             values ($1, array[$2], $3)",
        )
        .bind(&migration.version)
        .bind(&sql)
        .bind(&migration.name)
        .execute(&mut connection)
        .await?;
        applied.push(migration);
    }
    connection.close().await?;
    Ok(applied)
}

/// Runs one file, such as a seed, whole and by the simple protocol.
///
/// # Errors
/// Names the file, the line and PostgreSQL's message.
pub async fn run_file(database_url: &str, path: &Path) -> Result<(), MigrateError> {
    let sql = read(path)?;
    let mut connection = PgConnection::connect(database_url).await?;
    execute(&mut connection, path, &sql).await?;
    connection.close().await?;
    Ok(())
}

async fn execute(
    connection: &mut PgConnection,
    path: &Path,
    sql: &str,
) -> Result<(), MigrateError> {
    // A byte-order mark is a syntax error to the server and invisible in an editor.
    let sql = sql.trim_start_matches('\u{feff}');
    let result = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    if let Err(error) = result {
        return Err(refused(path, sql, error));
    }
    // A file may leave a transaction open or settings behind; neither may reach the next one.
    connection
        .execute("rollback; reset all; reset role")
        .await
        .map_err(|error| refused(path, sql, error))?;
    Ok(())
}

fn refused(path: &Path, sql: &str, error: sqlx::Error) -> MigrateError {
    let sqlx::Error::Database(database) = &error else { return MigrateError::Database(error) };
    let Some(postgres) = database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() else {
        return MigrateError::Database(error);
    };
    let line = match postgres.position() {
        Some(PgErrorPosition::Original(position)) => Some(line_of(sql, position)),
        _ => None,
    };
    let mut message = format!("{} ({})", postgres.message(), postgres.code());
    for (label, text) in
        [("detail", postgres.detail()), ("hint", postgres.hint()), ("where", postgres.r#where())]
    {
        if let Some(text) = text {
            message.push_str(&format!("; {label}: {}", text.replace('\n', " ")));
        }
    }
    MigrateError::Refused { file: file_name(path), line, message }
}

/// The line, from 1, of a position that PostgreSQL counts in characters from 1.
fn line_of(sql: &str, position: usize) -> usize {
    1 + sql.chars().take(position.saturating_sub(1)).filter(|c| *c == '\n').count()
}

fn list(folder: &Path) -> Result<Vec<(PathBuf, Applied)>, MigrateError> {
    let fail = |source| MigrateError::Read { path: folder.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if let Some(migration) = parse_name(&file_name(&path)) {
            files.push((path, migration));
        }
    }
    files.sort_by(|(a, left), (b, right)| left.version.cmp(&right.version).then(a.cmp(b)));
    for pair in files.windows(2) {
        if let [(first, a), (second, b)] = pair
            && a.version == b.version
        {
            let (first, second) = (file_name(first), file_name(second));
            return Err(MigrateError::Duplicate { version: a.version.clone(), first, second });
        }
    }
    Ok(files)
}

/// Splits `20261122100000_first.sql`.
fn parse_name(file: &str) -> Option<Applied> {
    let (version, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Applied { version: version.to_owned(), name: name.to_owned() })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read(path: &Path) -> Result<String, MigrateError> {
    std::fs::read_to_string(path)
        .map_err(|source| MigrateError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split() {
        for (file, expected) in [
            ("20261122100000_first_one.sql", Some(("20261122100000", "first_one"))),
            ("1_x.sql", Some(("1", "x"))),
            ("first.sql", None),
            ("x1_first.sql", None),
            ("20261122100000_first.sql.bak", None),
            ("_x.sql", None),
        ] {
            let got = parse_name(file);
            let got = got.as_ref().map(|a| (a.version.as_str(), a.name.as_str()));
            assert_eq!(got, expected, "{file}");
        }
    }

    #[test]
    fn lines_are_counted_in_characters() {
        for (sql, position, line) in
            [("abc", 1, 1), ("ä\nb", 2, 1), ("ä\nb", 3, 2), ("a\n\n\nb", 5, 4), ("", 9, 1)]
        {
            assert_eq!(line_of(sql, position), line, "{sql:?} at {position}");
        }
    }
}
