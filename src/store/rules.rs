//! Alert rules as they stand in the table.

use std::{collections::HashMap, time::Duration};

use serde_json::Value;
use sqlx::Row as _;
use uuid::Uuid;

use super::{Db, StoreError, pool::within};
use crate::model::{Rule, RuleError};

/// The enabled rules, and those that cannot be used.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Rules the engine can evaluate.
    pub rules: Vec<Rule>,
    /// What each rule's author wants people to do.
    pub descriptions: HashMap<Uuid, String>,
    /// Rules that slipped past the table's constraints, for the status row.
    pub invalid: Vec<RuleError>,
}

/// The number of configuration changes so far.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn config_version(db: &Db, limit: Duration) -> Result<i64, StoreError> {
    within("look for changed rules", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/config_version.sql"));
        let version = query.fetch_one(link.connection()).await?.try_get(0)?;
        link.commit().await?;
        Ok(version)
    })
    .await
}

/// Loads every enabled rule; one that cannot be used costs only itself.
///
/// # Errors
/// When the database does not answer within `limit`.
pub async fn load(db: &Db, limit: Duration) -> Result<RuleBook, StoreError> {
    let rows = within("read the rules", limit, async {
        let mut link = db.link().await?;
        let query = link.query(include_str!("../../sql/rules_enabled.sql"));
        let rows = query.fetch_all(link.connection()).await?;
        link.commit().await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Value>, _>>()?)
    })
    .await?;
    let mut book = RuleBook::default();
    for row in rows {
        let description = row.get("description").and_then(Value::as_str).unwrap_or_default();
        let description = description.to_owned();
        match Rule::from_stored(row) {
            Ok(rule) => {
                book.descriptions.insert(rule.id, description);
                book.rules.push(rule);
            }
            Err(errors) => book.invalid.extend(errors),
        }
    }
    Ok(book)
}
